"""How a cluster is to be watched and when to act: plain values that config/ builds."""

from __future__ import annotations

import enum
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import NewType

from failoverd.core.model import NodeName

TargetName = NewType("TargetName", str)
"""Of one way by which applications reach the primary."""


class Mode(enum.StrEnum):
    AUTOMATIC = "automatic"
    MANUAL = "manual"
    OBSERVE = "observe"


class Choice(enum.StrEnum):
    """What a diagnosis that an operator must weigh leads to."""

    FAILOVER = "failover"
    WAIT = "wait"


class OnSplitBrain(enum.StrEnum):
    """What is done about a stale primary that takes writes beside the present one."""

    ALERT = "alert"
    FENCE = "fence"
    """Only where the journal records that another took its place."""


class RejoinChoice(enum.StrEnum):
    """How a fenced node comes back: by itself after a delay, or when an operator says so."""

    AUTO = "auto"
    MANUAL = "manual"


@dataclass(frozen=True, slots=True)
class NodePolicy:
    host: str
    port: int = 5432
    priority: int = 100
    never: bool = False
    """Never a candidate."""
    has_service: bool = False
    """Something but us starts it (a systemd unit, Debian's pg_ctlcluster): told to stay down."""


@dataclass(frozen=True, slots=True)
class TargetPolicy:
    """What can be done with a way to the primary, beside leading it to another."""

    closes: bool = False
    """It can be closed at once towards a primary that is being fenced."""
    pauses: bool = False
    """It can make applications wait, so that a switchover breaks none of their sessions."""


@dataclass(frozen=True, slots=True)
class DeadManPolicy:
    """The rung `dead_man` of the ladder."""

    ttl_s: float
    standbys: frozenset[NodeName] | None = None
    """Who may be named to it; None: whoever may take over."""


@dataclass(frozen=True, slots=True)
class StepLimits:
    """Seconds that a step may take before it counts as failed and is asked again."""

    fence_s: float = 20.0
    freeze_s: float = 5.0
    promote_s: float = 60.0
    start_s: float = 60.0
    confirm_s: float = 10.0
    redirect_s: float = 10.0
    checkpoint_s: float = 60.0
    rejoin_s: float = 43200.0
    salvage_s: float = 60.0
    salvage_bytes_s: int = 0
    """WAL is carried no faster; 0: as fast as it goes."""


@dataclass(frozen=True, slots=True)
class Policy:
    nodes: Mapping[NodeName, NodePolicy]
    interval_s: float = 1.0
    fresh_interval_s: float = 1.0
    timeout_s: float = 1.0
    failures: int = 3
    fast_path: bool = True
    write_check: bool = True
    write_check_interval_s: float = 10.0
    busy_limit_s: float = 60.0
    recovery_limit_s: float = 300.0
    half_hung_after_s: float = 30.0
    on_half_hung: Choice = Choice.WAIT
    on_unwritable: Choice = Choice.WAIT
    on_clean_stop: Choice = Choice.FAILOVER
    on_split_brain: OnSplitBrain = OnSplitBrain.ALERT
    mode: Mode = Mode.AUTOMATIC
    max_data_loss_bytes: int = 16 * 1024 * 1024
    cooldown_s: float = 600.0
    max_per_day: int = 3
    salvage: bool = True
    disk_first: bool = True
    """The first rung of the ladder is one that reads the old primary's disk."""
    synchronous_managed: bool = False
    synchronous_count: int = 1
    """Standbys that a commit waits for, where they are there."""
    dead_man: DeadManPolicy | None = None
    limits: StepLimits = field(default_factory=StepLimits)
    targets: Mapping[TargetName, TargetPolicy] = field(
        default_factory=dict[TargetName, TargetPolicy]
    )
    """Ways by which applications reach the primary; each is led to a new one."""

    rejoin: RejoinChoice = RejoinChoice.AUTO
    rejoin_delay_s: float = 60.0
    can_rejoin: bool = False
    """There are replication credentials to come back with."""
    switchover_max_lag_bytes: int = 16 * 1024 * 1024

    @property
    def threshold_s(self) -> float:
        return self.failures * self.interval_s
