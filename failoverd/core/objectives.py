"""The worst outage to expect of each kind of fault: what the configuration and the servers allow.

A bound of what is configured, step by step, where each host that answers does so within the time
limit of a look. What no limit bounds (bytes to carry, bytes to replay) is taken as it is now.
"""

from __future__ import annotations

import enum
from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from failoverd.core.dead_man import FIRES_WITHIN_S
from failoverd.core.policy import Choice, Mode, Policy


class Fault(enum.StrEnum):
    CRASH = "crash"
    HANG = "hang"
    STOP = "stop"
    HOST_LOST = "host_lost"
    ISOLATED = "isolated"
    HALF_HUNG = "half_hung"
    UNWRITABLE = "unwritable"


MEANING: Mapping[Fault, str] = {
    Fault.CRASH: "the server dies, and its host answers",
    Fault.HANG: "its processes exist, and answer nobody",
    Fault.STOP: "it is shut down cleanly and stays down",
    Fault.HOST_LOST: "its host is gone: power, kernel or hardware",
    Fault.ISOLATED: "its host is cut off from us and from the standbys, and runs on",
    Fault.HALF_HUNG: "new connections hang, old ones work",
    Fault.UNWRITABLE: "reads work, commits fail",
}
SILENT_HOST = frozenset({Fault.HOST_LOST, Fault.ISOLATED})
"""Where nothing can be asked of the primary's host."""


@dataclass(frozen=True, slots=True)
class RungMeans:
    """A rung of the ladder. `limit_s`: of the agent or command, or the TTL of the dead-man."""

    name: str
    limit_s: float = 0.0


@dataclass(frozen=True, slots=True)
class Means:
    """What decides how long a failover takes, beside the policy."""

    rungs: tuple[RungMeans, ...] = (RungMeans("stop"),)
    stop_fast_s: float = 5.0
    stop_immediate_s: float = 2.0
    ways_s: float = 0.0
    """The longest time limit of a way of the applications."""
    rto_s: float | None = None
    """What an operator wants of it."""


@dataclass(frozen=True, slots=True)
class Backlog:
    """Of the standby that would take over, now."""

    missing_bytes: int = 0
    """WAL that it has not received."""
    unreplayed_bytes: int = 0


@dataclass(frozen=True, slots=True)
class Objective:
    fault: Fault
    worst_s: float | None
    """None: not covered."""
    by: str
    """The rung that would fence; empty: none."""
    why: str
    """Step by step, or why it is not covered."""
    chosen: bool = False
    """Not covered since the configuration says so, not for want of a way."""

    @property
    def sentence(self) -> str:
        if self.worst_s is None:
            return f"{self.fault}: not covered ({self.why})"
        return f"{self.fault}: at most about {self.worst_s:.1f} s ({self.why})"


TWO_LOOKS_S = 0.2
HESITATION_S = 0.3
"""What a round with a silent server or host takes beside its time limit."""
LEAST_LOOK_S = 1.0
SILENT_STOP_S = 0.5
"""Rung `stop`, given up at once where the host was silent and another rung follows."""
FENCE_ROUND_TRIP_S = 1.0
KILLING_S = 1.0
FREEZE_S = 1.0
PROMOTE_S = 1.0
CONFIRM_S = 1.0
RENEWAL_AGE_S = 2.0
"""A renewal of the dead-man may have been sent so long after the last answer."""
CARRIED_BYTES_S = 10 << 20
REPLAYED_BYTES_S = 30 << 20
"""Cautious rates of salvage and of replay, on small machines."""


def objectives(policy: Policy, means: Means, backlog: Backlog) -> tuple[Objective, ...]:
    return tuple(_objective(fault, policy, means, backlog) for fault in Fault)


