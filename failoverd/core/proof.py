"""What a fence proof allows, what voids it, and who must be fenced once more.

A proof belongs to one node, one epoch and 30 s. The old primary seen writable voids it;
another node promoted by somebody else ends the incident.
"""

from __future__ import annotations

from failoverd.core.decision import retry_at, terms_of, trial
from failoverd.core.diagnosis import FINE, ROW_OF, Diagnosis, diagnose
from failoverd.core.effects import StopMode
from failoverd.core.elected import Election
from failoverd.core.election import elect
from failoverd.core.events import Now
from failoverd.core.evidence import Situation, guarded_by_us
from failoverd.core.fitness import fit
from failoverd.core.lsn import Lsn
from failoverd.core.model import (
    PROOF_LIFETIME_S,
    FenceProof,
    Instant,
    NodeName,
    Outcome,
    ProofKind,
    WalEnd,
    WalLoss,
)
from failoverd.core.policy import Policy
from failoverd.core.situation import Machine
from failoverd.core.states import (
    Blocked,
    BlockReason,
    Electing,
    Fencing,
    Incident,
    Promoting,
    Reverting,
    Starting,
)
from failoverd.core.writers import sole_writable, strangers, two_writable


def valid(proof: FenceProof, s: Fencing, m: Machine, now: Now) -> bool:
    """Of this node and this epoch, and younger than 30 s."""
    ours = proof.node == s.primary and proof.epoch == m.epoch
    return ours and not expired(proof, now)


def expired(proof: FenceProof, now: Now) -> bool:
    return now.monotonic - proof.proved_at > PROOF_LIFETIME_S


def proven(s: Fencing, proof: FenceProof, m: Machine, p: Policy) -> Electing | Promoting:
    """A promotion that was asked for counts as made: whoever was asked goes on."""
    asked = sorted(m.asked)
    if not asked:
        standbys = tuple(sorted({*s.standbys, *m.standbys(p)}))
        return Electing(proof, standbys, {n: m.frozen[n] for n in standbys if n in m.frozen})
    election = elect(m.view, m.memory, p, terms_of(m.incident, p, proof, m.frozen or None))
    loss, end = _known_when_asked(m, asked[0], election, proof)
    position = m.asked_at or Lsn(0)
    return Promoting(proof, asked[0], position, loss, s.attempt, asked_before=True, end=end)


def _known_when_asked(
    m: Machine, node: NodeName, election: Election, proof: FenceProof
) -> tuple[WalLoss, WalEnd | None]:
    """What salvage had proved when it was asked stands, unless that disk has gone on since."""
    if m.asked_loss is not None and proof.wal_end in (None, m.asked_end):
        return m.asked_loss, m.asked_end
    if election.candidate == node and election.loss is not None:
        return election.loss, proof.wal_end
    unknown = WalLoss(0, False, "unknown: the promotion was asked for before a restart")
    return unknown, proof.wal_end


def interrupted(
    proof: FenceProof, m: Machine, now: Now, p: Policy, *, lasting: bool = False
) -> Fencing | Starting | Reverting | None:
    """What ends an election: a proof that is void, or somebody who was promoted by others.

    `lasting`: something is under way that may outlast the proof, and does no harm.
    """
    if superseded(m) is not None:
        return Starting()
    writing = strangers_write(m)
    if writing:
        why = f"{' and '.join(writing)} takes writes: nobody is promoted beside it"
        return Reverting(proof.node, True, BlockReason.NO_CANDIDATE, why)
    if expired(proof, now) and not lasting:
        return prove_again(proof, m, p, "the fence proof is older than 30 s")
    return interrupted_by_writable(proof, m, p)


FREEZES = 2
"""How often a standby is asked to stand still that has more than those that do."""


def left_behind(s: Electing, election: Election, m: Machine, p: Policy) -> frozenset[NodeName]:
    """Standbys that could not be frozen, answer, and have more than whoever would take over.

    Where the old primary's disk can be read, that tells it all.
    """
    at, readable = election.position, s.proof.kind is ProofKind.STOPPED and p.salvage
    if at is None or readable or s.attempt + 1 >= FREEZES:
        return frozenset()
    stands = {node: fit(m.view.report(node), m.memory, None) for node in s.failed}
    return frozenset(n for n, found in stands.items() if isinstance(found, Lsn) and found > at)


def interrupted_by_writable(
    proof: FenceProof, m: Machine, p: Policy, attempt: int = 0
) -> Fencing | None:
    old = m.view.report(proof.node)
    if old.writable and old.server is not None and old.server.seen_at > proof.proved_at:
        why = "the old primary was seen writable: the proof is void"
        return prove_again(proof, m, p, why, attempt)
    return None


def prove_again(proof: FenceProof, m: Machine, p: Policy, why: str, attempt: int = 0) -> Fencing:
    assert m.incident is not None
    mode = StopMode.IMMEDIATE
    standbys = m.standbys(p)
    return Fencing(m.incident, proof.node, mode, standbys, why, attempt, wal_from=m.asked_at)


def refence(incident: Incident, primary: NodeName, m: Machine, p: Policy, why: str) -> Fencing:
    """Take up a procedure whose proof is gone; what is dead is not shot at again."""
    diagnosis = diagnose(m.view, m.memory, p)
    dead = diagnosis in (Diagnosis.CRASHED, Diagnosis.STOPPED)
    mode = StopMode.DEAD_ONLY if dead and not m.asked else StopMode.IMMEDIATE
    return Fencing(incident, primary, mode, m.standbys(p), why)


