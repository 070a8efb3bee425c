"""What can happen: a view of the cluster, a deadline, a reply of an effect, a command."""

from __future__ import annotations

import enum
from collections.abc import Mapping
from dataclasses import dataclass

from failoverd.core.effects import Effect
from failoverd.core.model import (
    ClusterView,
    Evidence,
    FenceProof,
    Frozen,
    Instant,
    Lsn,
    NodeName,
    SavedSettings,
    Timeline,
    WalLoss,
    WallTime,
)


@dataclass(frozen=True, slots=True)
class Now:
    """The two clocks, read once for one step."""

    monotonic: Instant
    wall: WallTime


class Trigger(enum.StrEnum):
    AUTOMATIC = "automatic"
    SIGNAL = "signal"
    COMMAND = "command"
    SWITCHOVER = "switchover"


# What an effect may answer.


@dataclass(frozen=True, slots=True)
class Fenced:
    proof: FenceProof

    @property
    def evidence(self) -> Evidence:
        return self.proof.evidence


@dataclass(frozen=True, slots=True)
class StillAlive:
    """The last look before an irreversible act saw the old primary alive: nothing was done."""

    evidence: Evidence


@dataclass(frozen=True, slots=True)
class SettingsRead:
    saved: SavedSettings
    evidence: Evidence


@dataclass(frozen=True, slots=True)
class FrozenAt:
    frozen: Frozen
    evidence: Evidence


@dataclass(frozen=True, slots=True)
class Thawed:
    evidence: Evidence


@dataclass(frozen=True, slots=True)
class Salvaged:
    loss: WalLoss
    evidence: Evidence


@dataclass(frozen=True, slots=True)
class NotConfigured:
    """This installation has nothing that does it; said, never pretended."""

    evidence: Evidence


@dataclass(frozen=True, slots=True)
class Promoted:
    evidence: Evidence


@dataclass(frozen=True, slots=True)
class Confirmed:
    timeline: Timeline
    written_lsn: Lsn
    sync_blocked: bool
    """A default commit hangs for want of a synchronous standby."""
    server_log: tuple[str, ...]
    """The new primary's own lines about its promotion; empty where `server_log_unreadable`."""
    server_log_unreadable: str
    evidence: Evidence


@dataclass(frozen=True, slots=True)
class Redirected:
    evidence: Evidence


@dataclass(frozen=True, slots=True)
class Unguarded:
    evidence: Evidence


@dataclass(frozen=True, slots=True)
class Unfenced:
    evidence: Evidence


@dataclass(frozen=True, slots=True)
class EffectFailed:
    """It was not done, or nobody knows whether it was: both are asked again."""

    reason: str
    evidence: Evidence
    advice: str = ""
    """The exact command that a human can run."""


Result = (
    Fenced
    | StillAlive
    | SettingsRead
    | FrozenAt
    | Thawed
    | Salvaged
    | NotConfigured
    | Promoted
    | Confirmed
    | Redirected
    | Unguarded
    | Unfenced
    | EffectFailed
)


# What can happen.


@dataclass(frozen=True, slots=True)
class Observed:
    view: ClusterView


@dataclass(frozen=True, slots=True)
class Woke:
    """A deadline that the machine asked for has come."""


@dataclass(frozen=True, slots=True)
class Replied:
    visit: int
    """Of the state that asked; an answer to an earlier visit is dropped."""
    effect: Effect
    result: Result


@dataclass(frozen=True, slots=True)
class OperatorFailover:
    """An override: skips threshold, cooldown and mode; never proof, identity or promises."""

    trigger: Trigger
    by: str
    to: NodeName | None = None
    accept_loss_bytes: int | None = None


@dataclass(frozen=True, slots=True)
class OperatorPause:
    by: str
    until: WallTime | None = None


@dataclass(frozen=True, slots=True)
class OperatorResume:
    by: str


@dataclass(frozen=True, slots=True)
class OperatorVouches:
    """`failoverd fenced NODE --reason TEXT`: a human answers for the fence."""

    by: str
    node: NodeName
    reason: str


@dataclass(frozen=True, slots=True)
class OperatorAcknowledges:
    """`failoverd ack`: the cooldown and the daily limit start anew."""

    by: str


Command = OperatorFailover | OperatorPause | OperatorResume | OperatorVouches | OperatorAcknowledges
Event = Observed | Woke | Replied | Command


@dataclass(frozen=True, slots=True)
class Election:
    """Who takes over, and why not each of the others."""

    candidate: NodeName | None
    position: Lsn | None
    loss: WalLoss | None
    refused: Mapping[NodeName, str]

    @property
    def sentence(self) -> str:
        refusals = "; ".join(f"{node}: {why}" for node, why in sorted(self.refused.items()))
        if self.candidate is None:
            return f"no standby can take over ({refusals or 'none is known'})"
        chosen = f"{self.candidate} at {self.position}"
        return f"{chosen} (refused: {refusals})" if refusals else chosen
