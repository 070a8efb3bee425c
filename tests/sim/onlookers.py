"""What must hold of what followers see: whom one of them reaches is left alone, and old is old."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

from failoverd.core.model import SILENT, NodeName
from failoverd.core.situation import Machine
from tests.sim.daemon import Daemon
from tests.sim.reach import connect_outcome
from tests.sim.store import STORE
from tests.sim.world import World

REACHED_S = 7.0
"""So long a follower has reached it: by then it has said so, and whoever leads has read it."""
BY_SILENCE = ("unreachable", "hung")
ROUNDED_S = 0.002
STANDS_DOWN_S = 0.3
"""After it has woken."""


@dataclass(slots=True)
class Onlookers:
    world: World
    fail: Callable[[str], None]
    daemons: list[Daemon]
    apart_at: dict[str, float] = field(default_factory=dict[str, float])
    """When each daemon was last away: dead, stalled, or out of reach of the store."""
    beside_since: dict[str, float] = field(default_factory=dict[str, float])
    """Since when a daemon that does not lead decides, awake."""

    def sample(self) -> None:
        world, store = self.world, self.world.store
        if store is None:
            return
        for d in self.daemons:
            process = None if d.candidacy is None else d.candidacy.process
            stalled = process is not None and process.stalled_until > world.now
            reached = world.both_ways(d.name, STORE) and not store.down and not world.slow
            if process is None or stalled or not reached:
                self.apart_at[d.name] = world.now
            beside = d.alive and not stalled and store.leader != d.name and world.now < store.ends
            if not beside:
                self.beside_since.pop(d.name, None)
            elif world.now - self.beside_since.setdefault(d.name, world.now) > STANDS_DOWN_S:
                self.fail(f"{d.name} goes on as if it led, and {store.leader} leads")

    def _there_since(self, d: Daemon) -> float:
        return self.world.now - self.apart_at.get(d.name, 0.0)

    def saw(self, d: Daemon, m: Machine, silent_at: Mapping[tuple[str, NodeName], float]) -> None:
        """By silence alone nobody is given up whom another daemon reaches all the time."""
        store, primary = self.world.store, m.memory.primary
        if store is None:
            return
        for identity, one in m.view.daemons.items():
            dated = one.looked_at - d.clock_offset
            if dated > store.latest[identity] + ROUNDED_S:
                self.fail(f"{d.name} takes what {one.name} has seen for {dated:.2f} s")
        if primary is None or m.diagnosis not in BY_SILENCE:
            return
        # Of whom it looked at before, a follower has told: it has to hear whom to look at now.
        if d.monotonic() - m.memory.primary_since < REACHED_S:
            return
        for other in self.daemons:
            there = min(self._there_since(d), self._there_since(other)) > REACHED_S
            reaches = self.world.now - silent_at.get((other.name, primary), 0.0) > REACHED_S
            # Between two samples it may have died, and whoever looks at its host is told at once.
            reaches = reaches and connect_outcome(self.world, other.name, primary) not in SILENT
            if other is not d and there and reaches:
                said = f"{d.name} says that {primary} is {m.diagnosis}"
                self.fail(f"{said}, and {other.name} reaches it all the time")
