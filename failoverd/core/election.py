"""Who takes over, and why not each of the others.

The furthest position wins, since it holds the most acknowledged commits; `priority`
and then the name break ties, the same way every time. Every refusal has its reason.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace

from failoverd.core.dead_man import ASKS_BYTES_S
from failoverd.core.elected import Election
from failoverd.core.fitness import fit, postmaster_suspended
from failoverd.core.memory import Memory
from failoverd.core.model import (
    ClusterView,
    ControlState,
    FenceProof,
    Frozen,
    Instant,
    Lsn,
    NodeName,
    ProofKind,
    WalLoss,
)
from failoverd.core.policy import Policy
from failoverd.core.promise import Promise
from failoverd.core.ranking import Standing, standing, why_not
from failoverd.core.synchronous import parse


@dataclass(frozen=True, slots=True)
class Terms:
    """What an election holds the standbys to."""

    max_loss_bytes: int
    wanted: NodeName | None = None
    proof: FenceProof | None = None
    frozen: Mapping[NodeName, Frozen] | None = None
    """None: a trial on the positions as they are; else only frozen standbys count."""
    loss_accepted: bool = False
    """An operator accepted a loss in writing: also one that nothing is known of."""
    given_up: tuple[NodeName, ...] = ()
    """Asked to promote in this incident, and proved stopped since."""
    kept_out: frozenset[NodeName] = frozenset()
    """Fenced, or on their way back: they are not frozen, so that nobody is fenced for them."""
    curable: bool = False
    """What a candidate lacks may be on the old primary's disk, and salvage brings it over."""


def elect(view: ClusterView, memory: Memory, policy: Policy, terms: Terms) -> Election:
    """One candidate within `max_data_loss` and the synchronous promise, or none."""
    assert memory.primary is not None
    refused: dict[NodeName, str] = {}
    at: dict[NodeName, Lsn] = {}
    curable = _curable(view, memory, terms)
    for report in view.others(memory.primary):
        if report.name in terms.kept_out:
            refused[report.name] = "is kept out until it is brought back as a standby"
            continue
        trial = terms.frozen is None and terms.proof is None
        suspended = postmaster_suspended(report) if trial else None
        position = suspended or fit(report, memory, terms.frozen, salvaged=curable)
        if isinstance(position, Lsn):
            at[report.name] = position
        else:
            refused[report.name] = position
    found = [_promised(promise, view, memory, at) for promise in _promises(memory)]
    held_to = [one for one in found if one is not None]
    promised = frozenset(name for one in held_to for name in one.promised)
    able: list[Standing] = []
    for name, position in at.items():
        unwanted = _unwanted(name, policy, terms)
        if unwanted is None:
            report = view.report(name)
            server = report.server or report.last_server
            able.append(standing(name, position, server, memory, policy, promised))
        else:
            refused[name] = unwanted
    able.sort(key=lambda one: one.key)
    for first in able:
        loss, reason = _judged(first.position, memory, terms, held_to)
        if reason is None or curable:
            after = {o.name: why_not(o, first) for o in able if o.name not in refused}
            after.pop(first.name, None)
            return Election(first.name, first.position, loss, {**refused, **after})
        refused[first.name] = reason
    return Election(None, None, None, refused)


def _judged(
    position: Lsn, memory: Memory, terms: Terms, held_to: list[_Promised]
) -> tuple[WalLoss, str | None]:
    """What is lost if a standby takes over from there, and why that may not be."""
    loss = wal_loss(position, memory, terms.proof)
    reason = _too_lossy(loss, memory, terms)
    if loss.nothing:
        return loss, reason
    # What is known to be missing may have been promised just as what is not known.
    where = None if terms.frozen is None else position
    refusals = [one.refusal(where) for one in held_to]
    refusal = next((refusal for refusal in refusals if refusal is not None), None)
    promise = memory.promise
    if promise is not None and promise.void:
        loss = replace(loss, sentence=f"{loss.sentence}, while {LOWERED}")
        reason = None if reason is None else f"{reason}; {LOWERED}"
    elif promise is not None and promise.kept is not None and refusal is None:
        # Whoever may lack a promised commit is not excused: salvage may fail to bring it over.
        reason, loss = None, _excused(loss)
    return loss, refusal or reason


LOWERED = "synchronous replication was lowered, so that acknowledged commits may be missing"


def _excused(loss: WalLoss) -> WalLoss:
    """Whoever holds all that was promised loses at most what nobody was promised."""
    promised = "no commit that synchronous replication acknowledged"
    if not loss.proven:
        return WalLoss(0, True, promised)
    return WalLoss(loss.lost_bytes, True, f"{promised}; {loss.sentence}")


def _too_lossy(loss: WalLoss, memory: Memory, terms: Terms) -> str | None:
    if loss.lost_bytes > terms.max_loss_bytes:
        return f"{loss.sentence}; max_data_loss is {terms.max_loss_bytes} bytes"
    if loss.proven or terms.loss_accepted:
        return None
    if terms.max_loss_bytes == 0:
        return f"max_data_loss is 0 and nothing proves it: {loss.sentence}"
    return f"its loss is {loss.sentence}" if memory.primary_lsn is None else None


def _curable(view: ClusterView, memory: Memory, terms: Terms) -> bool:
    """Before the fence, the host of the primary must have answered: its disk is read over SSH."""
    assert memory.primary is not None
    return terms.curable and (terms.proof is not None or view.report(memory.primary).host.look.ok)


