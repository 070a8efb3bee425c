"""One thing that goes wrong, and the stage that it goes wrong on."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from tests.sim.daemon import Daemon
from tests.sim.postgres import Host
from tests.sim.world import World


@dataclass(frozen=True, slots=True)
class Fault:
    at: float
    kind: str
    whom: str = "writer"
    lasts: float = 0.0
    number: int = 0

    def __str__(self) -> str:
        lasts = f" for {self.lasts:.1f} s" if self.lasts else ""
        return f"{self.at:.2f} s: {self.kind} ({self.whom}{lasts}, {self.number})"


Conduct = Callable[["Stage", Fault, Host], Callable[[], None] | None]
"""Does it, and returns what heals it."""


@dataclass(slots=True)
class Stage:
    world: World
    daemons: list[Daemon]
