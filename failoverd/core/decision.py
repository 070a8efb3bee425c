"""What is asked before anything is touched: may it be done now, by whom, at what loss."""

from __future__ import annotations

from collections.abc import Mapping

from failoverd.core.diagnosis import Diagnosis
from failoverd.core.effects import StopMode
from failoverd.core.election import Terms, elect
from failoverd.core.events import Now, Trigger
from failoverd.core.memory import Memory
from failoverd.core.model import ClusterView, FenceProof, Frozen, Instant, NodeName
from failoverd.core.policy import Policy
from failoverd.core.situation import Machine
from failoverd.core.states import Blocked, BlockReason, Fencing, Incident, Reverting

LOOK_AGAIN_S = 1.0


def begin(incident: Incident, m: Machine, now: Now, p: Policy) -> Fencing | Blocked:
    """Fence, if somebody could take over; else say why not, with the primary untouched."""
    primary = m.memory.primary
    assert primary is not None
    refused = _refused_by_rule(incident, m, now, p)
    if refused is not None:
        return refused
    election = elect(m.view, m.memory, p, terms_of(incident, p, None, None))
    if election.candidate is None:
        return _blocked(BlockReason.NO_CANDIDATE, election.sentence, now)
    mode = stop_mode(incident)
    why = f"{primary} is {incident.diagnosis}; {election.sentence} would take over"
    return Fencing(incident, primary, mode, m.standbys(p), why)


def _refused_by_rule(incident: Incident, m: Machine, now: Now, p: Policy) -> Blocked | None:
    if not m.memory.seen_healthy:
        why = "this primary was never seen healthy, by this run or in the journal"
        return _blocked(BlockReason.NEVER_SEEN_HEALTHY, why, now)
    if incident.trigger is not Trigger.AUTOMATIC:
        return None
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
    """Anew in full if the wall clock went backwards."""
    if m.last_confirmed is None:
        return 0.0
    passed = now.wall - m.last_confirmed
    return p.cooldown_s if passed < 0 else max(0.0, p.cooldown_s - passed)


def _blocked(
    reason: BlockReason, why: str, now: Now, advice: str = "", seconds: float = LOOK_AGAIN_S
) -> Blocked:
    return Blocked(reason, why, now.monotonic, Instant(now.monotonic + seconds), advice)


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
    limit = p.max_data_loss_bytes
    if incident is not None and incident.accept_loss_bytes is not None:
        limit = max(limit, incident.accept_loss_bytes)
    wanted = incident.wanted if incident is not None else None
    return Terms(limit, wanted, proof, frozen)


def looked_at_everyone(view: ClusterView, p: Policy) -> bool:
    return all(view.report(name).round > 0 for name in p.nodes)


def sole_writable(view: ClusterView, memory: Memory) -> NodeName | None:
    """The one writable node that may be believed, or None.

    No node below the highest confirmed timeline is ever adopted.
    """
    writable = [
        report
        for report in view.nodes.values()
        if report.server is not None
        and not report.server.in_recovery
        and memory.system_identifier in (None, report.server.system_identifier)
        and report.server.timeline >= memory.timeline
    ]
    return writable[0].name if len(writable) == 1 else None


def two_writable(view: ClusterView) -> str | None:
    names = sorted(report.name for report in view.nodes.values() if report.writable)
    return f"{' and '.join(names)} take writes" if len(names) > 1 else None


def adoptable(view: ClusterView, memory: Memory) -> bool:
    """Somebody promoted another node on purpose: one writable node, on a higher timeline."""
    found = sole_writable(view, memory)
    if found is None or two_writable(view) is not None:
        return False
    server = view.report(found).server
    return server is not None and server.timeline > memory.timeline


def wake_at(m: Machine, now: Now) -> Instant | None:
    """The next deadline; the shell sleeps until it, the simulator jumps to it."""
    deadlines = [job.retry_at for job in m.jobs.values() if job.retry_at is not None]
    match m.state:
        case Blocked(retry_at=at):
            deadlines.append(at)
        case Reverting(retry_at=at) if at is not None:
            deadlines.append(at)
        case _:
            pass
    if m.paused_until is not None:
        deadlines.append(Instant(now.monotonic + max(0.0, m.paused_until - now.wall)))
    return min(deadlines, default=None)