def _unwanted(name: NodeName, policy: Policy, terms: Terms) -> str | None:
    node = policy.nodes.get(name)
    if node is None:
        return "not in the configuration"
    if name in terms.given_up:
        return "was asked to promote, and failed: it was stopped, and another one is asked"
    if node.never:
        return "priority: never"
    if terms.wanted is not None and name != terms.wanted:
        return f"{terms.wanted} was asked for"
    return None


@dataclass(frozen=True, slots=True)
class _Promised:
    """Any `count` of the promised standbys may hold a commit that no other does."""

    words: str
    needed: int
    at_hand: Mapping[NodeName, Lsn]
    promised: frozenset[NodeName] = frozenset()

    def refusal(self, position: Lsn | None) -> str | None:
        """n-k+1 of n at hand, and at the furthest of them: every promised commit is there.

        Positions that still move (None, a trial) are not compared.
        """
        if len(self.at_hand) < self.needed:
            there = ", ".join(sorted(self.at_hand)) or "none"
            return f"{self.words}: {self.needed} of them must be at hand, and at hand: {there}"
        furthest = max(self.at_hand.values())
        if position is not None and position < furthest:
            return f"{self.words}, and one of them is further: {furthest}"
        return None


def _promises(memory: Memory) -> list[Promise]:
    """The one that was in force, and what stands there now: both refuse, the first excuses."""
    now = memory.promise
    if now is None or now.void:
        return []
    held = [now] if now.kept is None or now.kept is now else [now.kept, now]
    return [*held, Promise(now.pending, now.synchronous)] if now.pending else held


def _promised(
    promise: Promise, view: ClusterView, memory: Memory, fit: Mapping[NodeName, Lsn]
) -> _Promised | None:
    assert memory.primary is not None
    requirement = parse(promise.standby_names)
    if requirement is None:
        return None
    names = {n: _application_name(n, memory).lower() for n in view.nodes if n != memory.primary}
    # Nodes and not names: standbys that share a name are as many as they are.
    promised = {node for node, name in names.items() if requirement.covers(name)}
    listed = promise.synchronous if "*" in requirement.names else requirement.names
    itself = {memory.primary.lower(), _application_name(memory.primary, memory).lower()}
    strangers = {name.lower() for name in listed} - set(names.values()) - itself
    words = (
        f"synchronous_standby_names = '{promise.standby_names}' promised every commit to"
        f" {requirement.count} of {', '.join(sorted({*promised, *strangers}))}"
    )
    at_hand = {node: fit[node] for node in promised if node in fit}
    of = len(promised) + len(strangers)
    needed = max(1, of - requirement.count + 1)
    return _Promised(words, needed, at_hand, frozenset(promised))


def _application_name(node: NodeName, memory: Memory) -> str:
    return memory.application_names.get(node, node)


def wal_loss(position: Lsn, memory: Memory, proof: FenceProof | None) -> WalLoss:
    """What is lost if a standby at `position` takes over, in bytes of WAL.

    Exact where the true end of the old primary's WAL was read. Proven zero if it was shut
    down cleanly and the standby lies strictly beyond its shutdown checkpoint (the checkpoint
    record itself was received). Else an
    estimate: last position seen, and what the peak rate may have added since. Where nobody knows
    since when, it is the least that is lost, and said to be no more than that.
    """
    end = None if proof is None else proof.wal_end
    if end is not None and end.timeline == memory.timeline:
        if position >= end.end:
            return WalLoss(0, True, f"nothing: the old primary's WAL ends at {end.end}")
        lost = end.end - position
        return WalLoss(lost, True, f"{lost} bytes: the old primary's WAL ends at {end.end}")
    if proof is not None and proof.control_state is ControlState.SHUT_DOWN:
        checkpoint = proof.shutdown_checkpoint
        if checkpoint is not None and position > checkpoint:
            return WalLoss(0, True, f"nothing: {position} lies beyond the checkpoint {checkpoint}")
        return WalLoss(
            0 if checkpoint is None else max(1, checkpoint - position),
            False,
            f"the shutdown checkpoint {checkpoint} was not received: {position}",
        )
    if memory.primary_lsn is None:
        return WalLoss(0, False, "unknown: the primary's position was never seen")
    if memory.primary_lsn_at is None:
        lost = max(0, memory.primary_lsn - position)
        seen = f"the primary stood at {memory.primary_lsn} before this process began"
        return WalLoss(lost, False, f"not known, at least {lost} bytes: {seen}")
    until = _wrote_until(memory, memory.primary_lsn_at, proof)
    unseen_s = max(0.0, until - memory.primary_lsn_at)
    asked = proof is not None and proof.kind is ProofKind.DEAD_MAN_EXPIRED
    rate = memory.peak_wal_rate + (ASKS_BYTES_S if asked else 0.0)
    lost = max(0, memory.primary_lsn - position + int(rate * unseen_s))
    since = f"{unseen_s:.1f} s before it can have written last, at {rate:.0f} bytes/s at most"
    sentence = f"at most about {lost} bytes (estimated: {memory.primary_lsn} was last seen {since})"
    return WalLoss(lost, False, sentence)


def _wrote_until(memory: Memory, seen_at: Instant, proof: FenceProof | None) -> Instant:
    """Cut off from us it may go on for its applications until it is fenced."""
    doubt = memory.doubt
    looked_at = proof is None or proof.kind is ProofKind.STOPPED
    if doubt is not None and doubt.dead_at is not None and looked_at:
        # Where nobody has looked at it since, it may have been started again meanwhile.
        return doubt.dead_at
    latest = seen_at if doubt is None else doubt.began_at
    return latest if proof is None else max(latest, proof.proved_at)
