"""What happens when a primary dies: this page.

One function per state; its return type lists the legal successors, so that the type
checker refuses a transition that is not declared. `effects` is a function of the
machine, never of the edge: resuming after a crash is asking again. `step` joins them.
"""

from __future__ import annotations

import types
import typing
from dataclasses import dataclass, replace

from failoverd.core.decision import (
    adoptable,
    begin,
    looked_at_everyone,
    sole_writable,
    terms_of,
    two_writable,
    wake_at,
)
from failoverd.core.diagnosis import FINE, ROW_OF, Calls, Diagnosis, calls_for_failover, diagnose
from failoverd.core.effects import (
    Confirm,
    Effect,
    Fence,
    Freeze,
    Promote,
    ReadSettings,
    Redirect,
    Salvage,
    StopMode,
    Thaw,
    Unfence,
    Unguard,
)
from failoverd.core.election import elect
from failoverd.core.events import (
    Confirmed,
    EffectFailed,
    Event,
    Fenced,
    FrozenAt,
    NotConfigured,
    Now,
    Observed,
    Promoted,
    Redirected,
    Replied,
    Salvaged,
    StillAlive,
    Trigger,
    Unfenced,
    Unguarded,
    Woke,
)
from failoverd.core.model import PROOF_LIFETIME_S, FenceProof, Instant, NodeName
from failoverd.core.operator import command
from failoverd.core.policy import Mode, Policy
from failoverd.core.situation import Machine, carry
from failoverd.core.states import (
    Blocked,
    BlockReason,
    Confirming,
    Electing,
    Fencing,
    Incident,
    Paused,
    Promoting,
    Reverting,
    Salvaging,
    Settling,
    Starting,
    State,
    Suspect,
    Watching,
)
from failoverd.core.upkeep import after_reply, upkeep

TWO_LOOKS_APART_S = 0.2
"""The second of two conclusive looks begins at least this long after the first."""
RETRY_S = 1.0
LONGEST_RETRY_S = 30.0


@dataclass(frozen=True, slots=True)
class Step:
    machine: Machine
    effects: tuple[Effect, ...]
    wake_at: Instant | None


def step(machine: Machine, event: Event, now: Now, policy: Policy) -> Step:
    """Fold one event into the machine; say what to ask of the world, and when to wake."""
    before = machine.observing(event, policy)
    before = after_reply(before, event, now)
    after = before
    match event:
        case Observed() | Woke():
            after = carry(before, successor(before, event, now, policy), event, now)
        case Replied(visit=visit):
            if visit == before.visit:
                after = carry(before, successor(before, event, now, policy), event, now)
        case _:
            after = carry(before, command(before, event, now, policy), event, now)
    return Step(after, effects(after), wake_at(after, now))


def successor(m: Machine, e: Observed | Woke | Replied, now: Now, p: Policy) -> State:
    match m.state:
        case Starting() as s:
            return starting(s, m, e, now, p)
        case Watching() as s:
            return watching(s, m, e, now, p)
        case Suspect() as s:
            return suspect(s, m, e, now, p)
        case Fencing() as s:
            return fencing(s, m, e, now, p)
        case Electing() as s:
            return electing(s, m, e, now, p)
        case Salvaging() as s:
            return salvaging(s, m, e, now, p)
        case Promoting() as s:
            return promoting(s, m, e, now, p)
        case Confirming() as s:
            return confirming(s, m, e, now, p)
        case Settling() as s:
            return settling(s, m, e, now, p)
        case Reverting() as s:
            return reverting(s, m, e, now, p)
        case Paused() as s:
            return paused(s, m, e, now, p)
        case Blocked() as s:
            return blocked(s, m, e, now, p)


def starting(
    s: Starting, m: Machine, e: Event, now: Now, p: Policy
) -> Starting | Watching | Fencing | Reverting | Paused | Blocked:
    """Nothing is believed, and nothing resumed, before every node has been looked at."""
    if not looked_at_everyone(m.view, p):
        return s
    if s.resuming and m.incident is not None and m.memory.primary is not None:
        return resumed(m.incident, m.memory.primary, m, now, p)
    if m.paused_by is not None:
        return Paused(m.paused_by)
    if m.memory.primary is not None:
        return Watching()
    two = two_writable(m.view)
    if two is not None:
        return block(BlockReason.SPLIT_BRAIN, two, now)
    return s if sole_writable(m.view, m.memory) is None else Watching()


