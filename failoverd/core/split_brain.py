"""Two nodes that take writes: which of them is stale, by what right it is fenced, what it holds.

Fenced by itself is only a node that the journal records as fenced or as superseded:
never by its timeline number alone. Which commits only it has is read from its WAL
wherever its host answers; that changes nothing, and is done in any mode.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

from failoverd.core.diagnosis import Diagnosis
from failoverd.core.divergence import Counted
from failoverd.core.effects import Effect, MeasureDivergence
from failoverd.core.events import DivergenceMeasured, Event, Now, Observed, Replied
from failoverd.core.jobs import RECORDED, Job, NodeJob
from failoverd.core.model import ControlState, Epoch, HostFacts, NodeName, Timeline
from failoverd.core.operator import in_procedure, mode_of
from failoverd.core.policy import Mode, OnSplitBrain, Policy
from failoverd.core.retry import backed_off, is_due
from failoverd.core.situation import Machine
from failoverd.core.states import Blocked, Suspect, Watching
from failoverd.core.writers import two_writable, writers

RETRY_S = 10.0
LONGEST_RETRY_S = 300.0


def stale(m: Machine) -> dict[NodeName, NodeName]:
    """Each node whose writes count no more, and the one that they are held against.

    By the journal, where it knows; of two that it knows nothing about, the one on the lower
    timeline, which is a reason to count, and never one to act.
    """
    found: dict[NodeName, NodeName] = {}
    primary = m.memory.primary
    writing = writers(m.view, m.memory)
    if primary is not None and primary in writing:
        found = {n: primary for n, job in m.jobs.items() if job.job in RECORDED and n != primary}
    unknown = [name for name in writing if name not in found]
    if len(unknown) < 2:
        return found
    newest = max(unknown, key=lambda name: (timeline_of(m, name), name == primary, name))
    return {**found, **{name: newest for name in unknown if name != newest}}


def timeline_of(m: Machine, node: NodeName) -> Timeline:
    """The one that it writes on, by its own word or by its control file."""
    report = m.view.report(node)
    facts = report.host.facts
    said = report.server.timeline if report.server is not None else Timeline(0)
    written = facts.control_timeline if facts is not None else Timeline(0)
    return Timeline(max(said, written))


def measures(m: Machine) -> tuple[Effect, ...]:
    """What is to be counted now: at first sight, and once more when it takes no more writes."""
    if in_procedure(m) or not isinstance(m.state, (Watching, Suspect, Blocked)):
        return ()
    return tuple(_owed(m))


def _owed(m: Machine) -> Iterator[MeasureDivergence]:
    for node, against in sorted(stale(m).items()):
        facts = m.view.report(node).host.facts
        if facts is None or not m.view.report(node).host.look.ok:
            continue
        known = m.divergences.get(node, Counted())
        again = known.divergence is None or known.divergence.against != against
        ran = known.divergence is not None and known.divergence.running
        ended = ran and not may_write(facts) and facts.seen_at > known.at
        if known.retry_at is None and (again or ended):
            own, theirs = timeline_of(m, node), timeline_of(m, against)
            yield MeasureDivergence(node, against, own, theirs, known.attempt)


def may_write(facts: HostFacts) -> bool:
    """By what its host shows: processes of a server that is no standby."""
    return bool(facts.processes) and facts.control_state is ControlState.IN_PRODUCTION


def noted(m: Machine, event: Event, now: Now, p: Policy) -> Machine:
    """With what an answer told, and with the number and the fences of a split brain."""
    match event:
        case Replied(effect=MeasureDivergence(node=node), result=DivergenceMeasured(divergence)):
            found = Counted(divergence, now.monotonic)
            return replace(m, divergences={**m.divergences, node: found})
        case Replied(effect=MeasureDivergence(node=node, attempt=attempt)):
            known = m.divergences.get(node, Counted())
            at = backed_off(now, attempt, RETRY_S, LONGEST_RETRY_S)
            later = replace(known, attempt=attempt + 1, retry_at=at)
            return replace(m, divergences={**m.divergences, node: later})
        case Observed() if not in_procedure(m):
            return _fences(_numbered(_rejoined(_due(m, now))), p)
        case _:
            return m


def _due(m: Machine, now: Now) -> Machine:
    ripe = {
        node: replace(one, retry_at=None)
        for node, one in m.divergences.items()
        if is_due(one.retry_at, now)
    }
    return replace(m, divergences={**m.divergences, **ripe}) if ripe else m


def _rejoined(m: Machine) -> Machine:
    """Of a node that follows the primary again there is nothing more to tell."""
    kept = {n: one for n, one in m.divergences.items() if n in m.jobs or not _follows(m, n)}
    return m if len(kept) == len(m.divergences) else replace(m, divergences=kept)


def _follows(m: Machine, node: NodeName) -> bool:
    server = m.view.report(node).server
    if server is None or not server.in_recovery or server.receiver is None:
        return False
    return server.receiver.streams and server.timeline == m.memory.timeline


def _numbered(m: Machine) -> Machine:
    """A split brain is an incident of its own: under its number the journal keeps it."""
    if m.split:
        over = two_writable(m.view, m.memory) is None and not _still_to_count(m)
        return replace(m, split=Epoch(0)) if over else m
    seen = m.diagnosis is Diagnosis.SPLIT_BRAIN or m.memory.primary is None
    if not seen or two_writable(m.view, m.memory) is None:
        return m
    number = m.next_epoch
    writing = writers(m.view, m.memory)
    jobs = {
        n: replace(job, epoch=number) if n in writing and job.job in RECORDED else job
        for n, job in m.jobs.items()
    }
    # What was counted before it had a number is counted anew under it: its report tells it.
    before = {n: one for n, one in m.divergences.items() if n not in writing}
    return replace(m, split=number, epoch=number, jobs=jobs, divergences=before)


def _still_to_count(m: Machine) -> bool:
    """It took writes when it was counted last, and its host can be asked once more."""
    return any(
        one.divergence is not None
        and one.divergence.running
        and node in m.jobs
        and m.view.report(node).host.look.ok
        for node, one in m.divergences.items()
    )


def _fences(m: Machine, p: Policy) -> Machine:
    """By policy, whoever the journal records as superseded, and who writes beside the primary."""
    wanted = p.on_split_brain is OnSplitBrain.FENCE and mode_of(m, p) is Mode.AUTOMATIC
    if not wanted or m.diagnosis is not Diagnosis.SPLIT_BRAIN or not m.memory.seen_healthy:
        return m
    if not isinstance(m.state, (Watching, Suspect, Blocked)):
        return m
    writing = writers(m.view, m.memory)
    if m.memory.primary not in writing:
        return m
    owed = {n: NodeJob(Job.OWED_FENCE, m.epoch) for n in writing if _superseded_still(m, n)}
    return replace(m, jobs={**m.jobs, **owed}) if owed else m


def _superseded_still(m: Machine, node: NodeName) -> bool:
    """It goes on where it was when another took its place; a later timeline is somebody's act."""
    job, server = m.jobs.get(node), m.view.report(node).server
    if job is None or job.job is not Job.SUPERSEDED or server is None:
        return False
    return server.timeline <= job.timeline


def told(m: Machine) -> tuple[str, str]:
    """Who takes writes, and what a person can do about it."""
    writing = writers(m.view, m.memory)
    each = " and ".join(f"{n} (timeline {timeline_of(m, n)})" for n in writing)
    why = f"{each} take writes: two nodes of one system identifier"
    old = [node for node in writing if node in stale(m)]
    recorded = [node for node in old if node in m.jobs and node != m.memory.primary]
    if recorded and len(recorded) == len(old):
        advice = "; ".join(f"failoverd fence {node}" for node in recorded)
    else:
        advice = "failoverd adopt NODE (the one to keep), then failoverd fence NODE (the other)"
    return why, advice
