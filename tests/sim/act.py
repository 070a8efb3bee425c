"""What the host program of this world is told, and what it answers."""

from __future__ import annotations

from dataclasses import dataclass, field

from failoverd.core.effects import StopMode
from failoverd.core.model import HostFacts, NodeName, SavedSettings

DONE = 0
WRONG_CLUSTER = 10
NOT_DONE = 11
ALIVE = 13
STALE_EPOCH = 14
EXPIRED = 15
FOREIGN_GUARD = 17


@dataclass(frozen=True, slots=True)
class Act:
    """A verb and what it is told."""

    verb: str
    system: str = ""
    owner: str = ""
    epoch: int = 0
    boot: str = ""
    expires: float = 0.0
    mode: StopMode | None = None
    saved: SavedSettings | None = None
    marker_epoch: int = 0
    carried: tuple[int, ...] = ()
    standbys: tuple[NodeName, ...] = ()
    """Whom a dead-man asks before it fires."""
    ttl_s: float = 0.0
    arming: str = ""
    sent: float = 0.0
    """How old a renewal claims to be, by the host's clock."""
    began: float = 0.0
    by: str = ""
    """The daemon, for the invariants alone."""
    automatic: bool = False
    """For the invariants alone: a fence that no operator asked for."""


@dataclass(frozen=True, slots=True)
class Answer:
    status: int
    reason: str = ""
    facts: HostFacts | None = None
    fields: dict[str, object] = field(default_factory=dict[str, object])
