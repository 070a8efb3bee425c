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
    LONGEST_RETRY_S,
    RETRY_S,
    begin,
    looked_at_everyone,
    retry_at,
    terms_of,
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
from failoverd.core.memory import others_write, sole_writable, two_writable
from failoverd.core.model import Instant
from failoverd.core.operator import COMMANDED, command, in_procedure, refusal
from failoverd.core.policy import Mode, Policy
from failoverd.core.proof import (
    fence_pending,
    held_down,
    interrupted,
    interrupted_by_writable,
    prove_again,
    proven,
    refence,
    resumed,
    superseded,
    valid,
)
from failoverd.core.situation import Machine, answered, carry
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
from failoverd.core.upkeep import before_deciding, owed_thaws, upkeep

TWO_LOOKS_APART_S = 0.2
"""The second of two conclusive looks begins at least this long after the first."""
REVERTS = 3
"""How often a way back is tried before what is left of it is somebody else's duty."""


@dataclass(frozen=True, slots=True)
class Step:
    machine: Machine
    effects: tuple[Effect, ...]
    wake_at: Instant | None


def step(machine: Machine, event: Event, now: Now, policy: Policy) -> Step:
    """Fold one event into the machine; say what to ask of the world, and when to wake."""
    m = before_deciding(machine.observing(event, policy), event, now, policy)
    match event:
        case Observed() | Woke():
            m = carry(m, successor(m, event, now, policy), event, now)
        case Replied(visit=visit) if visit == m.visit:
            m = answered(m, event, now)
            m = carry(m, successor(m, event, now, policy), event, now)
        case Replied():
            pass
        case _:
            if refusal(m, event, policy) is None:
                m = carry(m, command(m, event, now, policy), event, now)
    observes = policy.mode is Mode.OBSERVE and not in_procedure(m)
    return Step(m, () if observes else effects(m), wake_at(m, now))


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
) -> Starting | Watching | Fencing | Settling | Reverting | Paused | Blocked:
    """Nothing is believed, and nothing resumed, before every node has been looked at."""
    if not looked_at_everyone(m.view, p):
        return s
    if s.resuming and m.incident is not None and m.memory.primary is not None:
        return resumed(m.incident, m.memory.primary, m, now, p)
    if s.settling is not None and s.settling.primary == m.memory.primary:
        return s.settling
    if m.paused_by is not None:
        return Paused(m.paused_by)
    if m.memory.primary is not None:
        return Watching()
    two = two_writable(m.view, m.memory)
    if two is not None:
        return block(BlockReason.SPLIT_BRAIN, two, now)
    return s if sole_writable(m.view, m.memory) is None else Watching()


def watching(
    s: Watching, m: Machine, e: Event, now: Now, p: Policy
) -> Watching | Suspect | Starting | Blocked:
    """All is well as long as somebody well-formed answers."""
    if m.primary_report.began_at <= m.memory.primary_since:
        return s
    diagnosis = diagnose(m.view, m.memory, p)
    match diagnosis:
        case Diagnosis.BLIND:
            return s
        case Diagnosis.SPLIT_BRAIN:
            return block(BlockReason.SPLIT_BRAIN, ROW_OF[diagnosis].sentence, now)
        case _ if diagnosis not in FINE and superseded(m) is not None:
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
) -> Fencing | Electing | Promoting | Starting | Reverting | Blocked:
    """No proof, no promotion."""
    match e:
        case Replied(effect=Fence(), result=Fenced(proof)):
            if not valid(proof, s, m, now):
                return replace(s, attempt=s.attempt + 1)
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
            return s if superseded(m) is None else Starting()


