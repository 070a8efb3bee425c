"""What is done on purpose: the commands, the answers, and what of it is to be done later."""

from __future__ import annotations

from dataclasses import dataclass

from failoverd.core.model import Evidence, NodeName, WallTime

_EPOCH = WallTime(0.0)


@dataclass(frozen=True, slots=True)
class Scheduled:
    """A switchover that is to be done later, or a drill that is under way."""

    by: str
    to: NodeName | None = None
    at: WallTime = _EPOCH
    home: NodeName | None = None
    """Of a drill: who was the primary before it, and is again after it."""


@dataclass(frozen=True, slots=True)
class OperatorRejoins:
    """`failoverd rejoin NODE`: bring a fenced node, or a diverged standby, back as a standby."""

    by: str
    node: NodeName


@dataclass(frozen=True, slots=True)
class OperatorSwitchover:
    """Without loss or not at all. `at`: not now. `drill`: there and back, for its figures."""

    by: str
    to: NodeName | None = None
    at: WallTime | None = None
    drill: bool = False


@dataclass(frozen=True, slots=True)
class OperatorCancels:
    """`failoverd switchover --cancel`: what is scheduled is not done; a drill ends where it is."""

    by: str


# What an effect may answer.


@dataclass(frozen=True, slots=True)
class Rejoining:
    """How far it is; `begun`: the process that does it was started on the host."""

    begun: bool
    evidence: Evidence


@dataclass(frozen=True, slots=True)
class Rejoined:
    """It streams from the primary on its timeline, as both ends say."""

    evidence: Evidence


@dataclass(frozen=True, slots=True)
class Checkpointed:
    evidence: Evidence