def resumed(
    incident: Incident, primary: NodeName, m: Machine, now: Now, p: Policy
) -> Fencing | Reverting:
    """An incident that was cut short: prove the fence again, or go back if all is well."""
    diagnosis = diagnose(m.view, m.memory, p)
    if diagnosis in FINE and not m.asked:
        return Reverting(primary, False, None, "the primary is well: the incident is over")
    dead = diagnosis in (Diagnosis.CRASHED, Diagnosis.STOPPED, Diagnosis.DEMOTED)
    mode = StopMode.DEAD_ONLY if dead and not m.asked else StopMode.IMMEDIATE
    why = "resumed: every node was looked at, and the fence is proved again"
    return Fencing(incident, primary, mode, m.standbys(p), why)


def watching(
    s: Watching, m: Machine, e: Event, now: Now, p: Policy
) -> Watching | Suspect | Starting | Blocked:
    """All is well as long as somebody well-formed answers."""
    diagnosis = diagnose(m.view, m.memory, p)
    match diagnosis:
        case Diagnosis.BLIND:
            return s
        case Diagnosis.SPLIT_BRAIN:
            return block(BlockReason.SPLIT_BRAIN, ROW_OF[diagnosis].sentence, now)
        case _ if diagnosis not in FINE and adoptable(m.view, m.memory):
            return Starting()
        case Diagnosis.DEMOTED:
            return block(BlockReason.DEMOTED, ROW_OF[diagnosis].sentence, now)
        case _ if diagnosis in FINE:
            return s
        case _:
            return Suspect(diagnosis, now.monotonic, m.primary_report.began_at)


def suspect(
    s: Suspect, m: Machine, e: Event, now: Now, p: Policy
) -> Watching | Suspect | Fencing | Starting | Blocked:
    """Evidence, not time-outs: two conclusive looks, or silence beyond the threshold."""
    back = watching(Watching(), m, e, now, p)
    if not isinstance(back, Suspect):
        # Blind is no news of the primary: what was suspected stays suspected.
        return s if diagnose(m.view, m.memory, p) is Diagnosis.BLIND else back
    if back.diagnosis is not s.diagnosis:
        return back
    if p.mode is not Mode.AUTOMATIC or not _calls_now(s, m, now, p):
        return s
    incident = Incident(m.next_epoch, Trigger.AUTOMATIC, s.diagnosis)
    return begin(incident, m, now, p)


def _calls_now(s: Suspect, m: Machine, now: Now, p: Policy) -> bool:
    if calls_for_failover(s.diagnosis, m.memory, p, s.since, now.monotonic):
        return True
    if ROW_OF[s.diagnosis].calls is not Calls.AFTER_TWO_LOOKS or not p.fast_path:
        return False
    return m.primary_report.began_at - s.looked_at >= TWO_LOOKS_APART_S


def fencing(
    s: Fencing, m: Machine, e: Event, now: Now, p: Policy
) -> Fencing | Electing | Promoting | Reverting | Blocked:
    """No proof, no promotion."""
    match e:
        case Replied(effect=Fence(), result=Fenced(proof)):
            return proven(s, proof, m, p)
        case Replied(effect=Fence(), result=StillAlive(evidence)):
            if m.asked:
                return replace(s, mode=StopMode.FAST, attempt=s.attempt + 1)
            return Reverting(s.primary, False, None, f"still alive: {evidence.sentence}")
        case Replied(effect=Fence(), result=EffectFailed() as failed):
            again = replace(s, attempt=s.attempt + 1)
            return Blocked(
                BlockReason.NO_FENCE_PROOF,
                failed.evidence.sentence,
                now.monotonic,
                retry_at(now, s.attempt),
                failed.advice,
                again,
            )
        case _:
            return s


def proven(
    s: Fencing, proof: FenceProof, m: Machine, p: Policy
) -> Electing | Promoting | Reverting:
    """A promotion that was asked for counts as made: whoever was asked goes on."""
    asked = sorted(m.asked)
    if not asked:
        return Electing(proof, s.standbys)
    election = elect(m.view, m.memory, p, terms_of(m.incident, p, proof, m.frozen_positions()))
    position, loss = m.asked_position(asked[0], election)
    return Promoting(proof, asked[0], position, loss)


def electing(
    s: Electing, m: Machine, e: Event, now: Now, p: Policy
) -> Electing | Salvaging | Fencing | Confirming | Reverting:
    """Positions that stand still are compared; the furthest one wins."""
    disturbed = interrupted(s.proof, m, now)
    if disturbed is not None:
        return disturbed
    match e:
        case Replied(effect=Freeze(node=node), result=FrozenAt(frozen)):
            s = replace(s, frozen={**s.frozen, node: frozen})
        case Replied(
            effect=Freeze(node=node) | ReadSettings(node=node), result=EffectFailed() as f
        ):
            s = replace(s, failed={**s.failed, node: f.evidence.sentence})
        case _:
            pass
    if set(s.standbys) - set(s.frozen) - set(s.failed):
        return s
    election = elect(m.view, m.memory, p, terms_of(m.incident, p, s.proof, s.frozen))
    if election.candidate is None or election.position is None or election.loss is None:
        return Reverting(s.proof.node, True, BlockReason.NO_CANDIDATE, election.sentence)
    return Salvaging(s.proof, election.candidate, election.position, election.loss)


