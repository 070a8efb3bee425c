"""What runs for each cluster: begun one after the other, ended without touching the others."""

from __future__ import annotations

import asyncio
import contextlib
from collections import deque
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Protocol

from failoverd.core.situation import Machine
from failoverd.daemon.agent_check import Port, serve_agent_checks

APART_S = 0.061803
"""Between the beginnings of two clusters: no even part of a second, so that their beats, which are
mostly a second long, fall all over it."""
ALL_WITHIN_S = 120.0
"""The last one begins by then, however many there are."""
ARRIVING = 16
"""So many clusters at a time have begun and are not watched yet. Until every node has answered,
each round makes fresh connections and logins: where those do not come through, and more clusters
began all the same, they would take from each other what would let them in."""
ARRIVES_WITHIN_S = 5.0
"""One that cannot be reached holds up the next for no longer."""

Answers = Mapping[Port, Callable[[], Machine]]


class Watch(Protocol):
    """What watches a cluster until it is told to stop."""

    async def run(self) -> None: ...
    def request_stop(self) -> None: ...


class Survey(Protocol):
    """What runs beside it until it is cancelled."""

    async def run(self) -> None: ...


@dataclass(slots=True)
class _Tasks:
    watch: asyncio.Task[None]
    survey: asyncio.Task[None]
    answering: asyncio.Task[None]
    now: asyncio.Event = field(default_factory=asyncio.Event)
    """Set: it has begun, or begins now."""


def starts(
    names: Sequence[str], at_once: frozenset[str] = frozenset()
) -> Iterator[tuple[str, float]]:
    """Seconds from now. Whatever is in the middle of something does not wait."""
    apart_s = min(APART_S, ALL_WITHIN_S / max(1, len(names)))
    paced = 0
    for name in sorted(names, key=lambda one: one not in at_once):
        if name in at_once:
            yield name, 0.0
        else:
            yield name, paced * apart_s
            paced += 1


async def _within(seconds: float, event: asyncio.Event) -> None:
    """Until it is set, or that much time has passed."""
    with contextlib.suppress(TimeoutError):
        async with asyncio.timeout(max(0.0, seconds)):
            await event.wait()


class Running:
    """Of one daemon; what nobody expected in any of them ends them all."""

    def __init__(
        self,
        group: asyncio.TaskGroup,
        ended: Callable[[str], None],
        came: Callable[[int], None] = lambda _: None,
    ) -> None:
        self._group = group
        self._ended = ended
        self._came = came
        """Told how many there are whenever some more are watched, or have had their time for it,
        and when all are."""
        self._arrivals = 0
        self._tasks: dict[str, _Tasks] = {}
        self._arriving: set[str] = set()
        self._in_line: deque[asyncio.Event] = deque()

    def begin(
        self, name: str, watch: Watch, survey: Survey, answers: Answers, after_s: float
    ) -> None:
        """Its watch after that many seconds, or as soon as it is hurried."""
        now = asyncio.Event()
        create = self._group.create_task
        self._tasks[name] = _Tasks(
            watch=create(self._watch(name, watch, now, after_s), name=f"cluster {name}"),
            survey=create(survey.run()),
            answering=create(serve_agent_checks(answers)),
            now=now,
        )
        self._tasks[name].watch.add_done_callback(lambda _: self._over(name))

    async def _watch(self, name: str, watch: Watch, now: asyncio.Event, after_s: float) -> None:
        if after_s > 0:
            await _within(after_s, now)
            if len(self._arriving) >= ARRIVING and not now.is_set():
                self._in_line.append(now)
                await _within(ALL_WITHIN_S - after_s, now)
        now.set()
        self._arriving.add(name)
        asyncio.get_running_loop().call_later(ARRIVES_WITHIN_S, self.arrived, name)
        await watch.run()

    def arrived(self, name: str) -> None:
        """It is watched; the next in line begins."""
        if name not in self._arriving:
            return
        self._arriving.discard(name)
        self._arrivals += 1
        all_did = not self._arriving and all(one.now.is_set() for one in self._tasks.values())
        if all_did or self._arrivals % ARRIVING == 0:
            self._came(len(self._tasks))
        while self._in_line:
            now = self._in_line.popleft()
            if not now.is_set():
                now.set()
                return

    def _over(self, name: str) -> None:
        self.arrived(name)
        tasks = self._tasks.pop(name)
        tasks.survey.cancel()
        tasks.answering.cancel()
        self._ended(name)

    def has_begun(self, name: str) -> bool:
        return name in self._tasks and self._tasks[name].now.is_set()

    def hurry(self, name: str) -> None:
        """It does not wait for its turn to begin."""
        if name in self._tasks:
            self._tasks[name].now.set()

    def survey_no_more(self) -> None:
        for tasks in self._tasks.values():
            tasks.survey.cancel()

    async def answer(self, name: str, answers: Answers) -> None:
        """On other ports from now on; some may be the same."""
        before = self._tasks[name].answering
        before.cancel()
        await asyncio.wait([before])
        if name in self._tasks:
            self._tasks[name].answering = self._group.create_task(serve_agent_checks(answers))

    async def until_gone(self, names: Sequence[str], timeout_s: float) -> None:
        """Or until that much time has passed."""
        watches = [self._tasks[name].watch for name in names if name in self._tasks]
        if watches:
            await asyncio.wait(watches, timeout=timeout_s)

    async def until_all_are_over(self) -> None:
        while self._tasks:
            await asyncio.wait([tasks.watch for tasks in self._tasks.values()])
            await asyncio.sleep(0)