def electing(
    s: Electing, m: Machine, e: Event, now: Now, p: Policy
) -> Electing | Salvaging | Fencing | Starting | Reverting:
    """Positions that stand still are compared; the furthest one wins."""
    disturbed = interrupted(s.proof, m, now, p)
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
) -> Salvaging | Promoting | Fencing | Starting | Reverting:
    """What the candidate lacks is brought over, or its loss is known and within bounds."""
    disturbed = interrupted(s.proof, m, now, p)
    if disturbed is not None:
        return disturbed
    match e:
        case Replied(effect=Salvage(), result=Salvaged(loss)):
            s = replace(s, loss=loss)
        case Replied(effect=Salvage(), result=NotConfigured() | EffectFailed()):
            pass
        case _:
            return s
    terms = terms_of(m.incident, p, s.proof, None)
    unproven = terms.max_loss_bytes == 0 and not s.loss.proven
    if s.loss.lost_bytes > terms.max_loss_bytes or unproven:
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
            why = "the old primary was seen writable: the proof is void"
            return prove_again(s.proof, m, p, why, s.attempt + 1)
        case Replied(effect=Promote(), result=EffectFailed() as failed):
            why = f"{s.candidate} was asked to promote: {failed.evidence.sentence}"
            again = prove_again(s.proof, m, p, why, s.attempt + 1)
            return Blocked(
                BlockReason.PROMOTION_PENDING, why, now.monotonic,
                retry_at(now, s.attempt), failed.advice, again,
            )  # fmt: skip
        case _:
            return interrupted_by_writable(s.proof, m, p, s.attempt + 1) or s


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
) -> Reverting | Watching | Starting | Blocked:
    """Every freeze is thawed and the guard taken back; then it is over, or blocked."""
    if superseded(m) is not None:
        return Starting()
    if not s.restart and s.guard_owed and held_down(m, p):
        s = replace(s, restart=True, attempt=s.attempt + 1)
    match e:
        case Replied(effect=Unguard() | Unfence(), result=Unguarded() | Unfenced()):
            s = replace(s, guard_owed=False)
        case Replied(result=EffectFailed()):
            s = replace(s, retry_at=retry_at(now, s.attempt))
        case _ if s.retry_at is not None and now.monotonic >= s.retry_at:
            s = replace(s, retry_at=None, attempt=s.attempt + 1)
        case _:
            pass
    if (s.guard_owed or owed_thaws(m)) and s.attempt < REVERTS:
        return s
    at = Instant(now.monotonic + LONGEST_RETRY_S)
    if s.restart and s.guard_owed and m.incident is not None:
        # It could not be started again: whoever can take over now is better than nobody.
        why = f"{s.primary} could not be started again; {s.why}"
        again = refence(m.incident, s.primary, m, p, why)
        return Blocked(BlockReason.NO_FENCE_PROOF, why, now.monotonic, at, "", again)
    # What a lost host still owes is retried as upkeep.
    return Watching() if s.then is None else Blocked(s.then, s.why, now.monotonic, at)


def paused(s: Paused, m: Machine, e: Event, now: Now, p: Policy) -> Paused | Watching | Starting:
    """Watches, measures and says; acts on nothing."""
    if m.paused_until is None or now.wall < m.paused_until:
        return s
    return Starting() if m.memory.primary is None else Watching()


def blocked(
    s: Blocked, m: Machine, e: Event, now: Now, p: Policy
) -> Blocked | Watching | Suspect | Starting | Fencing | Confirming | Reverting:
    """Nothing goes forward; left by itself when the primary is well or the reason is gone."""
    due = now.monotonic >= s.retry_at
    if due:
        s = replace(s, retry_at=Instant(now.monotonic + RETRY_S))
    if m.memory.primary is None:
        return Starting() if due and two_writable(m.view, m.memory) is None else s
    match s.returns_to:
        case Fencing() as again:
            return fence_pending(s, again, m, p, due=due)
        case Confirming() as again:
            return again if due else s
        case None:
            return untouched(s, m, e, now, p, due=due)


def untouched(
    s: Blocked, m: Machine, e: Event, now: Now, p: Policy, *, due: bool
) -> Blocked | Watching | Suspect | Starting | Fencing:
    """Nothing was done yet: as in `watching`, and tried anew when it is due."""
    if diagnose(m.view, m.memory, p) is Diagnosis.BLIND:
        return s
    back = watching(Watching(), m, e, now, p)
    if isinstance(back, Blocked):
        return s if back.reason is s.reason else back
    if not isinstance(back, Suspect) or s.reason in _SEEN:
        return back
    may_call = p.mode is Mode.AUTOMATIC and ROW_OF[back.diagnosis].calls is not Calls.NEVER
    if not due or not may_call:
        return s if not due else back
    if not calls_for_failover(back.diagnosis, m.memory, p, s.since, now.monotonic):
        return s
    again = begin(Incident(m.next_epoch, Trigger.AUTOMATIC, back.diagnosis), m, now, p)
    stays = isinstance(again, Blocked) and again.reason is s.reason
    return replace(again, since=s.since) if stays and isinstance(again, Blocked) else again


_SEEN = frozenset({BlockReason.SPLIT_BRAIN, BlockReason.DEMOTED})
"""Seen in the view, and over as soon as it is not."""


def block(reason: BlockReason, why: str, now: Now) -> Blocked:
    return Blocked(reason, why, now.monotonic, Instant(now.monotonic + RETRY_S))


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
            return (Redirect(primary),)
        case Reverting() as s if s.retry_at is None:
            thaws = tuple(
                Thaw(n, m.epoch, saved, s.attempt) for n, saved in sorted(owed_thaws(m).items())
            )
            if not s.guard_owed or (s.restart and others_write(m.view, m.memory)):
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
