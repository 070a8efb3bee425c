"""A small world: one primary and its standbys, and what each effect does to them.

Everything is a value, so that a state of the world can be compared and returned to. An
effect keeps the promises of the real one: it looks before it acts, carries its epoch,
and may be done although its answer is lost.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

from failoverd.core.events import EffectFailed
from failoverd.core.model import Evidence, NodeName, SavedSettings, SystemIdentifier
from failoverd.core.policy import NodePolicy, Policy, TargetName, TargetPolicy

SYSTEM = SystemIdentifier("7000000000000000001")
OWN = SavedSettings((("primary_conninfo", "host=upstream"),))
FREEZE = SavedSettings((("primary_conninfo", ""),))
"""What `ReadSettings` finds on a standby that is frozen already: must never be kept."""
SAID = Evidence("said by the world")
FAILED = EffectFailed("unknown", Evidence("no answer"))
UP, HUNG, DEAD, CLEAN = "up", "hung", "dead", "clean"
NAMES = tuple(NodeName(name) for name in ("pg1", "pg2", "pg3"))


@dataclass(frozen=True, slots=True)
class Server:
    """One server and its host. `process` is up, hung, dead, or clean (shut down)."""

    process: str = UP
    host: bool = True
    recovery: bool = True
    guard: int = 0
    """The epoch of our guard; 0: none."""
    frozen: int = 0
    """The epoch of the freeze; 0: it follows its upstream."""
    epoch: int = 0
    """The highest epoch that its host has seen."""
    owner: int = 0
    """Of that epoch: which daemon has taken it; 0 where there is but one daemon."""
    timeline: int = 1
    position: int = 100
    follows: str = "pg1"
    """Whom its own settings lead to."""
    dead_man: int = 0
    """The epoch of the dead-man that watches it; 0: none."""
    fired: bool = False

    @property
    def answers(self) -> bool:
        return self.host and self.process == UP

    @property
    def writable(self) -> bool:
        """Clients that still reach it could commit there, whether we see it or not."""
        return self.process in (UP, HUNG) and not self.recovery


@dataclass(frozen=True, slots=True)
class World:
    servers: tuple[Server, ...]
    agent: bool = False
    """Whether a fence agent can turn hosts off that nobody reaches."""
    leads_to: str = ""
    """Where the applications' way leads; empty: it is closed."""

    def __getitem__(self, name: NodeName) -> Server:
        return self.servers[NAMES.index(name)]

    def having(self, name: NodeName, server: Server) -> World:
        at = NAMES.index(name)
        return replace(self, servers=(*self.servers[:at], server, *self.servers[at + 1 :]))

    @property
    def names(self) -> tuple[NodeName, ...]:
        return NAMES[: len(self.servers)]

    def fires(self, name: NodeName) -> World:
        """Its dead-man ends it, with a guard of its own epoch."""
        server = self[name]
        guard = server.guard or server.dead_man
        process = DEAD if server.process in (UP, HUNG) else server.process
        return self.having(
            name, replace(server, process=process, guard=guard, dead_man=0, fired=True)
        )

    def somebody_answers(self, name: NodeName) -> bool:
        """Some standby still streams from it, so that its dead-man is answered."""
        return self.upstream() == name and any(self.streams(other) for other in self.names)

    def writable(self) -> list[NodeName]:
        return [name for name in self.names if self[name].writable]

    def upstream(self) -> NodeName | None:
        """Where standbys stream from: the running server of the highest timeline, not frozen."""
        running = [n for n in self.names if self[n].process == UP and not self[n].recovery]
        return max(running, key=lambda n: self[n].timeline, default=None)

    def streams(self, name: NodeName) -> bool:
        server, upstream = self[name], self.upstream()
        return (
            upstream is not None
            and server.process == UP
            and server.recovery
            and not server.frozen
            and not server.guard
            and server.follows == upstream
            and server.timeline == self[upstream].timeline
        )


def beginning(standbys: int = 2, *, agent: bool = False) -> World:
    return World((Server(recovery=False), *(Server() for _ in range(standbys))), agent)


def policies(world: World) -> dict[NodeName, NodePolicy]:
    return {name: NodePolicy(f"10.0.0.{n}") for n, name in enumerate(world.names, 1)}


WAY = {TargetName("haproxy"): TargetPolicy(closes=True)}


def policy_of(standbys: int = 2, **changes: object) -> Policy:
    base = Policy(nodes=policies(beginning(standbys)), cooldown_s=5.0, max_per_day=10)
    return replace(base, **changes)  # type: ignore[arg-type]


def address_of(name: str) -> str:
    return f"10.0.0.{NAMES.index(NodeName(name)) + 1}"
