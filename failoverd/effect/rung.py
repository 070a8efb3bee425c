"""The rungs of the ladder, as they are configured for one node."""

from __future__ import annotations

from dataclasses import dataclass

from failoverd.core.dead_man import FIRES_WITHIN_S
from failoverd.transport.fence_agent import FenceAgent


@dataclass(frozen=True, slots=True)
class Stop:
    """Guard and stop over SSH."""

    name = "stop"
    timeout_s = 0.0
    """The step's own limit is its limit."""


@dataclass(frozen=True, slots=True)
class PowerOff:
    """Turn its host off by a fence agent."""

    agent: FenceAgent
    name = "agent"

    @property
    def timeout_s(self) -> float:
        return 2 * self.agent.timeout_s


@dataclass(frozen=True, slots=True)
class OwnCommand:
    """A program of the operator's, who answers for what its exit status 0 means."""

    argv: tuple[str, ...]
    timeout_s: float
    name = "command"


@dataclass(frozen=True, slots=True)
class DeadManExpiry:
    """Wait until the dead-man on its host must have ended it."""

    ttl_s: float
    name = "dead_man"

    @property
    def timeout_s(self) -> float:
        return self.ttl_s + FIRES_WITHIN_S + FROZEN_WITHIN_S


FROZEN_WITHIN_S = 5.0
"""For the standbys to be frozen, beside the rungs before this one."""

Rung = Stop | PowerOff | OwnCommand | DeadManExpiry
