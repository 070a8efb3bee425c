"""What can happen: a view of the cluster, a deadline, a reply of an effect, a command."""

from __future__ import annotations

import enum
from collections.abc import Mapping
from dataclasses import dataclass, field

from failoverd.core.dead_man import ArmedFor, Reading
from failoverd.core.divergence import Divergence
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
    WallTime,
)
from failoverd.core.policy import TargetName
from failoverd.core.schedule import (
    Checkpointed,
    OperatorCancels,
    OperatorRejoins,
    OperatorSwitchover,
    Rejoined,
    Rejoining,
)
from failoverd.core.target import TargetReport
from failoverd.core.wal_answers import LossMeasured, NotSalvaged, Salvaged


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
    switch_point: Lsn | None = None
    """Where its timeline left the old one, by its history file; None where that was not read."""


@dataclass(frozen=True, slots=True)
class Redirected:
    evidence: Evidence


@dataclass(frozen=True, slots=True)
class TargetClosed:
    """No application reaches the old primary by this way."""

    evidence: Evidence


@dataclass(frozen=True, slots=True)
class Unguarded:
    evidence: Evidence


@dataclass(frozen=True, slots=True)
class Unfenced:
    evidence: Evidence


@dataclass(frozen=True, slots=True)
class Quarantined:
    """Our guard is in place, and nothing but a standby runs there."""

    evidence: Evidence


@dataclass(frozen=True, slots=True)
class DivergenceMeasured:
    divergence: Divergence
    evidence: Evidence


@dataclass(frozen=True, slots=True)
class KeptDown:
    """Nothing runs there; the evidence says what keeps it so beside the guard, if anything does."""

    evidence: Evidence


@dataclass(frozen=True, slots=True)
class Repointed:
    """It was told whom to follow, and its slot is there; not that it streams already."""

    evidence: Evidence


@dataclass(frozen=True, slots=True)
class DeadManArmed:
    """It watches, and its own session with the server answers."""

    name: str
    armed_for: ArmedFor
    reading: Reading
    """Which the arming claimed."""
    evidence: Evidence


@dataclass(frozen=True, slots=True)
class SynchronousSet:
    """Written and reloaded; not yet seen in force."""

    evidence: Evidence


@dataclass(frozen=True, slots=True)
class Retired:
    """Stopped, guarded, and no promotion is on its disk."""

    evidence: Evidence


@dataclass(frozen=True, slots=True)
class Equipped:
    """The slots of the old primary are here as far as they can be, and a checkpoint is asked."""

    evidence: Evidence


@dataclass(frozen=True, slots=True)
class DeadManDisarmed:
    evidence: Evidence


STALE_EPOCH = "stale_epoch"
"""Why a fence was refused: the host has acted for another daemon, or for a later incident."""
DEAD_MAN_VOID = "dead_man_void"
"""Why a fence failed: the dead-man is no proof any more, however long it is waited for."""
REPLAYING = "replaying"
"""Why a candidate is not out of recovery yet: it replays what it has, and gets on with it."""
WAL_GONE = "wal_gone"
"""Why a standby was not told whom to follow: what it would go on with is not there any more."""
REJOIN_FAILED = "rejoin_failed"
"""It was tried and cannot be done as things are; any other reason is asked again."""
FROZEN_ALREADY = "frozen_already"
"""Why settings were not read: by another daemon, which may have asked it to promote."""


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
    | NotSalvaged
    | LossMeasured
    | NotConfigured
    | Promoted
    | Confirmed
    | Redirected
    | TargetClosed
    | Unguarded
    | Unfenced
    | Quarantined
    | Repointed
    | Equipped
    | Retired
    | SynchronousSet
    | DeadManArmed
    | DeadManDisarmed
    | KeptDown
    | DivergenceMeasured
    | Rejoining
    | Rejoined
    | Checkpointed
    | EffectFailed
)


# What can happen.


@dataclass(frozen=True, slots=True)
class Observed:
    view: ClusterView
    targets: Mapping[TargetName, TargetReport] = field(
        default_factory=dict[TargetName, TargetReport]
    )
    """As they were last looked at."""


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
class DeadManLost:
    """Its host says that what was armed under that name does not watch any more."""

    name: str
    why: str


@dataclass(frozen=True, slots=True)
class DaemonStops:
    """In good order: what is armed must not outlive it."""


@dataclass(frozen=True, slots=True)
class Progressed:
    """How far what is under way has come; no answer yet."""

    visit: int
    done_bytes: int
    of_bytes: int


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


@dataclass(frozen=True, slots=True)
class OperatorFences:
    """`failoverd fence NODE`: guard and stop a node that is not the primary."""

    by: str
    node: NodeName


@dataclass(frozen=True, slots=True)
class OperatorUnfences:
    """`failoverd unfence NODE`: give a failover up, and start the old primary read-write."""

    by: str
    node: NodeName


@dataclass(frozen=True, slots=True)
class OperatorAdopts:
    """`failoverd adopt NODE`: this writable node is the primary, whatever the journal says."""

    by: str
    node: NodeName


Command = (
    OperatorFailover
    | OperatorPause
    | OperatorResume
    | OperatorVouches
    | OperatorAcknowledges
    | OperatorFences
    | OperatorUnfences
    | OperatorAdopts
    | OperatorRejoins
    | OperatorSwitchover
    | OperatorCancels
)
Event = Observed | Woke | Replied | Progressed | DeadManLost | DaemonStops | Command
