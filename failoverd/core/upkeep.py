"""Duties beside the procedure: what is owed to one node, retried until it is done.

A guard laid is a guard owed: where a failover was cancelled and the host was lost in
between, its guard is taken back when the host answers again.
"""

from __future__ import annotations

from dataclasses import replace

from failoverd.core.effects import Effect, Thaw, Unfence, Unguard
from failoverd.core.events import EffectFailed, Event, Now, Replied, Thawed, Unfenced, Unguarded
from failoverd.core.model import Instant, NodeName
from failoverd.core.situation import Job, Machine, NodeJob

RETRY_S = 10.0


def upkeep(m: Machine) -> tuple[Effect, ...]:
    """What is owed and due. The new primary's frozen settings are put back here, too."""
    owed: list[Effect] = []
    for node, job in sorted(m.jobs.items()):
        if job.job is Job.OWED_UNGUARD and job.retry_at is None:
            owed.append(Unguard(node, job.epoch, job.attempt))
    for node, saved in sorted(m.saved.items()):
        if node not in m.jobs or m.jobs[node].job is not Job.DETACHED:
            owed.append(Thaw(node, m.epoch, saved))
    return tuple(owed)


def after_reply(m: Machine, event: Event, now: Now) -> Machine:
    """Cross a debt off, or note when to ask again. Valid in every state."""
    m = _due(m, now)
    match event:
        case Replied(effect=Unguard(node=node), result=Unguarded()):
            return _settled(m, node)
        case Replied(effect=Unfence(node=node), result=Unfenced()):
            return _settled(m, node)
        case Replied(effect=Unguard(node=node), result=EffectFailed()) if node in m.jobs:
            job = m.jobs[node]
            again = NodeJob(job.job, job.epoch, job.attempt + 1, Instant(now.monotonic + RETRY_S))
            return replace(m, jobs={**m.jobs, node: again})
        case Replied(effect=Thaw(node=node), result=Thawed()):
            return replace(m, saved={n: s for n, s in m.saved.items() if n != node})
        case _:
            return m


def _due(m: Machine, now: Now) -> Machine:
    ripe = {
        node: replace(job, retry_at=None)
        for node, job in m.jobs.items()
        if job.retry_at is not None and job.retry_at <= now.monotonic
    }
    return replace(m, jobs={**m.jobs, **ripe}) if ripe else m


def _settled(m: Machine, node: NodeName) -> Machine:
    jobs = {n: j for n, j in m.jobs.items() if n != node or j.job is not Job.OWED_UNGUARD}
    return replace(m, jobs=jobs)
