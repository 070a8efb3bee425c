"""What happens when a primary dies: this page.

One function per state; its return type lists the legal successors, so that the type
checker refuses a transition that is not declared. What is asked of the world in each
stands in asked.py; step.py joins them.
"""

from __future__ import annotations

from dataclasses import replace

from failoverd.core import salvage
from failoverd.core.arming import ended_in_vain
from failoverd.core.decision import (
    LONGEST_RETRY_S,
    RETRY_S,
    begin,
    begun_now,
    looked_at_everyone,
    retry_at,
    terms_of,
    waits_for_a_look,
    would_begin,
)
from failoverd.core.diagnosis import FINE, ROW_OF, Calls, Diagnosis, calls_for_failover, diagnose
from failoverd.core.effects import (
    Confirm,
    DisarmDeadMan,
    Fence,
    Freeze,
    Promote,
    ReadSettings,
    Redirect,
    Retire,
    Salvage,
    StopMode,
    Unfence,
    Unguard,
)
from failoverd.core.election import elect
from failoverd.core.events import (
    STALE_EPOCH,
    Confirmed,
    EffectFailed,
    Event,
    Fenced,
    NotConfigured,
    Now,
    Observed,
    Promoted,
    Redirected,
    Replied,
    StillAlive,
    Trigger,
    Unfenced,
    Unguarded,
    Woke,
)
from failoverd.core.handing_over import gave_up, in_vain, not_configured
from failoverd.core.jobs import start_by_hand
from failoverd.core.model import Instant
from failoverd.core.operator import mode_of
from failoverd.core.policy import Mode, Policy
from failoverd.core.proof import (
    fence_pending,
    held_down,
    interrupted,
    interrupted_by_writable,
    left_behind,
    prove_again,
    proven,
    refence,
    resumed,
    strangers_write,
    superseded,
    valid,
)
from failoverd.core.redirection import settled, settling_until
from failoverd.core.retry import in_seconds
from failoverd.core.situation import Machine, frozen_by_others
from failoverd.core.split_brain import told
from failoverd.core.states import (
    Blocked,
    BlockReason,
    Confirming,
    Electing,
    Fencing,
    Incident,
    Paused,
    Preparation,
    Promoting,
    Reverting,
    Salvaging,
    Settling,
    Starting,
    State,
    Suspect,
    Watching,
)
from failoverd.core.switchover import due, goes_back, preparing
from failoverd.core.target import owed
from failoverd.core.upkeep import owed_thaws
from failoverd.core.wal_answers import NotSalvaged, Salvaged
from failoverd.core.writers import overtaken, sole_writable, two_writable

TWO_LOOKS_APART_S = 0.2
"""The second of two conclusive looks begins at least this long after the first."""
REVERTS = 3
"""How often a way back is tried before what is left of it is somebody else's duty."""


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
        return replace(s.settling, until=settling_until(now, p))
    if m.paused_by is not None:
        return Paused(m.paused_by)
    if m.memory.primary is not None:
        return Watching()
    if two_writable(m.view, m.memory) is not None:
        return split(m, now)
    later = overtaken(m.view, m.memory)
    if later is not None:
        advice = "start the later primary; or failoverd adopt NODE, to go on without it"
        return replace(block(BlockReason.DEMOTED, later, now), advice=advice)
    return s if sole_writable(m.view, m.memory) is None else Watching()


