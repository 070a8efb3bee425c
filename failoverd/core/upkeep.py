"""Duties beside the procedure: what is owed to one node, retried until it is done.

A guard laid is a guard owed: where a failover was cancelled and the host was lost in
between, its guard is taken back when the host answers again. An old primary that comes
back writable is fenced again. None of this is done within the procedure.
"""

from __future__ import annotations

from dataclasses import replace

from failoverd.core.effects import (
    Effect,
    Equip,
    Fence,
    Freeze,
    KeepDown,
    Quarantine,
    Repoint,
    SetSynchronous,
    StopMode,
    Thaw,
    Unfence,
    Unguard,
)
from failoverd.core.events import (
    WAL_GONE,
    EffectFailed,
    Equipped,
    Event,
    Fenced,
    KeptDown,
    Now,
    Observed,
    Quarantined,
    Replied,
    Repointed,
    SynchronousSet,
    Thawed,
    Unfenced,
    Unguarded,
)
from failoverd.core.following import (
    diverged,
    follows,
    late,
    streams_on,
    under_our_guard,
    upstream_for,
)
from failoverd.core.jobs import RECORDED, TO_FOLLOW, Job, NodeJob, kept_out_by
from failoverd.core.measuring import measuring
from failoverd.core.memory import direct
from failoverd.core.model import NodeName, SavedSettings
from failoverd.core.operator import in_procedure
from failoverd.core.policy import Policy
from failoverd.core.redirection import followed
from failoverd.core.restart import clocks_kept
from failoverd.core.retry import in_seconds, is_due
from failoverd.core.salvage import to_measure
from failoverd.core.situation import Machine, frozen_by_others
from failoverd.core.split_brain import noted
from failoverd.core.states import Blocked, Paused, Reverting, Starting
from failoverd.core.upholding import upheld
from failoverd.core.writers import others_write

RETRY_S = 10.0
FOLLOWS_WITHIN_S = 12.0
"""Twice wal_retrieve_retry_interval at its default, and some more."""
CONTACT_RETRY_S = 2.0
"""Between attempts to reach a host that was turned off: what starts there may take writes."""


def upkeep(m: Machine) -> tuple[Effect, ...]:
    """What is owed and due. The new primary's frozen settings are put back here, too."""
    owed: list[Effect] = []
    for node, job in sorted(m.jobs.items()):
        if job.retry_at is not None:
            continue
        if job.job is Job.OWED_UNGUARD and not others_write(m.view, m.memory):
            held = _held_down(m, node)
            owed.append(Unfence(node, m.epoch) if held else Unguard(node, m.epoch, job.attempt))
        elif job.job is Job.OWED_GUARD:
            owed.append(Quarantine(node, m.epoch, job.attempt))
        elif job.job in (Job.REPOINTING, Job.DETACHED) and not others_write(m.view, m.memory):
            upstream = upstream_for(node, m.view, m.memory, job.attempt)
            owed.append(Repoint(node, upstream, m.epoch, m.saved.get(node), job.attempt))
        elif job.job is Job.EQUIPPING and node not in m.saved:
            owed.append(Equip(node, m.epoch, m.memory.slots_owed, job.attempt))
        elif job.job is Job.OWED_FENCE or (job.job is Job.QUARANTINED and _came_back(m, node)):
            owed.append(Fence(node, StopMode.FAST, m.epoch, job.attempt))
        elif job.job is Job.QUARANTINED and not job.told and job.keep_down_at is None:
            owed.append(KeepDown(node, m.epoch, job.attempt))
    change = m.synchronous
    if change is not None and change.retry_at is None and m.memory.primary is not None:
        names, attempt = change.names, change.attempt
        owed.append(SetSynchronous(m.memory.primary, names, m.epoch, attempt))
    for node, saved in sorted(owed_thaws(m).items()):
        job_of_node = m.jobs.get(node)
        if job_of_node is None or job_of_node.retry_at is None:
            attempt = 0 if job_of_node is None else job_of_node.attempt
            owed.append(Thaw(node, m.epoch, saved, attempt))
    return (*owed, *measuring(m.unmeasured, m.view))


def owed_thaws(m: Machine) -> dict[NodeName, SavedSettings]:
    """Frozen and not meant to stay so: its own settings would lead others to the old primary."""
    return {
        node: saved
        for node, saved in m.saved.items()
        if node not in m.jobs or m.jobs[node].job not in TO_FOLLOW | {Job.REJOINING}
    }


