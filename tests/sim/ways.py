"""Ways by which applications reach the primary, and the daemon's looks at them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from failoverd.core.model import NodeName, Outcome
from failoverd.core.policy import TargetName
from failoverd.core.target import TargetReport
from failoverd.daemon.targets import LOOK_EVERY_S
from tests.sim.kernel import Process, Steps
from tests.sim.reach import look

if TYPE_CHECKING:
    from tests.sim.daemon import Daemon

LIMIT_S = 2.0


@dataclass(slots=True, eq=False)
class Way:
    """Something between applications and servers, as HAProxy is: one server at a time, or none."""

    name: TargetName
    leads_to: NodeName | None = None
    down: bool = False
    """Nobody can tell it anything; what it does, it goes on doing."""


class Looks:
    """Of one life of a daemon: what was seen goes with its next view."""

    def __init__(self, d: Daemon) -> None:
        self.d = d
        self.seen: dict[TargetName, TargetReport] = {}
        self.hurried: set[TargetName] = set()
        self.watchers: dict[TargetName, Process] = {}

    def watches(self, name: TargetName) -> Steps:
        d = self.d
        way = d.world.ways[name]
        while True:
            self.hurried.discard(name)
            began, due = d.monotonic(), d.world.now + LOOK_EVERY_S
            outcome = Outcome.TIMED_OUT if way.down else Outcome.OK
            yield LIMIT_S if way.down else 0.01
            leads = frozenset({way.leads_to} if way.leads_to is not None else ())
            found = look(outcome, began, d.monotonic())
            self.seen = {**self.seen, name: TargetReport(name, found, leads)}
            if name not in self.hurried:
                yield max(0.001, due - d.world.now)

    def hasten(self) -> None:
        for name, process in self.watchers.items():
            self.hurried.add(name)
            self.d.world.kernel.poke(process)
