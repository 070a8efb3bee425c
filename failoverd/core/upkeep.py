"""Duties beside the procedure: what is owed to one node, retried until it is done.

A guard laid is a guard owed: where a failover was cancelled and the host was lost in
between, its guard is taken back when the host answers again. An old primary that comes
back writable is fenced again. None of this is done within the procedure.
"""

from __future__ import annotations

from dataclasses import replace

from failoverd.core.effects import Effect, Fence, Freeze, StopMode, Thaw, Unfence, Unguard
from failoverd.core.events import (
    EffectFailed,
    Event,
    Now,
    Observed,
    Replied,
    Thawed,
    Unfenced,
    Unguarded,
)
from failoverd.core.memory import direct
from failoverd.core.model import Instant, NodeName, SavedSettings
from failoverd.core.operator import in_procedure
from failoverd.core.policy import Policy
from failoverd.core.situation import Job, Machine, NodeJob, clocks_kept
from failoverd.core.states import Reverting

RETRY_S = 10.0


def upkeep(m: Machine) -> tuple[Effect, ...]:
    """What is owed and due. The new primary's frozen settings are put back here, too."""
    owed: list[Effect] = []
    for node, job in sorted(m.jobs.items()):
        if job.retry_at is not None:
            continue
        if job.job is Job.OWED_UNGUARD:
            owed.append(Unguard(node, m.epoch, job.attempt))
        elif job.job is Job.QUARANTINED and _came_back(m, node):
            owed.append(Fence(node, StopMode.FAST, m.epoch, job.attempt))
    for node, saved in sorted(owed_thaws(m).items()):
        job_of_node = m.jobs.get(node)
        if job_of_node is None or job_of_node.retry_at is None:
            attempt = 0 if job_of_node is None else job_of_node.attempt
            owed.append(Thaw(node, m.epoch, saved, attempt))
    return tuple(owed)


def owed_thaws(m: Machine) -> dict[NodeName, SavedSettings]:
    """Frozen and not meant to stay so: whoever is detached waits for a primary to follow."""
    return {
        node: saved
        for node, saved in m.saved.items()
        if node not in m.jobs or m.jobs[node].job is not Job.DETACHED
    }


def _came_back(m: Machine, node: NodeName) -> bool:
    """Fenced by us, superseded since, and seen taking writes on its old timeline."""
    server = m.view.report(node).server
    return (
        server is not None
        and not server.in_recovery
        and server.system_identifier == m.memory.system_identifier
        and server.timeline < m.memory.timeline
        and node != m.memory.primary
    )


def before_deciding(m: Machine, event: Event, now: Now, p: Policy) -> Machine:
    """Debts that a reply pays, that fall due, or that somebody else has paid. In every state."""
    m = _due(clocks_kept(m, now), now)
    match event:
        case Observed():
            return m if in_procedure(m) else _follow_again(m, p)
        case Replied():
            return _after_reply(m, event, now)
        case _:
            return m


def _after_reply(m: Machine, event: Replied, now: Now) -> Machine:
    # A thaw that was asked for before a freeze may be answered after it.
    in_time = event.visit == m.visit or not in_procedure(m)
    match event:
        case Replied(effect=Unguard() | Unfence() as effect, result=Unguarded() | Unfenced()):
            return _unguarded(m, effect)
        case Replied(effect=Thaw(node=node, saved=saved), result=Thawed()):
            return _thawed(m, node) if in_time and m.saved.get(node) == saved else m
        case Replied(effect=Unguard(node=node), result=EffectFailed()) if node in m.jobs:
            return _again_later(m, m.jobs[node], node, now)
        case Replied(effect=Thaw(node=node), result=EffectFailed()) if node in m.saved:
            job = m.jobs.get(node) or NodeJob(Job.OWED_THAW, m.epoch)
            return m if isinstance(m.state, Reverting) else _again_later(m, job, node, now)
        case Replied(effect=Fence(node=node)) if _quarantined(m, node):
            return _again_later(m, m.jobs[node], node, now)
        case Replied(effect=Freeze(node=node, saved=saved)) if event.visit != m.visit:
            # Done or not, and too late: it is owed a thaw in any case.
            return replace(m, saved={node: saved, **m.saved})
        case _:
            return m


def _quarantined(m: Machine, node: NodeName) -> bool:
    return node in m.jobs and m.jobs[node].job is Job.QUARANTINED


def _unguarded(m: Machine, effect: Unguard | Unfence) -> Machine:
    job = m.jobs.get(effect.node)
    if job is None or job.job is not Job.OWED_UNGUARD or effect.epoch < job.epoch:
        return m
    return replace(m, jobs={n: j for n, j in m.jobs.items() if n != effect.node})


def _thawed(m: Machine, node: NodeName) -> Machine:
    """Its own settings are in force again."""
    paid = (Job.DETACHED, Job.OWED_THAW)
    return replace(
        m,
        saved={n: s for n, s in m.saved.items() if n != node},
        frozen={n: f for n, f in m.frozen.items() if n != node},
        jobs={n: j for n, j in m.jobs.items() if n != node or j.job not in paid},
    )


def _again_later(m: Machine, job: NodeJob, node: NodeName, now: Now) -> Machine:
    at = Instant(now.monotonic + RETRY_S)
    again = NodeJob(job.job, job.epoch, job.attempt + 1, at)
    return replace(m, jobs={**m.jobs, node: again})


def _due(m: Machine, now: Now) -> Machine:
    ripe = {
        node: replace(job, retry_at=None)
        for node, job in m.jobs.items()
        if job.retry_at is not None and job.retry_at <= now.monotonic
    }
    return replace(m, jobs={**m.jobs, **ripe}) if ripe else m


def _follow_again(m: Machine, p: Policy) -> Machine:
    """Somebody has made it a standby of the present primary: nothing is owed to it any more."""
    primary = m.memory.primary
    if primary is None:
        return m
    for node, job in m.jobs.items():
        server = m.view.report(node).server
        if (
            job.job in (Job.DETACHED, Job.QUARANTINED)
            and server is not None
            and server.in_recovery
            and server.system_identifier == m.memory.system_identifier
            and server.timeline == m.memory.timeline
            and server.receiver is not None
            and server.receiver.status == "streaming"
            and direct(server.receiver, primary, p)
        ):
            m = _thawed(replace(m, jobs={n: j for n, j in m.jobs.items() if n != node}), node)
    return m