def _held_down(m: Machine, node: NodeName) -> bool:
    """Somebody started the primary under our guard: that is not taken from under a standby."""
    report = m.view.report(node)
    standby = report.server is not None and report.server.in_recovery
    ours = node == m.memory.primary and report.host_of_now and under_our_guard(report)
    return standby and ours and not frozen_by_others(m)


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
    m = m if m.managed == p.synchronous_managed else replace(m, managed=p.synchronous_managed)
    unmeasured = to_measure(m, event, now)
    m = m if unmeasured is m.unmeasured else replace(m, unmeasured=unmeasured)
    m = followed(_configured(_due(clocks_kept(m, now), now), p), event, now, p)
    m = noted(m, event, now, p)
    match event:
        case Observed():
            return m if in_procedure(m) else upheld(_found_late(_follow_again(m, p), p), p)
        case Replied():
            return _after_reply(m, event, now)
        case _:
            return m


def _configured(m: Machine, p: Policy) -> Machine:
    """A primary that the configuration does not name any more is nobody to wait for."""
    touched = in_procedure(m) and not isinstance(m.state, (Starting, Blocked))
    if m.memory.primary is None or m.memory.primary in p.nodes or touched:
        return m
    state = m.state if isinstance(m.state, Paused) else Starting()
    return replace(
        m,
        state=state,
        visit=m.visit + 1,
        memory=replace(m.memory, primary=None),
        incident=None,
        asked=frozenset(),
    )


def _after_reply(m: Machine, event: Replied, now: Now) -> Machine:
    # A thaw that was asked for before a freeze may be answered after it.
    in_time = event.visit >= m.freezes_from
    match event:
        case Replied(effect=Unguard() | Unfence() as effect, result=Unguarded() | Unfenced()):
            return _unguarded(m, effect)
        case Replied(effect=Thaw(node=node, saved=saved), result=Thawed()):
            return _thawed(m, node, now) if in_time and m.saved.get(node) == saved else m
        case Replied(effect=Unguard(node=node) | Unfence(node=node), result=EffectFailed()) if (
            node in m.jobs
        ):
            return _again_later(m, m.jobs[node], node, now)
        case Replied(effect=Thaw(node=node), result=EffectFailed()) if node in m.saved:
            job = m.jobs.get(node) or NodeJob(Job.OWED_THAW, m.epoch)
            return m if isinstance(m.state, Reverting) else _again_later(m, job, node, now)
        case Replied(effect=Quarantine(node=node), result=result) if _owes_guard(m, node):
            if isinstance(result, Quarantined):
                return m.owing(node, NodeJob(Job.QUARANTINED, m.jobs[node].epoch))
            return _again_later(m, m.jobs[node], node, now, CONTACT_RETRY_S)
        case Replied(effect=KeepDown(node=node), result=result) if _kept_out(m, node):
            job = m.jobs[node]
            if isinstance(result, KeptDown):
                return m.owing(node, replace(job, told=True))
            # Its own time: a fence of what has come back does not wait for it.
            at = in_seconds(now, RETRY_S)
            return m.owing(node, replace(job, attempt=job.attempt + 1, keep_down_at=at))
        case Replied(effect=Fence(node=node), result=result) if _kept_out(m, node):
            if isinstance(result, Fenced) and m.jobs[node].job is Job.OWED_FENCE:
                return m.owing(node, NodeJob(kept_out_by(result.proof), m.jobs[node].epoch))
            # Where somebody has started it, whatever kept it down does not any more.
            return _again_later(m, m.jobs[node], node, now)
        case Replied(effect=Repoint() | Equip() | SetSynchronous()):
            return _after_duty(m, event, now)
        case Replied(effect=Freeze(node=node, saved=saved)) if event.visit != m.visit:
            # Done or not, and too late: it is owed a thaw in any case.
            return replace(m, saved={node: saved, **m.saved})
        case _:
            return m


def _is_to_follow(m: Machine, node: NodeName) -> bool:
    return node in m.jobs and m.jobs[node].job in (Job.REPOINTING, Job.DETACHED)


def _told(m: Machine, node: NodeName, done: bool, now: Now) -> Machine:  # noqa: FBT001
    """Its settings are its own again but for its upstream; it has some seconds to follow."""
    if not done:
        return _again_later(m, m.jobs[node], node, now)
    m = _again_later(m, m.jobs[node], node, now, FOLLOWS_WITHIN_S)
    job = replace(m.jobs[node], job=Job.REPOINTING, told=True)
    return _unfrozen(m, node, now).owing(node, job)


def _unfrozen(m: Machine, node: NodeName, now: Now) -> Machine:
    """By us: a look from before it is no news of another daemon's freeze."""
    thawed_at = {**m.memory.thawed_at, node: now.monotonic}
    return replace(m.unfrozen(node), memory=replace(m.memory, thawed_at=thawed_at))


def _set(m: Machine, effect: SetSynchronous, done: bool, now: Now) -> Machine:  # noqa: FBT001
    """Asked again where it is not seen in force after a while."""
    change = m.synchronous
    if change is None or change.names != effect.names:
        return m
    at = in_seconds(now, RETRY_S if done else CONTACT_RETRY_S)
    return replace(m, synchronous=replace(change, attempt=change.attempt + 1, retry_at=at))