def watching(
    s: Watching, m: Machine, e: Event, now: Now, p: Policy
) -> Watching | Suspect | Fencing | Starting | Blocked:
    """All is well as long as somebody well-formed answers."""
    if m.primary_report.began_at <= m.memory.primary_since:
        return s
    diagnosis = diagnose(m.view, m.memory, p)
    match diagnosis:
        case Diagnosis.BLIND:
            return s
        case Diagnosis.SPLIT_BRAIN:
            return split(m, now)
        case _ if diagnosis not in FINE and superseded(m) is not None:
            return Starting()
        case Diagnosis.DEMOTED:
            return block(BlockReason.DEMOTED, ROW_OF[diagnosis].sentence, now)
        case _ if diagnosis in FINE:
            return due(m, now, p) or s
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
    if not _calls_now(s.diagnosis, s.since, s.looked_at, m, now, p):
        refuses = s.diagnosis is Diagnosis.BUSY and now.monotonic - s.since >= p.busy_limit_s
        return replace(s, overdue=s.overdue or refuses)
    incident = begun_now(m, Trigger.AUTOMATIC, s.diagnosis)
    if mode_of(m, p) is not Mode.AUTOMATIC:
        return s if s.would else replace(s, would=would_begin(incident, m, now, p))
    begun = begin(incident, m, now, p)
    if isinstance(begun, Blocked):
        return replace(begun, diagnosis=s.diagnosis, diagnosed_at=s.since)
    return begun


def _calls_now(
    diagnosis: Diagnosis, since: Instant, looked_at: Instant, m: Machine, now: Now, p: Policy
) -> bool:
    if calls_for_failover(diagnosis, m.memory, p, since, now.monotonic):
        return True
    if ROW_OF[diagnosis].calls is not Calls.AFTER_TWO_LOOKS or not p.fast_path:
        return False
    return m.primary_report.began_at - looked_at >= TWO_LOOKS_APART_S


def fencing(
    s: Fencing, m: Machine, e: Event, now: Now, p: Policy
) -> Fencing | Electing | Promoting | Starting | Reverting | Blocked:
    """No proof, no promotion."""
    if s.preparation is not Preparation.DONE:
        return Starting() if superseded(m) is not None else preparing(s, m, e, p)
    match e:
        case Replied(effect=Retire(node=node), result=result):
            return gave_up(s, node, result, now)
        case Replied(effect=Fence(), result=Fenced(proof)):
            if not valid(proof, s, m, now):
                return replace(s, attempt=s.attempt + 1)
            return not_configured(s, m, now, p) or proven(s, proof, m, p)
        case Replied(effect=Fence(), result=StillAlive(evidence)):
            if m.asked:
                return replace(s, mode=StopMode.FAST, attempt=s.attempt + 1)
            return Reverting(s.primary, False, None, f"still alive: {evidence.sentence}")
        case Replied(effect=Fence(), result=EffectFailed() as failed) if goes_back(s, failed, m):
            # It was well when it was asked to stop: it runs again, whatever the proof lacks.
            return Reverting(s.primary, True, None, failed.evidence.sentence)
        case Replied(effect=Fence(), result=EffectFailed() as failed):
            elsewhere = failed.reason == STALE_EPOCH
            again = replace(s, attempt=s.attempt + 1, elsewhere=elsewhere)
            if elsewhere and by_order(s.incident) and not m.asked:
                # Who was told to go on takes a later number; who slept by itself does not.
                again = replace(again, incident=replace(s.incident, epoch=m.next_epoch))
            return Blocked(
                BlockReason.NO_FENCE_PROOF,
                failed.evidence.sentence,
                now.monotonic,
                retry_at(now, s.attempt),
                failed.advice,
                again,
            )
        case _ if s.gives_up is not None and m.view.report(s.gives_up).writable:
            return replace(s, gives_up=None, attempt=s.attempt + 1)
        case _ if s.gives_up is not None and s.gives_up not in p.nodes:
            return not_configured(s, m, now, p) or s
        case _:
            return s if superseded(m) is None else Starting()


def by_order(incident: Incident) -> bool:
    return incident.trigger is not Trigger.AUTOMATIC


