"""Applications follow the primary: what is asked of each target, and when it is asked again.

Asked after a confirmation within the budget of `settling`, and as upkeep for as long as it takes.
While fencing, a target may be closed towards a primary that may still answer; it is opened again
as soon as that one turns out alive, or cannot be fenced.
"""

from __future__ import annotations

from dataclasses import replace

from failoverd.core.decision import retry_at
from failoverd.core.diagnosis import FINE
from failoverd.core.effects import CloseTarget, Redirect
from failoverd.core.events import (
    EffectFailed,
    Event,
    NotConfigured,
    Now,
    Observed,
    Redirected,
    Replied,
)
from failoverd.core.model import Instant, NodeName
from failoverd.core.policy import Policy, TargetName
from failoverd.core.retry import in_seconds, is_due
from failoverd.core.situation import Machine
from failoverd.core.states import (
    Blocked,
    Confirming,
    Electing,
    Fencing,
    Paused,
    Promoting,
    Reverting,
    Salvaging,
    Settling,
    Starting,
    Suspect,
    Watching,
)
from failoverd.core.target import TargetJob, anew, as_configured, owed


def redirections(m: Machine) -> tuple[Redirect, ...]:
    """What is owed and due. The primary must be known and, after the failover, be seen well."""
    primary = m.memory.primary
    if primary is None or (isinstance(m.state, Watching) and m.diagnosis not in FINE):
        return ()
    return tuple(
        Redirect(primary, name, m.epoch, m.targets[name].attempt)
        for name in owed(m.targets, primary)
        if m.targets[name].retry_at is None
    )


def closings(s: Fencing, m: Machine) -> tuple[CloseTarget, ...]:
    """Beside the fence, once an incident; to a dead server there is nothing to close."""
    if not s.closes_targets:
        return ()
    jobs = sorted(m.targets.items())
    return tuple(CloseTarget(s.primary, name, m.epoch) for name, job in jobs if job.closes)


def pauses(m: Machine) -> tuple[CloseTarget, ...]:
    """Before a clean stop: whatever can make applications wait does so (see `target.closed`)."""
    primary = m.memory.primary
    if primary is None:
        return ()
    jobs = sorted(m.targets.items())
    return tuple(CloseTarget(primary, n, m.epoch) for n, job in jobs if job.closes or job.pauses)


def followed(m: Machine, event: Event, now: Now, p: Policy) -> Machine:
    """With what an answer or a look says of the targets. In every state."""
    targets = as_configured(m.targets, p.targets)
    m = _due(m if targets == m.targets else replace(m, targets=targets), now)
    match event:
        case Replied(visit=visit, effect=Redirect(primary=primary, target=target), result=result):
            # An answer to an earlier visit may be older than what was closed since.
            if visit != m.visit or primary != m.memory.primary or target not in m.targets:
                return m
            return _answered(m, target, primary, result, now)
        case Observed():
            return _drifted(m)
        case _:
            return m


def _answered(
    m: Machine, target: TargetName, primary: NodeName, result: object, now: Now
) -> Machine:
    job = m.targets[target]
    match result:
        case Redirected() | NotConfigured():
            after = replace(job, points_at=primary, failures=0, retry_at=None, since=now.monotonic)
        case EffectFailed():
            after = replace(
                job,
                attempt=job.attempt + 1,
                failures=job.failures + 1,
                retry_at=retry_at(now, job.failures),
            )
        case _:
            return m
    return _having(m, target, after)


def _drifted(m: Machine) -> Machine:
    """It leads elsewhere than it was made to: restarted, or somebody else's hand."""
    for name, job in m.targets.items():
        report = m.targets_seen.get(name)
        if (
            report is not None
            and report.look.ok
            and report.look.began_at > max(job.since, m.memory.primary_since)
            and job.points_at is not None
            and job.points_at == m.memory.primary
            and not report.leads_to(job.points_at)
        ):
            m = _having(m, name, anew(job))
    return m


def _due(m: Machine, now: Now) -> Machine:
    for name, job in m.targets.items():
        if is_due(job.retry_at, now):
            m = _having(m, name, replace(job, retry_at=None))
    return m


def _having(m: Machine, name: TargetName, job: TargetJob) -> Machine:
    return replace(m, targets={**m.targets, name: job})


def settled(s: Settling, m: Machine, now: Now) -> bool:
    """Every target leads to the new primary, or the budget is spent: the rest is upkeep.

    Where there are none it is waited for the answer that says so, which an observer never gets.
    """
    led = bool(m.targets) and not owed(m.targets, s.primary)
    return led or now.monotonic >= s.until


def reopened(s: Reverting, m: Machine) -> tuple[Redirect, ...]:
    """A primary that turned out alive does not wait for its guard to be taken back.

    Nor does one that runs again wait for the thaw of a standby that is out of reach.
    """
    return () if s.restart and s.guard_owed else redirections(m)


def settling_until(now: Now, p: Policy) -> Instant:
    return in_seconds(now, p.limits.redirect_s)


def agent_word(m: Machine, node: NodeName) -> str:
    """What an agent check is told of a node; empty: nothing, for nobody knows better.

    While a fence is tried nobody knows; once it is proved, its node is down; a candidate is up
    when it is confirmed.
    """
    primary = m.memory.primary
    match m.state:
        case Starting() | Fencing() | Reverting() | Blocked() | Suspect():
            return ""
        case Electing() | Salvaging() | Promoting() | Confirming():
            return "down" if node == primary else ""
        case Settling() | Watching() | Paused():
            if primary is None or (isinstance(m.state, Paused) and m.diagnosis not in FINE):
                return ""
            return "up" if node == primary else "down"
