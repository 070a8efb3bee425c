"""A fenced node comes back as a standby: when, how often it is tried, and when that is over.

A duty beside the procedure, since it may take hours. Whatever comes of it, the node starts as
a standby or not at all; one that could not be brought back stays fenced and says why.
"""

from __future__ import annotations

from dataclasses import replace

from failoverd.core.diagnosis import FINE
from failoverd.core.effects import Rejoin
from failoverd.core.events import (
    REJOIN_FAILED,
    EffectFailed,
    Event,
    Now,
    Observed,
    Replied,
    Woke,
)
from failoverd.core.following import under_our_guard
from failoverd.core.jobs import Job, NodeJob
from failoverd.core.model import NodeName
from failoverd.core.policy import Policy, RejoinChoice
from failoverd.core.retry import in_seconds
from failoverd.core.schedule import OperatorRejoins, Rejoined, Rejoining
from failoverd.core.situation import Machine
from failoverd.core.states import Watching
from failoverd.core.writers import others_write

LOOK_EVERY_S = 1.0
UNKNOWN_RETRY_S = 10.0
TRIES = 3
"""By itself; after that an operator is asked to look."""
LEFT_OUT = frozenset({Job.QUARANTINED, Job.DIVERGED, Job.SUPERSEDED})
"""What rejoins, by itself or when it is told to."""


def rejoins(m: Machine) -> tuple[Rejoin, ...]:
    """What is owed and due. Not beside another writable node: whom to follow is not known."""
    primary = m.memory.primary
    if primary is None or others_write(m.view, m.memory):
        return ()
    return tuple(
        Rejoin(node, primary, m.epoch, job.begun, job.attempt, _wrote_under_its_number(m, node))
        for node, job in sorted(m.jobs.items())
        if job.job is Job.REJOINING and job.retry_at is None and node != primary
    )


def _wrote_under_its_number(m: Machine, node: NodeName) -> bool:
    """Promoted beside the primary, by the same number: its WAL looks like the primary's own.

    Where both began at the same position, records of the same length might even fit together.
    """
    known = m.divergences.get(node)
    found = None if known is None else known.divergence
    return found is not None and found.timeline >= m.memory.timeline


def brought_back(m: Machine, event: Event, now: Now, p: Policy) -> Machine:
    """With those whose time has come, and with what an answer says. In every state."""
    match event:
        case Observed() | Woke():
            return _by_itself(_stray(m), now, p)
        case Replied(effect=Rejoin(node=node), result=result) if _is_rejoining(m, node):
            return _answered(m, node, result, now)
        case OperatorRejoins(by=by, node=node):
            job = NodeJob(Job.REJOINING, m.epoch, said=f"asked for by {by}")
            return m.owing(node, job)
        case _:
            return m


def _is_rejoining(m: Machine, node: NodeName) -> bool:
    return node in m.jobs and m.jobs[node].job is Job.REJOINING


def _stray(m: Machine) -> Machine:
    """Somebody has started it read-write: it is fenced again before anything else."""
    for node, job in m.jobs.items():
        if job.job is Job.REJOINING and m.view.report(node).writable and node != m.memory.primary:
            said = f"{node} was started read-write by somebody while it was rejoining"
            again = NodeJob(Job.QUARANTINED, job.epoch, failures=job.failures + 1, said=said)
            m = m.owing(node, again)
    return m


def _by_itself(m: Machine, now: Now, p: Policy) -> Machine:
    if p.rejoin is not RejoinChoice.AUTO or not p.can_rejoin:
        return m
    if not isinstance(m.state, Watching) or m.diagnosis not in FINE:
        return m
    for node, job in m.jobs.items():
        if job.job not in LEFT_OUT or job.failures >= TRIES or node not in p.nodes:
            continue
        if not m.view.report(node).host.look.ok or m.view.report(node).writable:
            continue
        if job.rejoin_at is None:
            at = in_seconds(now, p.rejoin_delay_s * 2**job.failures)
            m = m.owing(node, replace(job, rejoin_at=at))
        elif job.rejoin_at <= now.monotonic:
            again = NodeJob(Job.REJOINING, m.epoch, failures=job.failures)
            m = m.owing(node, again)
    return m


def _answered(m: Machine, node: NodeName, result: object, now: Now) -> Machine:
    job = m.jobs[node]
    again = replace(job, attempt=job.attempt + 1)
    match result:
        case Rejoining(begun=begun, evidence=evidence):
            at, said = in_seconds(now, LOOK_EVERY_S), evidence.sentence
            return m.owing(node, replace(again, begun=begun, said=said, retry_at=at))
        case Rejoined():
            return m.owing_nothing(node).unfrozen(node)
        case EffectFailed(reason=reason, evidence=evidence) if reason == REJOIN_FAILED:
            failed = NodeJob(
                Job.QUARANTINED, m.epoch, failures=job.failures + 1, said=evidence.sentence
            )
            return m.owing(node, failed)
        case EffectFailed(evidence=evidence):
            at = in_seconds(now, UNKNOWN_RETRY_S)
            return m.owing(node, replace(again, said=evidence.sentence, retry_at=at))
        case _:
            return m


def refuse_rejoin(m: Machine, node: NodeName, p: Policy) -> str | None:
    """Why it is not brought back now, as a sentence that says what to do instead."""
    report, job = m.view.report(node), m.jobs.get(node)
    server = report.server
    if node == m.memory.primary:
        return f"{node} is the primary"
    if not p.can_rejoin:
        return "there are no credentials to come back with: write replication: {user: ...}"
    if report.writable:
        return f"{node} takes writes: failoverd fence {node} first"
    if job is not None and job.job is Job.REJOINING:
        return f"{node} is rejoining already: {job.said}"
    if job is not None and job.job in (Job.OWED_FENCE, Job.OWED_GUARD):
        return f"{node} is not guarded yet: its host must be reached first"
    receiver = None if server is None else server.receiver
    if receiver is not None and receiver.streams and not under_our_guard(report):
        return f"{node} streams: there is nothing to bring back"
    return None
