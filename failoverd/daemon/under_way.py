"""Effects that were asked for and have not answered: each answers once, or is ended."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import replace

from failoverd.core.effects import Effect, Salvage, Unfence, node_of
from failoverd.core.events import EffectFailed, Progressed, Replied
from failoverd.core.model import Evidence
from failoverd.daemon.course import Ask, line_of
from failoverd.effect.perform import perform
from failoverd.effect.world import World

EFFECT_GRACE_S = 15.0


class UnderWay:
    """Of one cluster. What changes a standby's settings is done one after the other."""

    def __init__(
        self,
        world: Callable[[], World],
        may_act: Callable[[], bool],
        tell: Callable[[Replied | Progressed], None],
        answered: Callable[[Effect], None],
    ) -> None:
        self._world = world
        self._may_act = may_act
        self._tell = tell
        self._answered = answered
        self._lines: dict[str, asyncio.Lock] = {}
        self._tasks: dict[asyncio.Task[None], tuple[int, Effect]] = {}
        self._salvaging: set[asyncio.Task[None]] = set()

    def begin(self, group: asyncio.TaskGroup, ask: Ask) -> None:
        for effect in ask.effects:
            line = line_of(effect)
            if line is not None:
                task = group.create_task(self._perform_in_line(ask.visit, effect, line))
            else:
                task = group.create_task(self._perform(ask.visit, effect))
            self._tasks[task] = (ask.visit, effect)
            task.add_done_callback(self._tasks.pop)
            if isinstance(effect, Salvage):
                self._salvaging.add(task)
                task.add_done_callback(self._salvaging.discard)

    def end_salvage(self) -> None:
        """Nobody waits for it any more: nothing is written for an incident that has gone on."""
        for task in self._salvaging:
            task.cancel()

    def end(self) -> list[tuple[int, Effect]]:
        """Nothing goes on to its next step: what was cut off, and answers no more."""
        cut_off = [asked for task, asked in self._tasks.items() if not task.done()]
        for task in self._tasks:
            task.cancel()
        return cut_off

    async def _perform_in_line(self, visit: int, effect: Effect, line: str) -> None:
        try:
            async with self._lines.setdefault(line, asyncio.Lock()):
                await self._perform(visit, effect)
        finally:
            self._answered(effect)

    async def _perform(self, visit: int, effect: Effect) -> None:
        def progress(done: int, of: int) -> None:
            self._tell(Progressed(visit, done, of))

        world = replace(self._world(), progress=progress, may_act=self._may_act)
        limits = world.limits
        rungs_s = sum(rung.timeout_s for rung in world.nodes[node_of(effect)].rungs)
        starts_s = limits.start_s if isinstance(effect, Unfence) else 0.0
        steps = (limits.fence_s, limits.salvage_s, limits.promote_s + starts_s)
        longest = max(*steps, limits.confirm_s, limits.checkpoint_s) + rungs_s + EFFECT_GRACE_S
        try:
            async with asyncio.timeout(longest):
                result = await perform(effect, world)
        except TimeoutError:
            sentence = f"no answer from {node_of(effect)} in {longest:.0f} s: unknown"
            result = EffectFailed("timed_out", Evidence(sentence))
        self._tell(Replied(visit, effect, result))
