"""Why a step came to what it did: which row of the diagnosis table matched, which rule decided.

A function of what the step was decided on, so that it can be asked for months later.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping
from dataclasses import dataclass

from failoverd.core import machine
from failoverd.core.diagnosis import (
    ROW_OF,
    ROWS,
    Calls,
    Diagnosis,
    calls_for_failover,
    diagnose,
    past_threshold,
)
from failoverd.core.events import Event, Now, Observed, Replied, Trigger, Woke
from failoverd.core.policy import Policy
from failoverd.core.sentences import heard
from failoverd.core.situation import Machine
from failoverd.core.states import Blocked, Fencing, StateName, Suspect, name_of


@dataclass(frozen=True, slots=True)
class Explanation:
    event: str
    """What happened."""
    from_state: StateName
    to_state: StateName
    diagnosis: Diagnosis | None
    """Of the primary; None where it was not looked at yet."""
    row: str
    """What the row of that diagnosis says."""
    ruled_out: tuple[Diagnosis, ...]
    """The rows above it, none of which matched."""
    calls: Calls | None
    """When that row calls for failover."""
    rule: str
    """What decided, with the figures that it was held against."""


def explain(before: Machine, event: Event, after: Machine, now: Now, policy: Policy) -> Explanation:
    """The step that led from `before` to `after`."""
    seen = before.observing(event, policy)
    found = diagnose(seen.view, seen.memory, policy) if seen.looked_at else None
    order = [row.diagnosis for row in ROWS]
    return Explanation(
        event=_happened(event),
        from_state=name_of(before.state),
        to_state=name_of(after.state),
        diagnosis=found,
        row="" if found is None else ROW_OF[found].sentence,
        ruled_out=() if found is None else tuple(order[: order.index(found)]),
        calls=None if found is None else ROW_OF[found].calls,
        rule=_rule(seen, event, after, now, policy),
    )


def _happened(event: Event) -> str:
    match event:
        case Observed():
            return "a look at the cluster"
        case Woke():
            return "a deadline passed"
        case _:
            return heard(event)


def _rule(seen: Machine, event: Event, after: Machine, now: Now, policy: Policy) -> str:
    """`seen`: as it was before, with the event folded in."""
    match seen.state, after.state:
        case ((Suspect() | Blocked(returns_to=None)), Fencing(incident=incident)) if (
            incident.trigger is Trigger.AUTOMATIC
        ):
            return f"{_called(seen, now, policy)}; {after.state.why}"
        case was, Blocked(reason=reason, why=why) if was != after.state:
            return f"{reason}: {why}"
        case (Suspect(diagnosis=diagnosis), Suspect()) if not isinstance(event, Replied):
            return f"{_of_state(seen)}; {_CALLS[ROW_OF[diagnosis].calls](seen, now, policy)}"
        case _:
            return _of_state(seen)


def _of_state(m: Machine) -> str:
    """The rule of a state is the sentence that stands over its function."""
    return inspect.getdoc(getattr(machine, name_of(m.state))) or ""


def _called(m: Machine, now: Now, policy: Policy) -> str:
    """Why an automatic failover was called for at this moment."""
    match m.state:
        case (
            Suspect(diagnosis=diagnosis, since=since)
            | Blocked(diagnosis=Diagnosis() as diagnosis, diagnosed_at=since)
        ):
            pass
        case _:
            return _of_state(m)
    if isinstance(m.state, Suspect) and not calls_for_failover(
        diagnosis, m.memory, policy, since, now.monotonic
    ):
        apart = m.primary_report.began_at - m.state.looked_at
        least = machine.TWO_LOOKS_APART_S
        return (
            f"{diagnosis} is conclusive in two looks: the second began {apart:.2f} s after the"
            f" first ({least:g} s are needed)"
        )
    return _CALLS[ROW_OF[diagnosis].calls](m, now, policy)


def _threshold(m: Machine, now: Now, policy: Policy) -> str:
    last = m.memory.last_alive_at
    silent = "it was never heard" if last is None else f"{now.monotonic - last:.2f} s of silence"
    verdict = "past" if past_threshold(m.memory, policy, now.monotonic) else "short of"
    return (
        f"{verdict} the threshold: {m.memory.failed_rounds} failed rounds of {policy.failures}"
        f" needed, {silent} of {policy.threshold_s:g} s needed"
    )


def _lasted(m: Machine, now: Now) -> float:
    since = m.state.since if isinstance(m.state, (Suspect, Blocked)) else now.monotonic
    return now.monotonic - since


Figures = Callable[[Machine, Now, Policy], str]

_CALLS: Mapping[Calls, Figures] = {
    Calls.NEVER: lambda _m, _now, _p: "this diagnosis never calls for failover",
    Calls.AFTER_TWO_LOOKS: _threshold,
    Calls.AFTER_THRESHOLD: _threshold,
    Calls.AFTER_RECOVERY_LIMIT: lambda m, now, p: (
        f"{_lasted(m, now):.0f} s of recovery_limit, {p.recovery_limit_s:.0f} s"
    ),
    Calls.BY_CLEAN_STOP_POLICY: lambda m, now, p: (
        f"on_clean_stop is {p.on_clean_stop}; {_threshold(m, now, p)}"
    ),
    Calls.BY_HALF_HUNG_POLICY: lambda m, now, p: (
        f"on_half_hung is {p.on_half_hung}; {_lasted(m, now):.0f} s of {p.half_hung_after_s:.0f} s"
    ),
    Calls.BY_UNWRITABLE_POLICY: lambda m, now, p: (
        f"on_unwritable is {p.on_unwritable}; {_lasted(m, now):.0f} s of {p.threshold_s:.0f} s"
    ),
    Calls.WHEN_SHUTTING_DOWN_FOR_EVER: lambda _m, _now, p: (
        f"on_clean_stop is {p.on_clean_stop}; a shutdown may last {p.recovery_limit_s:.0f} s"
    ),
}
"""By which figures each kind of call is held."""
