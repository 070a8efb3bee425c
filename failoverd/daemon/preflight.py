"""Readiness, continuously: looks at one node after the other, slowly, beside the watch.

It never touches the machine or its queue; while an incident is open it makes no look at all.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Protocol

from failoverd.core.model import Instant, NodeName
from failoverd.core.objectives import Means, Objective
from failoverd.core.operator import in_procedure
from failoverd.core.outlook import Steady, outlook
from failoverd.core.policy import Policy
from failoverd.core.readiness import Check, readiness
from failoverd.core.situation import Machine
from failoverd.core.survey import Shared
from failoverd.daemon import clock
from failoverd.daemon.leadership import Leadership, Standing
from failoverd.daemon.out_of_memory import is_out_of_memory
from failoverd.daemon.pace import Pace
from failoverd.daemon.survey import Findings, survey_of
from failoverd.effect.world import Node

AGAIN_AFTER_FAULT_S = 45.0
RUNGS_EVERY_S = 300.0
PAUSED_S = 1.0
AGAIN_S = 0.2


class Watched(Protocol):
    """What is surveyed: as it is at the moment, whatever was reloaded."""

    @property
    def machine(self) -> Machine: ...
    @property
    def policy(self) -> Policy: ...
    @property
    def nodes(self) -> Mapping[NodeName, Node]: ...
    @property
    def leadership(self) -> Leadership: ...


def _shared(standing: Standing) -> Shared | None:
    if standing.kind == "none":
        return None
    others = tuple(name for name in standing.others if name)
    return Shared(standing.leads, standing.leader, standing.failing, others)


class Preflight:
    """Of one cluster."""

    def __init__(
        self,
        watched: Watched,
        means: Callable[[], Means],
        state_dir: Path,
        told: Callable[[tuple[Check, ...], tuple[Objective, ...]], None],
        failed: Callable[[Exception], None],
        pace: Pace,
    ) -> None:
        self._watched = watched
        self._means = means
        self._state_dir = state_dir
        self._told = told
        self._failed = failed
        self._pace = pace
        self._found = Findings()
        self._of: Mapping[NodeName, Node] = {}
        self._rungs_at: Instant | None = None
        self._line = asyncio.Lock()
        self.checks: tuple[Check, ...] = ()
        """As they were last judged; empty: nothing was looked at yet."""
        self.objectives: tuple[Objective, ...] = ()
        self.judged_at: Instant | None = None

    async def run(self) -> None:
        """Until cancelled. A check that breaks must not end the watch beside it.

        Raises MemoryError: without memory nothing is watched, and a new start has some again.
        """
        while True:
            try:
                await self._round()
            except Exception as error:  # a bug of ours: said, and no more than that
                if is_out_of_memory(error):
                    raise
                self._failed(error)
                await asyncio.sleep(AGAIN_AFTER_FAULT_S)

    async def _round(self) -> None:
        """All nodes at once first, then one after the other."""
        nodes = self._watched.nodes
        if self._must_wait():
            await asyncio.sleep(PAUSED_S)
            return
        if nodes is not self._of:
            await self._pace.survey_turn(len(nodes))
            await self.look_now()
        for node in list(nodes.values()):
            await asyncio.sleep(self._pace.survey_every_s / len(nodes))
            await self._pace.survey_turn(1)
            if self._must_wait() or nodes is not self._watched.nodes:
                return
            async with self._line:
                await self._look([node])
                if self._rungs_are_due:
                    await self._try_rungs()

    async def look_now(self) -> tuple[Check, ...]:
        """At everything; by whoever asks, one at a time."""
        async with self._line:
            nodes = self._watched.nodes
            if nodes is not self._of:
                self._of, self._found = nodes, Findings()
            await self._look(list(nodes.values()))
            await self._try_rungs()
        return self.checks

    async def _look(self, nodes: list[Node]) -> None:
        found = self._found
        async with asyncio.TaskGroup() as group:
            for node in nodes:
                group.create_task(found.look(node))
            group.create_task(found.look_at_ourselves(self._state_dir, in_daemon=True))
        await self._until_it_lasts()
        self.judge()

    async def _until_it_lasts(self) -> None:
        """What stands in the way by a look of the watch that was late is gone with the next."""
        steady, lasts = Steady(), False
        while not lasts and not self._must_wait():
            watched, now = self._watched, clock.now()
            found = outlook(watched.machine, now, watched.policy)
            if not found.by_looks:
                return
            steady, lasts = steady.lasting(found, now.monotonic, watched.policy)
            await asyncio.sleep(AGAIN_S)

    async def _try_rungs(self) -> None:
        self._rungs_at = clock.monotonic()
        async with asyncio.TaskGroup() as group:
            for node in self._of.values():
                group.create_task(self._found.try_rungs(node))
        self.judge()

    def judge(self) -> None:
        """By what is known; pure, and quick."""
        if self._watched.nodes is not self._of:
            return
        watched, means = self._watched, self._means()
        survey = survey_of(self._found, watched.machine, clock.now(), watched.policy, means)
        survey = replace(survey, shared=_shared(watched.leadership.standing))
        checks = readiness(survey)
        self._told(checks, survey.objectives)
        self.checks, self.objectives = checks, survey.objectives
        self.judged_at = clock.monotonic()

    @property
    def _rungs_are_due(self) -> bool:
        """Controllers of hosts are slow, and not to be asked every minute."""
        return self._rungs_at is None or clock.monotonic() - self._rungs_at >= RUNGS_EVERY_S

    def _must_wait(self) -> bool:
        """An incident is open, or the watch itself has not looked at every node yet."""
        machine = self._watched.machine
        if machine.incident is not None or in_procedure(machine):
            return True
        return not all(machine.view.report(name).round for name in self._watched.nodes)