def superseded(m: Machine) -> NodeName | None:
    """Somebody promoted another node than we asked: one writable, on a higher timeline."""
    found = sole_writable(m.view, m.memory)
    if found is None or found in m.asked or two_writable(m.view, m.memory) is not None:
        return None
    server = m.view.report(found).server
    return found if server is not None and server.timeline > m.memory.timeline else None


def strangers_write(m: Machine) -> list[NodeName]:
    """Neither the primary nor anybody whom we asked, and seen taking writes."""
    return [node for node in strangers(m.view, m.memory) if node not in m.asked]


def speaks(m: Machine) -> bool:
    """The primary has answered, be it with a refusal, and does not say that it shuts down."""
    report = m.primary_report
    return report.heard and Outcome.SHUTTING_DOWN not in (report.held.outcome, report.fresh.outcome)


def may_fence_again(incident: Incident, m: Machine, p: Policy) -> bool:
    """What is diagnosed now still calls for the fence, or our guard is there already.

    What may still live is not touched where nobody could take over any more.
    """
    if strangers_write(m):
        return False
    diagnosis = diagnose(m.view, m.memory, p)
    guarded = guarded_by_us(Situation(m.view, m.memory, p))
    if diagnosis in _DEAD or (diagnosis is Diagnosis.UNCLEAR and guarded):
        return True
    if diagnosis is not incident.diagnosis and diagnosis not in _GONE:
        return False
    election = trial(incident, m, p)
    return guarded or election.candidate is not None


def put_right(incident: Incident, m: Machine) -> bool:
    """Somebody else has ended it: the old primary writes on a later timeline, and nobody else."""
    server = m.primary_report.server
    sole = sole_writable(m.view, m.memory) == m.memory.primary
    return sole and server is not None and 0 < incident.timeline < server.timeline


def taken_over_by_hand(m: Machine, diagnosis: Diagnosis) -> bool:
    """The old primary is somebody's standby, and the only primary is one that we had asked."""
    return diagnosis is Diagnosis.DEMOTED and sole_writable(m.view, m.memory) in m.asked


def promoted_all_the_same(again: Fencing, m: Machine, since: Instant) -> bool:
    """Another daemon's later number bars our fence, and the only primary is one that we had asked.

    Our procedure can go no further, and what it asked for has come: it is looked at as a promotion
    by anybody else would be.
    """
    found = sole_writable(m.view, m.memory)
    if not again.elsewhere or found is None or found not in m.asked:
        return False
    report = m.view.report(found)
    later = report.server is not None and report.server.timeline > m.memory.timeline
    return later and report.began_at >= since and two_writable(m.view, m.memory) is None


_DEAD = frozenset({Diagnosis.CRASHED, Diagnosis.STOPPED})
_GONE = frozenset({Diagnosis.CRASHED, Diagnosis.STOPPED, Diagnosis.HUNG, Diagnosis.UNREACHABLE})

OVER = FINE | {Diagnosis.PARTITIONED, Diagnosis.DEMOTED, Diagnosis.SPLIT_BRAIN}
"""The primary lives, or somebody else has acted: an incident that asked nobody ends."""


def resumed(
    incident: Incident, primary: NodeName, m: Machine, now: Now, p: Policy
) -> Starting | Fencing | Reverting | Blocked:
    """An incident that was cut short: prove the fence again, or go back if all is well."""
    if superseded(m) is not None:
        return Starting()
    diagnosis = diagnose(m.view, m.memory, p)
    if taken_over_by_hand(m, diagnosis):
        return Starting()
    if (diagnosis in OVER and not m.asked) or put_right(incident, m):
        return over(primary, diagnosis)
    why = "resumed: every node was looked at, and the fence is proved again"
    again = refence(incident, primary, m, p, why)
    if m.asked or may_fence_again(incident, m, p):
        return again
    why = f"resumed, but {primary} is {diagnosis}: {ROW_OF[diagnosis].sentence}"
    at = retry_at(now, 0)
    return Blocked(BlockReason.NO_FENCE_PROOF, why, now.monotonic, at, "", again)


def over(primary: NodeName, diagnosis: Diagnosis) -> Reverting:
    """The primary lives, or somebody else has acted: thaw, unguard, and leave it alone."""
    then = BlockReason.SPLIT_BRAIN if diagnosis is Diagnosis.SPLIT_BRAIN else None
    return Reverting(primary, False, then, f"{primary} is {diagnosis}: the incident is over")


def held_down(m: Machine, p: Policy) -> bool:
    """Somebody started the old primary, and our guard makes it a standby of nobody."""
    report = m.primary_report
    fresh = report.began_at >= m.entered_at
    started = report.server is not None and report.server.in_recovery
    return fresh and started and guarded_by_us(Situation(m.view, m.memory, p))


def fence_pending(
    s: Blocked, again: Fencing, m: Machine, p: Policy, *, due: bool
) -> Blocked | Fencing | Starting | Reverting:
    """The fence is owed once more, unless a look since then says that nothing calls for it."""
    if superseded(m) is not None:
        return Starting()
    if m.primary_report.began_at < s.since:
        return s
    diagnosis = diagnose(m.view, m.memory, p)
    if taken_over_by_hand(m, diagnosis) or promoted_all_the_same(again, m, s.since):
        return Starting()
    if put_right(again.incident, m):
        return over(again.primary, diagnosis)
    if m.asked:
        # One that takes writes beside whoever was asked is not left to itself for a back-off.
        due = due or m.primary_report.writable
        return again if due and not strangers_write(m) else s
    if diagnosis in OVER:
        return over(again.primary, diagnosis)
    return again if due and may_fence_again(again.incident, m, p) else s