def _is_equipped(m: Machine, node: NodeName) -> bool:
    return node in m.jobs and m.jobs[node].job is Job.EQUIPPING


def _equipped(m: Machine, node: NodeName, done: bool, now: Now) -> Machine:  # noqa: FBT001
    if not done:
        return _again_later(m, m.jobs[node], node, now)
    return replace(m.owing_nothing(node), memory=replace(m.memory, slots_owed=()))


def _after_duty(m: Machine, event: Replied, now: Now) -> Machine:
    match event:
        case Replied(
            effect=Repoint(node=node), result=EffectFailed(reason=reason, evidence=evidence)
        ) if reason == WAL_GONE and _is_to_follow(m, node):
            lost = NodeJob(Job.DIVERGED, m.jobs[node].epoch, said=evidence.sentence)
            return m.owing(node, lost)
        case Replied(effect=Repoint(node=node), result=result) if _is_to_follow(m, node):
            return _told(m, node, isinstance(result, Repointed), now)
        case Replied(effect=SetSynchronous() as effect, result=result):
            return _set(m, effect, isinstance(result, SynchronousSet), now)
        case Replied(effect=Equip(node=node), result=result) if _is_equipped(m, node):
            return _equipped(m, node, isinstance(result, Equipped), now)
        case _:
            return m


def _owes_guard(m: Machine, node: NodeName) -> bool:
    return node in m.jobs and m.jobs[node].job is Job.OWED_GUARD


def _kept_out(m: Machine, node: NodeName) -> bool:
    return node in m.jobs and m.jobs[node].job in (Job.QUARANTINED, Job.OWED_FENCE)


def _unguarded(m: Machine, effect: Unguard | Unfence) -> Machine:
    job = m.jobs.get(effect.node)
    if job is None or job.job is not Job.OWED_UNGUARD or effect.epoch < job.epoch:
        return m
    return m.owing_nothing(effect.node)


def _thawed(m: Machine, node: NodeName, now: Now) -> Machine:
    """Its own settings are in force again."""
    m = _unfrozen(m, node, now)
    paid = node in m.jobs and m.jobs[node].job in (Job.DETACHED, Job.OWED_THAW)
    return m.owing_nothing(node) if paid else m


def _again_later(
    m: Machine, job: NodeJob, node: NodeName, now: Now, seconds: float = RETRY_S
) -> Machine:
    at = in_seconds(now, seconds)
    return m.owing(node, replace(job, attempt=job.attempt + 1, retry_at=at, told=False))


def _due(m: Machine, now: Now) -> Machine:
    change = m.synchronous
    if change is not None and is_due(change.retry_at, now):
        m = replace(m, synchronous=replace(change, retry_at=None))
    jobs = {node: _ripe(m, node, job, now) for node, job in m.jobs.items()}
    return replace(m, jobs=jobs) if jobs != m.jobs else m


def _ripe(m: Machine, node: NodeName, job: NodeJob, now: Now) -> NodeJob:
    """Time enough has passed for whoever was told to follow, and it waits on its old timeline."""
    if is_due(job.keep_down_at, now):
        job = replace(job, keep_down_at=None)
    if not is_due(job.retry_at, now):
        return job
    if job.job is Job.REPOINTING and job.told and diverged(m.view.report(node), m.memory):
        said = f"it is ahead of where the new primary took over: failoverd rejoin {node}"
        return NodeJob(Job.DIVERGED, job.epoch, said=said)
    return replace(job, retry_at=None)


def _found_late(m: Machine, p: Policy) -> Machine:
    """It was away when the others were told whom to follow."""
    if m.memory.primary is None or not m.memory.timeline:
        return m
    found = {
        node: NodeJob(Job.REPOINTING, m.epoch)
        for node in p.nodes
        if node not in m.jobs
        and node not in m.saved
        and late(m.view.report(node), m.view, m.memory, p)
    }
    return replace(m, jobs={**m.jobs, **found}) if found else m


def _follow_again(m: Machine, p: Policy) -> Machine:
    """Somebody has made it a standby of the present primary: nothing is owed to it any more.

    But for our marker, where that still lies beside its standby.signal: a way back ends with it.
    """
    primary = m.memory.primary
    if primary is None:
        return m
    for node, job in m.jobs.items():
        server = m.view.report(node).server
        if job.job in RECORDED and under_our_guard(m.view.report(node)):
            continue
        if (
            job.job in (TO_FOLLOW | RECORDED) - {Job.REJOINING}
            and server is not None
            and server.receiver is not None
            and streams_on(server, m.memory)
            and (job.job in RECORDED or follows(m.view.report(node), m.view, m.memory, p))
            and (job.job in TO_FOLLOW or direct(server.receiver, primary, p))
        ):
            m = m.owing_nothing(node).unfrozen(node)
    return m
