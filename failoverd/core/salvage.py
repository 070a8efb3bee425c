"""What salvage found, held against `max_data_loss`: promote, read another disk, or go back.

A candidate may be elected for its lag where salvage can cure it; nothing is promoted on
the hope of it. What was not brought over is lost by as much as is known: exactly where
the true end of the old primary's WAL was read, else by an estimate that says so.
"""

from __future__ import annotations

from dataclasses import replace

from failoverd.core.decision import terms_of
from failoverd.core.effects import Confirm, Salvage
from failoverd.core.elected import Election
from failoverd.core.election import elect, wal_loss
from failoverd.core.events import (
    Confirmed,
    EffectFailed,
    Event,
    NotConfigured,
    Now,
    Replied,
)
from failoverd.core.measuring import Unmeasured, told
from failoverd.core.model import (
    FenceProof,
    Lsn,
    NodeName,
    ProofKind,
    WalEnd,
    WalLoss,
)
from failoverd.core.policy import Policy
from failoverd.core.situation import Machine
from failoverd.core.states import BlockReason, Confirming, Promoting, Reverting, Salvaging
from failoverd.core.wal_answers import NotSalvaged, Salvaged

ATTEMPTS = 3
"""At one disk, where it was cut off in the middle: what has arrived need not come again."""


def begun(proof: FenceProof, election: Election, m: Machine, p: Policy) -> Salvaging:
    """Of an election that names a candidate."""
    assert election.candidate is not None
    assert election.position is not None
    assert election.loss is not None
    s = Salvaging(proof, election.candidate, election.position, election.loss)
    return replace(s, source=source_of(s, m, p))


def source_of(s: Salvaging, m: Machine, p: Policy) -> NodeName | None:
    """The fenced primary's disk; where that cannot be read, the standby that has most."""
    if not p.salvage:
        return None
    if s.proof.kind is ProofKind.STOPPED and s.proof.node not in s.tried:
        return s.proof.node
    further = [
        (frozen.position, node)
        for node, frozen in m.frozen.items()
        if frozen.position > s.position
        and frozen.timeline in (0, m.memory.timeline)
        and node not in (s.candidate, *s.tried)
    ]
    return max(further)[1] if further else None


def asked(s: Salvaging, m: Machine) -> Salvage:
    """What this state asks of the world."""
    return Salvage(
        primary=s.proof.node,
        candidate=s.candidate,
        source=s.source,
        position=s.position,
        timeline=m.memory.timeline,
        epoch=m.epoch,
        known_end=s.proof.wal_end if s.source == s.proof.node else None,
        attempt=s.attempt,
    )


def answered(
    s: Salvaging,
    result: Salvaged | NotSalvaged | NotConfigured | EffectFailed,
    m: Machine,
    p: Policy,
) -> Salvaging | Promoting | Reverting:
    """From the answer of one disk to the next, or to the decision."""
    match result:
        case Salvaged(loss=loss, end=end) if s.source in (None, s.proof.node):
            s = replace(s, proof=_with_end(s, end), loss=loss)
            return decided(s, None, m, p)
        case Salvaged(end=end):
            return decided(s, None if end is None else end.end, m, p)
        case NotSalvaged(end=end, may_retry=may_retry):
            s = replace(s, proof=_with_end(s, end))
            if may_retry and s.attempt + 1 < ATTEMPTS:
                return replace(s, attempt=s.attempt + 1)
        case NotConfigured() | EffectFailed():
            pass
    if s.source is not None:
        s = replace(s, tried=(*s.tried, s.source))
        s = replace(s, source=source_of(s, m, p), attempt=s.attempt + ATTEMPTS)
        if s.source is not None:
            return s
    return decided(s, None, m, p)


def _with_end(s: Salvaging, end: WalEnd | None) -> FenceProof:
    of_primary = end is not None and s.source == s.proof.node
    return replace(s.proof, wal_end=end) if of_primary else s.proof


def decided(s: Salvaging, carried_to: Lsn | None, m: Machine, p: Policy) -> Promoting | Reverting:
    """Held once more against the limit and the promise, without the hope of a cure.

    `carried_to`: what the candidate holds by now, beyond what it had received.
    """
    terms = replace(terms_of(m.incident, p, s.proof, None), curable=False)
    if carried_to is None and s.loss.nothing:
        return Promoting(s.proof, s.candidate, s.position, s.loss, end=s.proof.wal_end)
    frozen = dict(m.frozen)
    if s.candidate in frozen:
        holds = max(s.position, carried_to or s.position)
        frozen[s.candidate] = replace(frozen[s.candidate], position=holds)
    election = elect(m.view, m.memory, p, replace(terms, frozen=frozen))
    candidate, loss = election.candidate, election.loss
    if candidate is None or loss is None:
        known = wal_loss(max(s.position, carried_to or s.position), m.memory, s.proof)
        if known.lost_bytes > terms.max_loss_bytes or terms.max_loss_bytes == 0:
            return _refused(s, known)
        return Reverting(s.proof.node, True, BlockReason.NO_CANDIDATE, election.sentence)
    position = m.frozen[candidate].position
    return Promoting(s.proof, candidate, position, loss, end=s.proof.wal_end)


def _refused(s: Salvaging, loss: WalLoss) -> Reverting:
    return Reverting(s.proof.node, True, BlockReason.LOSS_TOO_LARGE, loss.sentence)


def measured(loss: WalLoss, end: WalEnd | None, switch_point: Lsn | None) -> WalLoss:
    """What a confirmed promotion lost: where its timeline began, against the true end."""
    if end is None or switch_point is None:
        return loss
    lost = max(0, end.end - switch_point)
    if not lost:
        where = f"the new timeline begins at {switch_point}, and the old primary's WAL ended there"
        return WalLoss(0, True, f"nothing: {where}" if switch_point == end.end else loss.sentence)
    sentence = (
        f"{lost} bytes: the old primary's WAL ended at {end.end},"
        f" and the new timeline begins at {switch_point}"
    )
    return WalLoss(lost, True, sentence)


def to_measure(m: Machine, event: Event, now: Now) -> Unmeasured | None:
    """What is not known of a loss yet: of a promotion confirmed now, or of an earlier one."""
    match m.state, event:
        case (
            Confirming(loss=loss, end=end),
            Replied(visit=visit, effect=Confirm(), result=Confirmed(switch_point=switch_point)),
        ) if visit == m.visit:
            old = m.memory.primary
            if old is None or switch_point is None or end is not None or loss.proven:
                return None
            return Unmeasured(old, m.epoch, m.memory.timeline, switch_point)
        case _:
            return told(m.unmeasured, event, now)
