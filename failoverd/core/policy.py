"""How a cluster is to be watched and when to act: plain values that config/ builds."""

from __future__ import annotations

import enum
from collections.abc import Mapping
from dataclasses import dataclass, field

from failoverd.core.model import NodeName


class Mode(enum.StrEnum):
    AUTOMATIC = "automatic"
    MANUAL = "manual"
    OBSERVE = "observe"


class Choice(enum.StrEnum):
    """What a diagnosis that an operator must weigh leads to."""

    FAILOVER = "failover"
    WAIT = "wait"


@dataclass(frozen=True, slots=True)
class NodePolicy:
    host: str
    port: int = 5432
    priority: int = 100
    never: bool = False
    """Never a candidate."""


@dataclass(frozen=True, slots=True)
class StepLimits:
    """Seconds that a step may take before it counts as failed and is asked again."""

    fence_s: float = 20.0
    freeze_s: float = 5.0
    promote_s: float = 60.0
    confirm_s: float = 10.0
    redirect_s: float = 10.0


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
    mode: Mode = Mode.AUTOMATIC
    max_data_loss_bytes: int = 16 * 1024 * 1024
    cooldown_s: float = 600.0
    max_per_day: int = 3
    salvage: bool = True
    require_proof: bool = True
    limits: StepLimits = field(default_factory=StepLimits)

    @property
    def threshold_s(self) -> float:
        return self.failures * self.interval_s
