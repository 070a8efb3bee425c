"""What is asked before anything is touched: may it be done now, by whom, at what loss."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

from failoverd.core.diagnosis import FINE, Diagnosis
from failoverd.core.effects import StopMode
from failoverd.core.elected import Election
from failoverd.core.election import Terms, elect
from failoverd.core.events import Now, Trigger
from failoverd.core.model import (
    ClusterView,
    FenceProof,
    Frozen,
    Instant,
    NodeName,
    ProofKind,
)
from failoverd.core.policy import Policy
from failoverd.core.retry import backed_off, in_seconds
from failoverd.core.situation import Machine, frozen_by_others
from failoverd.core.states import (
    Blocked,
    BlockReason,
    Electing,
    Fencing,
    Incident,
    Paused,
    Reverting,
    Settling,
)
from failoverd.core.writers import strangers

RETRY_S = 1.0
LONGEST_RETRY_S = 30.0


def begun_now(
    m: Machine,
    trigger: Trigger,
    diagnosis: Diagnosis,
    by: str = "",
    wanted: NodeName | None = None,
    accept_loss_bytes: int | None = None,
) -> Incident:
    """An incident of the next number, on the timeline of now."""
    timeline = m.memory.timeline
    return Incident(m.next_epoch, trigger, diagnosis, by, wanted, accept_loss_bytes, timeline)


def begin(incident: Incident, m: Machine, now: Now, p: Policy) -> Fencing | Blocked:
    """Fence, if somebody could take over; else say why not, with the primary untouched."""
    primary = m.memory.primary
    assert primary is not None
    refused = _refused_by_rule(incident, m, now, p)
    if refused is not None:
        return refused
    writing = strangers(m.view, m.memory)
    if writing:
        why = f"{' and '.join(writing)} takes writes: nobody is promoted beside it"
        return _blocked(BlockReason.NO_CANDIDATE, why, now, f"failoverd fence {writing[0]}")
    frozen = frozen_by_others(m)
    if frozen:
        why = (
            f"{' and '.join(frozen)} was frozen by another failoverd, which may have asked it to"
            " promote"
        )
        return _blocked(BlockReason.NO_CANDIDATE, why, now, _THAW_BY_HAND)
    election = trial(incident, m, p)
    if election.candidate is None:
        return _blocked(BlockReason.NO_CANDIDATE, election.sentence, now)
    mode = stop_mode(incident)
    why = f"{primary} is {incident.diagnosis}; {election.sentence} would take over"
    return Fencing(incident, primary, mode, m.standbys(p), why, wal_from=election.position)


_THAW_BY_HAND = (
    "end the other failoverd for good; where it left standbys frozen, set primary_conninfo and"
    " primary_slot_name back by hand (docs/recover.md)"
)


def would_begin(incident: Incident, m: Machine, now: Now, p: Policy) -> str:
    """The same decision in words, where the mode leaves it to others."""
    match begin(incident, m, now, p):
        case Fencing(primary=primary, why=why):
            return f"fence {primary}: {why}"
        case Blocked(reason=reason, why=why):
            return f"be blocked ({reason}): {why}"


def _refused_by_rule(incident: Incident, m: Machine, now: Now, p: Policy) -> Blocked | None:
    if incident.trigger is not Trigger.AUTOMATIC:
        return None
    if not m.memory.seen_healthy:
        why = "this primary was never seen healthy, by this run or in the journal"
        return _blocked(BlockReason.NEVER_SEEN_HEALTHY, why, now)
    remaining = cooldown_remaining_s(m, now, p)
    if remaining > 0:
        why = f"the last failover was confirmed less than {p.cooldown_s:.0f} s ago"
        return _blocked(BlockReason.COOLDOWN, why, now, "failoverd ack", remaining)
    today = [at for at in m.failovers if at > now.wall - 86400]
    if len(today) >= p.max_per_day:
        why = f"{len(today)} automatic failovers in a day (max_per_day is {p.max_per_day})"
        return _blocked(BlockReason.TOO_MANY_FAILOVERS, why, now, "failoverd ack")
    return None


def cooldown_remaining_s(m: Machine, now: Now, p: Policy) -> float:
    """Of the time since the last confirmation; in full where the clock went backwards."""
    if m.last_confirmed is None:
        return 0.0
    passed = now.wall - m.last_confirmed
    return p.cooldown_s if passed < 0 else max(0.0, p.cooldown_s - passed)


def _blocked(
    reason: BlockReason, why: str, now: Now, advice: str = "", seconds: float = RETRY_S
) -> Blocked:
    return Blocked(reason, why, now.monotonic, in_seconds(now, seconds), advice)


def stop_mode(incident: Incident) -> StopMode:
    """How hard the fence may stop: what was diagnosed must still be true on the host."""
    match incident.diagnosis:
        case Diagnosis.CRASHED | Diagnosis.STOPPED:
            return StopMode.DEAD_ONLY
        case Diagnosis.HUNG | Diagnosis.HALF_HUNG | Diagnosis.UNREACHABLE:
            return StopMode.IMMEDIATE
        case _:
            return StopMode.FAST


def terms_of(
    incident: Incident | None,
    p: Policy,
    proof: FenceProof | None,
    frozen: Mapping[NodeName, Frozen] | None,
) -> Terms:
    readable = proof is None or proof.kind is ProofKind.STOPPED
    curable = p.salvage and p.disk_first and readable
    if incident is None:
        return Terms(p.max_data_loss_bytes, None, proof, frozen, curable=curable)
    limit, accepted = p.max_data_loss_bytes, incident.accept_loss_bytes
    if accepted is not None:
        limit = max(limit, accepted)
    elif incident.diagnosis in FINE and proof is not None and proof.kind is ProofKind.STOPPED:
        # It was well and can be started again: only a switchover without loss goes forward.
        limit = 0
    return Terms(
        max_loss_bytes=limit,
        wanted=incident.wanted if incident.wanted not in incident.given_up else None,
        proof=proof,
        frozen=frozen,
        loss_accepted=accepted is not None,
        curable=curable,
        given_up=incident.given_up,
    )


def trial(incident: Incident | None, m: Machine, p: Policy) -> Election:
    """Who would take over now, by positions that still move: of those that can be frozen."""
    kept_out = frozenset(node for node in p.nodes if m.kept_out(node))
    terms = replace(terms_of(incident, p, None, None), kept_out=kept_out)
    return elect(m.view, m.memory, p, terms)


def looked_at_everyone(view: ClusterView, p: Policy) -> bool:
    return all(view.report(name).round > 0 for name in p.nodes)


def retry_at(now: Now, attempt: int) -> Instant:
    """Back-off: 1 s, doubled with each attempt, 30 s at most."""
    return backed_off(now, attempt, RETRY_S, LONGEST_RETRY_S)


def waits_for_a_look(s: Blocked, m: Machine, now: Now) -> bool:
    """Whoever answers and could not be fenced is looked at once more: it may be well by now.

    A fence of what is dead or silent has a last look of its own.
    """
    again = s.returns_to
    answers = isinstance(again, Fencing) and again.mode is StopMode.FAST and not m.asked
    due = now.monotonic >= s.retry_at
    return answers and due and m.primary_report.began_at < s.retry_at


def wake_at(m: Machine, now: Now) -> Instant | None:
    """The next deadline; the shell sleeps until it, the simulator jumps to it."""
    retries = (
        at for job in m.jobs.values() for at in (job.retry_at, job.keep_down_at, job.rejoin_at)
    )
    # What was due and could not be done yet is done by a look: it wakes nobody again and again.
    deadlines = [at for at in retries if at is not None and at > now.monotonic]
    if m.synchronous is not None and m.synchronous.retry_at is not None:
        deadlines.append(m.synchronous.retry_at)
    if m.scheduled is not None and now.wall < m.scheduled.at:
        deadlines.append(in_seconds(now, m.scheduled.at - now.wall))
    deadlines += [job.retry_at for job in m.targets.values() if job.retry_at is not None]
    if m.dead_man is not None and m.dead_man.retry_at is not None:
        deadlines.append(m.dead_man.retry_at)
    match m.state:
        case Settling(until=until):
            deadlines.append(until)
        case Blocked(retry_at=at) as s if not waits_for_a_look(s, m, now):
            deadlines.append(at)
        case Reverting(retry_at=at) if at is not None:
            deadlines.append(at)
        case Electing(standbys=standbys) if all(n in m.frozen for n in standbys):
            deadlines.append(now.monotonic)  # they were frozen beside the fence
        case _:
            pass
    if isinstance(m.state, Paused) and m.paused_until is not None:
        deadlines.append(in_seconds(now, max(0.0, m.paused_until - now.wall)))
    return min(deadlines, default=None)