def electing(
    s: Electing, m: Machine, e: Event, now: Now, p: Policy
) -> Electing | Salvaging | Fencing | Starting | Reverting:
    """Positions that stand still are compared; the furthest one wins."""
    disturbed = interrupted(s.proof, m, now, p)
    if disturbed is not None:
        return disturbed
    s = replace(s, frozen={n: m.frozen[n] for n in s.standbys if n in m.frozen})
    match e:
        case Replied(
            visit=visit,
            effect=Freeze(node=node) | ReadSettings(node=node),
            result=EffectFailed() as f,
        ) if visit == m.visit:
            s = replace(s, failed={**s.failed, node: f.evidence.sentence})
        case _:
            pass
    if set(s.standbys) - set(s.frozen) - set(s.failed):
        return s
    election = elect(m.view, m.memory, p, terms_of(m.incident, p, s.proof, s.frozen))
    once_more = left_behind(s, election, m, p)
    if once_more:
        failed = {node: why for node, why in s.failed.items() if node not in once_more}
        return replace(s, failed=failed, attempt=s.attempt + 1)
    if election.candidate is None:
        return Reverting(s.proof.node, True, BlockReason.NO_CANDIDATE, election.sentence)
    return salvage.begun(s.proof, election, m, p)


def salvaging(
    s: Salvaging, m: Machine, e: Event, now: Now, p: Policy
) -> Salvaging | Promoting | Fencing | Starting | Reverting:
    """What the candidate lacks is brought over, or its loss is known and within bounds."""
    answered = isinstance(e, Replied) and isinstance(e.effect, Salvage)
    # What takes longer than a proof lasts is not cut off: the fence is proved anew after it.
    disturbed = interrupted(s.proof, m, now, p, lasting=not answered)
    if disturbed is not None:
        return disturbed
    match e:
        case Replied(
            effect=Salvage(),
            result=(Salvaged() | NotSalvaged() | NotConfigured() | EffectFailed()) as result,
        ):
            return salvage.answered(s, result, m, p)
        case _:
            return s


def promoting(
    s: Promoting, m: Machine, e: Event, now: Now, p: Policy
) -> Promoting | Confirming | Fencing | Blocked:
    """A promotion cannot be revoked: it is asked of this one node until it is primary."""
    match e:
        case Replied(effect=Promote(), result=Promoted()):
            return Confirming(s.proof, s.candidate, s.loss, end=s.end)
        case Replied(effect=Promote(), result=StillAlive(evidence)) if s.attempt == 0:
            return prove_again(s.proof, m, p, evidence.sentence, 1)
        case Replied(effect=Promote(), result=StillAlive(evidence)):
            again = prove_again(s.proof, m, p, evidence.sentence, s.attempt + 1)
            at = retry_at(now, s.attempt)
            why = evidence.sentence
            return Blocked(BlockReason.PROMOTION_PENDING, why, now.monotonic, at, "", again)
        case Replied(effect=Promote(), result=EffectFailed() as failed):
            return in_vain(s, failed, m, now, p)
        case _:
            return interrupted_by_writable(s.proof, m, p, s.attempt + 1) or s