def salvaging(
    s: Salvaging, m: Machine, e: Event, now: Now, p: Policy
) -> Salvaging | Promoting | Fencing | Confirming | Reverting:
    """What the candidate lacks is brought over, or its loss is known and within bounds."""
    disturbed = interrupted(s.proof, m, now)
    if disturbed is not None:
        return disturbed
    match e:
        case Replied(effect=Salvage(), result=Salvaged(loss)):
            s = replace(s, loss=loss)
        case Replied(effect=Salvage(), result=NotConfigured() | EffectFailed()):
            pass
        case _:
            return s
    limit = terms_of(m.incident, p, s.proof, None).max_loss_bytes
    if s.loss.lost_bytes > limit:
        return Reverting(s.proof.node, True, BlockReason.LOSS_TOO_LARGE, s.loss.sentence)
    return Promoting(s.proof, s.candidate, s.position, s.loss)


def promoting(
    s: Promoting, m: Machine, e: Event, now: Now, p: Policy
) -> Promoting | Confirming | Fencing | Blocked:
    """A promotion cannot be revoked: it is asked of this one node until it is primary."""
    match e:
        case Replied(effect=Promote(), result=Promoted()):
            return Confirming(s.proof, s.candidate, s.loss)
        case Replied(effect=Promote(), result=StillAlive()):
            return prove_again(s.proof, m, "the old primary was seen writable")
        case Replied(effect=Promote(), result=EffectFailed() as failed):
            why = f"{s.candidate} was asked to promote: {failed.evidence.sentence}"
            again = prove_again(s.proof, m, why)
            return Blocked(
                BlockReason.PROMOTION_PENDING, why, now.monotonic,
                retry_at(now, s.attempt), failed.advice, again,
            )  # fmt: skip
        case _:
            return interrupted_by_writable(s.proof, m) or s


def confirming(
    s: Confirming, m: Machine, e: Event, now: Now, p: Policy
) -> Confirming | Settling | Blocked:
    """A new timeline and a committed write, or the applications are not sent there."""
    match e:
        case Replied(effect=Confirm(), result=Confirmed() as confirmed):
            return Settling(s.candidate, confirmed)
        case Replied(effect=Confirm(), result=EffectFailed() as failed):
            again = replace(s, attempt=s.attempt + 1)
            return Blocked(
                BlockReason.UNCONFIRMED, failed.evidence.sentence, now.monotonic,
                retry_at(now, s.attempt), failed.advice, again,
            )  # fmt: skip
        case _:
            return s


def settling(s: Settling, m: Machine, e: Event, now: Now, p: Policy) -> Settling | Watching:
    """The failover stands; applications are sent over, and then the watch goes on."""
    match e:
        case Replied(effect=Redirect(), result=Redirected() | NotConfigured() | EffectFailed()):
            return Watching()
        case _:
            return s


def reverting(
    s: Reverting, m: Machine, e: Event, now: Now, p: Policy
) -> Reverting | Watching | Blocked:
    """Every freeze is thawed and the guard taken back; then it is over, or blocked."""
    match e:
        case Replied(effect=Unguard() | Unfence(), result=Unguarded() | Unfenced()):
            s = replace(s, guard_owed=False)
        case Replied(result=EffectFailed()):
            s = replace(s, retry_at=retry_at(now, s.attempt))
        case _ if s.retry_at is not None and now.monotonic >= s.retry_at:
            s = replace(s, retry_at=None, attempt=s.attempt + 1)
        case _:
            pass
    # What a lost host still owes is retried as upkeep; a stopped primary is not left behind.
    given_up = s.attempt >= 3 and not (s.restart and s.guard_owed)
    if (s.guard_owed or m.saved) and not given_up:
        return s
    if s.then is None:
        return Watching()
    return Blocked(s.then, s.why, now.monotonic, Instant(now.monotonic + LONGEST_RETRY_S))


def paused(s: Paused, m: Machine, e: Event, now: Now, p: Policy) -> Paused | Watching:
    """Watches, measures and says; acts on nothing."""
    if m.paused_until is not None and now.wall >= m.paused_until:
        return Watching()
    return s