def _objective(fault: Fault, p: Policy, means: Means, backlog: Backlog) -> Objective:
    left = _left_to_people(fault, p)
    if left:
        return Objective(fault, None, "", left, chosen=True)
    tried = list(_climbed(fault, means))
    if not tried or not tried[-1][2]:
        why = "no rung of fencing.ladder works without its host: add agent, command or dead_man"
        return Objective(fault, None, "", why)
    by = tried[-1][0]
    steps = {"detect": _detect_s(fault, p)}
    for name, seconds, _ in tried:
        steps[f"fence by {name}"] = seconds
    if by == "dead_man":
        # It counts from the last renewal, beside our own detection.
        expires_s = RENEWAL_AGE_S + tried[-1][1]
        elapsed_s = sum(steps.values()) - tried[-1][1] + FREEZE_S
        steps["fence by dead_man"] = max(0.0, expires_s - elapsed_s) + FIRES_WITHIN_S
    steps["freeze"] = FREEZE_S
    if p.salvage and by == "stop":
        rate = min(CARRIED_BYTES_S, p.limits.salvage_bytes_s or CARRIED_BYTES_S)
        steps["salvage"] = min(p.limits.salvage_s, backlog.missing_bytes / rate)
    replay_s = (backlog.unreplayed_bytes + backlog.missing_bytes) / REPLAYED_BYTES_S
    steps["promote"] = min(p.limits.promote_s, PROMOTE_S + replay_s)
    steps["confirm"] = min(p.limits.confirm_s, CONFIRM_S)
    steps["redirect"] = min(p.limits.redirect_s, means.ways_s)
    told = ", ".join(f"{name} {seconds:.1f}" for name, seconds in steps.items() if seconds)
    return Objective(fault, round(sum(steps.values()), 3), by, told)


def _left_to_people(fault: Fault, p: Policy) -> str:
    """The configuration says that such a fault waits for an operator."""
    if p.mode is not Mode.AUTOMATIC:
        return f"failover.mode is {p.mode}"
    by_choice = {
        Fault.STOP: ("on_clean_stop", p.on_clean_stop),
        Fault.HALF_HUNG: ("on_half_hung", p.on_half_hung),
        Fault.UNWRITABLE: ("on_unwritable", p.on_unwritable),
    }
    key, choice = by_choice.get(fault, ("", Choice.FAILOVER))
    return f"failover.{key} is wait" if choice is Choice.WAIT else ""


def _detect_s(fault: Fault, p: Policy) -> float:
    look_s = max(p.timeout_s, LEAST_LOOK_S) + HESITATION_S
    if fault is Fault.CRASH and p.fast_path:
        return p.interval_s + TWO_LOOKS_S + look_s
    threshold_s = p.interval_s + (p.failures - 1) * max(p.interval_s, look_s) + look_s
    match fault:
        case Fault.HALF_HUNG:
            return max(threshold_s, p.interval_s + p.half_hung_after_s + look_s)
        case Fault.UNWRITABLE:
            return p.write_check_interval_s + threshold_s
        case _:
            return threshold_s


def _climbed(fault: Fault, means: Means) -> Iterator[tuple[str, float, bool]]:
    """Rung, seconds, and whether it gives a proof: those before it are given up on first."""
    for number, rung in enumerate(means.rungs):
        last = number == len(means.rungs) - 1
        match rung.name:
            case "stop" if fault in SILENT_HOST:
                if not last:
                    yield rung.name, SILENT_STOP_S, False
            case "stop":
                yield rung.name, _stop_s(fault, means), True
                return
            case "agent":
                yield rung.name, 2 * rung.limit_s, True
                return
            case _:
                yield rung.name, rung.limit_s, True
                return


def _stop_s(fault: Fault, means: Means) -> float:
    if fault in (Fault.CRASH, Fault.STOP):
        return FENCE_ROUND_TRIP_S
    immediate_s = FENCE_ROUND_TRIP_S + means.stop_immediate_s + KILLING_S
    return immediate_s + (means.stop_fast_s if fault is Fault.UNWRITABLE else 0.0)


def beyond(all_of_them: tuple[Objective, ...], rto_s: float | None) -> tuple[Objective, ...]:
    """Covered, and longer than what is wanted."""
    return tuple(
        one
        for one in all_of_them
        if rto_s is not None and one.worst_s is not None and one.worst_s > rto_s
    )