def confirming(
    s: Confirming, m: Machine, e: Event, now: Now, p: Policy
) -> Confirming | Settling | Fencing | Starting | Blocked:
    """A new timeline and a committed write, or the applications are not sent there."""
    if superseded(m) is not None:
        return Starting()
    void = interrupted_by_writable(s.proof, m, p, s.attempt + 1)
    if void is not None:
        return void
    match e:
        case Replied(effect=Confirm(), result=Confirmed()) if strangers_write(m):
            again = replace(s, attempt=s.attempt + 1)
            why = f"{s.candidate} was promoted, and {' and '.join(strangers_write(m))} writes, too"
            at = retry_at(now, s.attempt)
            return Blocked(BlockReason.UNCONFIRMED, why, now.monotonic, at, "", again)
        case Replied(effect=Confirm(), result=Confirmed() as confirmed):
            return Settling(s.candidate, confirmed, until=settling_until(now, p))
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
        case Replied(effect=Redirect(), result=Redirected() | NotConfigured() | EffectFailed()) if (
            not m.targets
        ):
            return Watching()
        case _ if settled(s, m, now):
            return Watching()
        case _:
            return replace(s, done=frozenset(m.targets) - frozenset(owed(m.targets, s.primary)))


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
        case Replied(effect=DisarmDeadMan()):
            pass
        case Replied(result=EffectFailed()):
            s = replace(s, retry_at=retry_at(now, s.attempt))
        case _ if s.retry_at is not None and now.monotonic >= s.retry_at:
            s = replace(s, retry_at=None, attempt=s.attempt + 1)
        case _:
            pass
    # Beside a primary of somebody's own making nothing is started, and no guard taken back.
    barred = bool(strangers_write(m) or frozen_by_others(m))
    if ((s.guard_owed and not barred) or owed_thaws(m)) and s.attempt < REVERTS:
        return s
    at = in_seconds(now, LONGEST_RETRY_S)
    if s.restart and s.guard_owed and m.incident is not None:
        # It could not be started again: whoever can take over now is better than nobody.
        cause = "somebody else writes or is being promoted" if barred else "it failed"
        why = f"{s.primary} could not be started again ({cause}); {s.why}"
        again = refence(m.incident, s.primary, m, p, why)
        advice = "" if barred else start_by_hand(s.primary)
        return Blocked(BlockReason.NO_FENCE_PROOF, why, now.monotonic, at, advice, again)
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
    due = now.monotonic >= s.retry_at and not waits_for_a_look(s, m, now)
    if due:
        s = replace(s, retry_at=in_seconds(now, RETRY_S))
    if m.memory.primary is None:
        disputed = two_writable(m.view, m.memory) or overtaken(m.view, m.memory)
        return Starting() if due and disputed is None else s
    match s.returns_to:
        case Fencing() as again:
            return fence_pending(s, again, m, p, due=due)
        case Confirming() as again:
            if superseded(m) is not None:
                return Starting()
            void = interrupted_by_writable(again.proof, m, p, again.attempt + 1)
            if void is not None:
                return void
            return again if due and again.candidate in p.nodes else s
        case None:
            return untouched(s, m, e, now, p, due=due)


def untouched(
    s: Blocked, m: Machine, e: Event, now: Now, p: Policy, *, due: bool
) -> Blocked | Watching | Suspect | Starting | Fencing | Reverting:
    """Nothing was done yet: as in `watching`, and tried anew when it is due."""
    if diagnose(m.view, m.memory, p) is Diagnosis.BLIND:
        return s
    back = watching(Watching(), m, e, now, p)
    if isinstance(back, Blocked):
        return s if back.reason is s.reason else back
    if not isinstance(back, Suspect) or s.reason in _SEEN:
        return back
    if back.diagnosis is not s.diagnosis:
        s = replace(s, diagnosis=back.diagnosis, diagnosed_at=now.monotonic)
    automatic = mode_of(m, p) is Mode.AUTOMATIC
    may_call = automatic and ROW_OF[back.diagnosis].calls is not Calls.NEVER
    if not due or not may_call:
        return s if not due else back
    # What is conclusive may answer all the same: started under our guard, as a standby of nobody.
    if not _calls_now(back.diagnosis, s.diagnosed_at, s.diagnosed_at, m, now, p):
        return s
    again = begin(begun_now(m, Trigger.AUTOMATIC, back.diagnosis), m, now, p)
    if not isinstance(again, Blocked):
        return again
    if again.reason is BlockReason.NO_CANDIDATE and ended_in_vain(m, p):
        return Reverting(m.primary_report.name, True, again.reason, again.why)
    since = s.since if again.reason is s.reason else again.since
    return replace(again, since=since, diagnosis=s.diagnosis, diagnosed_at=s.diagnosed_at)


_SEEN = frozenset({BlockReason.SPLIT_BRAIN, BlockReason.DEMOTED})
"""Seen in the view, and over as soon as it is not."""


def block(reason: BlockReason, why: str, now: Now) -> Blocked:
    return Blocked(reason, why, now.monotonic, in_seconds(now, RETRY_S))


def split(m: Machine, now: Now) -> Blocked:
    why, advice = told(m)
    return replace(block(BlockReason.SPLIT_BRAIN, why, now), advice=advice)