def blocked(
    s: Blocked, m: Machine, e: Event, now: Now, p: Policy
) -> Blocked | Watching | Suspect | Starting | Fencing | Confirming | Reverting:
    """Nothing goes forward; left by itself when the primary is well or the reason is gone."""
    due = now.monotonic >= s.retry_at
    if s.returns_to is not None:
        well = diagnose(m.view, m.memory, p) in FINE
        if isinstance(s.returns_to, Fencing) and well and not m.asked and isinstance(e, Observed):
            return Reverting(s.returns_to.primary, False, None, "the primary is well again")
        return s.returns_to if due else s
    if m.memory.primary is None:
        return Starting() if due else s
    back = watching(Watching(), m, e, now, p)
    match back:
        case Watching() if diagnose(m.view, m.memory, p) is Diagnosis.BLIND:
            return s
        case Blocked(reason=reason):
            return s if reason is s.reason else back
        case Suspect() if not due and s.reason in _DECIDED_BY_TIME:
            return s
        case _:
            return back


_DECIDED_BY_TIME = frozenset(set(BlockReason) - {BlockReason.SPLIT_BRAIN, BlockReason.DEMOTED})


def interrupted(proof: FenceProof, m: Machine, now: Now) -> Fencing | Confirming | None:
    """What ends an election: a proof that is void, or somebody who was promoted by others."""
    if now.monotonic - proof.proved_at > PROOF_LIFETIME_S:
        return prove_again(proof, m, "the fence proof is older than 30 s")
    return interrupted_by_writable(proof, m)


def interrupted_by_writable(proof: FenceProof, m: Machine) -> Fencing | None:
    old = m.view.report(proof.node)
    if old.writable and old.server is not None and old.server.seen_at > proof.proved_at:
        return prove_again(proof, m, "the old primary was seen writable: the proof is void")
    return None


def prove_again(proof: FenceProof, m: Machine, why: str) -> Fencing:
    assert m.incident is not None
    return Fencing(m.incident, proof.node, StopMode.IMMEDIATE, m.frozen_or_known(), why, m.visit)


def block(reason: BlockReason, why: str, now: Now) -> Blocked:
    return Blocked(reason, why, now.monotonic, Instant(now.monotonic + RETRY_S))


def retry_at(now: Now, attempt: int) -> Instant:
    """Back-off: 1 s, doubled with each attempt, 30 s at most."""
    return Instant(now.monotonic + min(LONGEST_RETRY_S, RETRY_S * 2**attempt))


def effects(m: Machine) -> tuple[Effect, ...]:
    """What a machine asks the world for. Resuming after a crash is asking again."""
    match m.state:
        case Fencing(primary=primary, mode=mode):
            return (Fence(primary, mode, m.epoch),)
        case Electing() as s:
            waiting = [n for n in s.standbys if n not in s.frozen and n not in s.failed]
            return tuple(
                Freeze(n, m.epoch, m.saved[n]) if n in m.saved else ReadSettings(n, m.epoch)
                for n in waiting
            )
        case Salvaging(proof=proof, candidate=candidate):
            return (Salvage(proof.node, candidate),)
        case Promoting(proof=proof, candidate=candidate, position=position):
            return (Promote(candidate, proof, position, m.epoch),)
        case Confirming(candidate=candidate):
            return (Confirm(candidate, m.memory.timeline),)
        case Settling(primary=primary):
            return (Redirect(primary), *upkeep(m))
        case Reverting() as s if s.retry_at is None:
            thaws = tuple(
                Thaw(n, m.epoch, saved, s.attempt) for n, saved in sorted(m.saved.items())
            )
            if not s.guard_owed:
                return thaws
            back = Unfence if s.restart else Unguard
            return (*thaws, back(s.primary, m.epoch))
        case Watching() | Suspect() | Blocked(returns_to=None):
            return upkeep(m)
        case Starting() | Paused() | Blocked() | Reverting():
            return ()


def transitions() -> frozenset[tuple[type[State], type[State]]]:
    """Every declared transition, read from the annotations of the state functions."""
    functions = (
        starting, watching, suspect, fencing, electing, salvaging, promoting,
        confirming, settling, reverting, paused, blocked,
    )  # fmt: skip
    pairs: set[tuple[type[State], type[State]]] = set()
    for function in functions:
        hints = typing.get_type_hints(function)
        source, returned = hints["s"], hints["return"]
        targets = (
            typing.get_args(returned) if isinstance(returned, types.UnionType) else (returned,)
        )
        pairs |= {(source, target) for target in targets if target is not source}
    return frozenset(pairs | COMMANDED)


COMMANDED: frozenset[tuple[type[State], type[State]]] = frozenset(
    {(source, Paused) for source in (Starting, Watching, Suspect, Blocked)}
    | {(source, Fencing) for source in (Watching, Suspect, Blocked, Paused)}
    | {(Watching, Blocked), (Suspect, Blocked), (Paused, Watching), (Blocked, Electing)}
    | {(Blocked, Watching), (Blocked, Suspect)}
)
"""Transitions that an operator's command makes (`failoverd.core.operator`)."""
