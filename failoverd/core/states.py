"""One frozen dataclass per state, holding exactly what is known in it.

`Promoting` holds a `FenceProof`: a promotion without a proof cannot be written down.
Deadlines are instants of this process; after a restart they start anew.
"""

from __future__ import annotations

import enum
from collections.abc import Mapping
from dataclasses import dataclass, field

from failoverd.core.diagnosis import Diagnosis
from failoverd.core.effects import StopMode
from failoverd.core.events import Confirmed, Trigger
from failoverd.core.model import (
    Epoch,
    FenceProof,
    Frozen,
    Instant,
    Lsn,
    NodeName,
    Timeline,
    WalEnd,
    WalLoss,
)
from failoverd.core.policy import TargetName


class BlockReason(enum.StrEnum):
    NO_FENCE_PROOF = "no_fence_proof"
    NO_CANDIDATE = "no_candidate"
    LOSS_TOO_LARGE = "loss_too_large"
    COOLDOWN = "cooldown"
    TOO_MANY_FAILOVERS = "too_many_failovers"
    NEVER_SEEN_HEALTHY = "never_seen_healthy"
    SPLIT_BRAIN = "split_brain"
    DEMOTED = "demoted"
    PROMOTION_PENDING = "promotion_pending"
    UNCONFIRMED = "unconfirmed"


@dataclass(frozen=True, slots=True)
class Incident:
    """One failover, from the decision to the confirmation or the way back."""

    epoch: Epoch
    """Its number, which every act on a host carries."""
    trigger: Trigger
    diagnosis: Diagnosis
    by: str = ""
    wanted: NodeName | None = None
    accept_loss_bytes: int | None = None
    timeline: Timeline = Timeline(0)
    """On which the primary wrote when it began; whoever writes on a later one came after."""
    given_up: tuple[NodeName, ...] = ()
    """Asked to promote and failed; proved stopped before another was asked."""


@dataclass(frozen=True, slots=True)
class Starting:
    """Nothing is believed before every node has been looked at."""

    resuming: bool = False
    """An incident was cut short: its procedure is taken up again, with the fence proved anew."""
    settling: Settling | None = None
    """A confirmed failover was cut short: applications are still to be sent over."""


@dataclass(frozen=True, slots=True)
class Watching:
    pass


@dataclass(frozen=True, slots=True)
class Suspect:
    diagnosis: Diagnosis
    since: Instant
    looked_at: Instant
    """When the first of two conclusive looks began; for other diagnoses, `since`."""
    would: str = ""
    """What it called for, where the mode does not act by itself."""
    overdue: bool = False
    """It has only refused for longer than `busy_limit`: somebody must look."""


class Preparation(enum.StrEnum):
    """Of a switchover, while the primary serves and nothing is touched yet."""

    CHECKPOINT = "checkpoint"
    PAUSE = "pause"
    """Applications are made to wait, where their way can do that."""
    DONE = "done"


@dataclass(frozen=True, slots=True)
class Fencing:
    incident: Incident
    primary: NodeName
    mode: StopMode
    standbys: tuple[NodeName, ...]
    why: str
    attempt: int = 0
    elsewhere: bool = False
    """Its host refused it: another daemon acts, and what we froze is thawed for it."""
    gives_up: NodeName | None = None
    """It was asked to promote and did not: stopped first, so that another may be asked."""
    wal_from: Lsn | None = None
    """Up to where the standby that would take over had received."""
    preparation: Preparation = Preparation.DONE
    paused: frozenset[TargetName] = frozenset()
    """Targets that have answered whether they make applications wait."""

    @property
    def closes_targets(self) -> bool:
        """At its first attempt, and not where a dead server closes them by itself."""
        return self.mode is not StopMode.DEAD_ONLY and self.attempt == 0


@dataclass(frozen=True, slots=True)
class Electing:
    proof: FenceProof
    standbys: tuple[NodeName, ...]
    frozen: Mapping[NodeName, Frozen] = field(default_factory=dict[NodeName, Frozen])
    failed: Mapping[NodeName, str] = field(default_factory=dict[NodeName, str])
    attempt: int = 0
    """Grows where one is asked again that could not be frozen, and has more than the others."""


@dataclass(frozen=True, slots=True)
class Salvaging:
    proof: FenceProof
    candidate: NodeName
    position: Lsn
    loss: WalLoss
    """What is known of it now; salvage proves it, or lowers it."""
    source: NodeName | None = None
    """Whose disk is read; None: nobody's."""
    tried: tuple[NodeName, ...] = ()
    """Whose disk was read in vain."""
    done_bytes: int = 0
    of_bytes: int = 0
    """0: nothing was carried yet."""
    attempt: int = 0


@dataclass(frozen=True, slots=True)
class Promoting:
    proof: FenceProof
    candidate: NodeName
    position: Lsn
    loss: WalLoss
    attempt: int = 0
    asked_before: bool = False
    """In an earlier visit: a refusal of now proves nothing about that one."""
    end: WalEnd | None = None
    """Of the old primary's WAL, where it was read."""


@dataclass(frozen=True, slots=True)
class Confirming:
    proof: FenceProof
    candidate: NodeName
    loss: WalLoss
    attempt: int = 0
    end: WalEnd | None = None
    """Of the old primary's WAL, where it was read: what the switch point is compared with."""


@dataclass(frozen=True, slots=True)
class Settling:
    """Applications are sent over; the failover itself stands."""

    primary: NodeName
    confirmed: Confirmed
    done: frozenset[str] = frozenset()
    """Targets that lead there."""
    until: Instant = Instant(0.0)
    """Then the watch goes on; what is not done by then is retried beside it."""


@dataclass(frozen=True, slots=True)
class Reverting:
    """Back to where we came from: thaw the standbys, take the guard back (and start again)."""

    primary: NodeName
    restart: bool
    """True where the old primary was stopped by our fence and must run again."""
    then: BlockReason | None
    why: str
    guard_owed: bool = True
    attempt: int = 0
    retry_at: Instant | None = None


@dataclass(frozen=True, slots=True)
class Paused:
    by: str


@dataclass(frozen=True, slots=True)
class Blocked:
    reason: BlockReason
    why: str
    since: Instant
    retry_at: Instant
    advice: str = ""
    returns_to: Fencing | Confirming | None = None
    """What is asked again at `retry_at`; None: nothing was touched."""
    diagnosis: Diagnosis | None = None
    diagnosed_at: Instant = Instant(0.0)
    """Since when that is seen: what was seen before does not count for it."""


State = (
    Starting
    | Watching
    | Suspect
    | Fencing
    | Electing
    | Salvaging
    | Promoting
    | Confirming
    | Settling
    | Reverting
    | Paused
    | Blocked
)


class StateName(enum.StrEnum):
    """The only values of `state` anywhere: metrics, journal, log, API."""

    STARTING = "starting"
    WATCHING = "watching"
    SUSPECT = "suspect"
    FENCING = "fencing"
    ELECTING = "electing"
    SALVAGING = "salvaging"
    PROMOTING = "promoting"
    CONFIRMING = "confirming"
    SETTLING = "settling"
    REVERTING = "reverting"
    PAUSED = "paused"
    BLOCKED = "blocked"


def name_of(state: State | type[State]) -> StateName:
    kind = state if isinstance(state, type) else type(state)
    return StateName(kind.__name__.lower())
