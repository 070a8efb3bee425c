"""What a step leaves behind in words: one sentence for a person at three in the morning.

Computed from the machine before and after, never by the procedure itself, so that the
log, the journal and the report say the same and cannot change what is done.
"""

from __future__ import annotations

import enum
from collections.abc import Mapping
from dataclasses import dataclass, fields

from failoverd.core.decision import terms_of
from failoverd.core.diagnosis import ROW_OF, diagnose
from failoverd.core.effects import node_of
from failoverd.core.election import elect
from failoverd.core.events import (
    Confirmed,
    EffectFailed,
    Election,
    Event,
    Fenced,
    FrozenAt,
    NotConfigured,
    Observed,
    OperatorAcknowledges,
    OperatorFailover,
    OperatorPause,
    OperatorResume,
    OperatorVouches,
    Promoted,
    Redirected,
    Replied,
    Salvaged,
    SettingsRead,
    StillAlive,
    Thawed,
    Trigger,
    Unfenced,
    Unguarded,
    Woke,
)
from failoverd.core.memory import Memory
from failoverd.core.model import CommandRun, WalLoss
from failoverd.core.policy import Policy
from failoverd.core.situation import Machine, forgetful
from failoverd.core.states import (
    Blocked,
    BlockReason,
    Confirming,
    Electing,
    Fencing,
    Paused,
    Promoting,
    Reverting,
    Salvaging,
    Settling,
    Starting,
    StateName,
    Suspect,
    Watching,
    name_of,
)


class EntryKind(enum.StrEnum):
    TRANSITION = "transition"
    """The state changed, or the same one was entered anew."""
    REPLY = "reply"
    COMMAND = "command"
    KNOWLEDGE = "knowledge"
    """Something that must survive a restart was learnt."""


class IncidentOutcome(enum.StrEnum):
    """How a failover ended; the values of `outcome` in the metrics."""

    SUCCEEDED = "succeeded"
    CANCELLED = "cancelled"
    """The primary turned out alive: everything was taken back."""
    REVERTED = "reverted"
    """Nobody could take over after all: everything was taken back, and it is blocked."""
    REFUSED = "refused"
    """It was called for and not begun: nothing was touched."""


@dataclass(frozen=True, slots=True)
class Entry:
    kind: EntryKind
    from_state: StateName
    to_state: StateName
    trigger: Trigger
    sentence: str
    runs: tuple[CommandRun, ...] = ()
    diagnosis: str = ""
    outcome: IncidentOutcome | None = None
    """Where this step decided how a failover ends."""
    election: Election | None = None
    """Where this step elected, with the reason of each refusal."""
    answer: str = ""
    """Of an effect: `Fenced`, `StillAlive`, `EffectFailed` ..., the name of the result."""
    loss: WalLoss | None = None
    """What the failover lost, where this step confirmed it."""
    server_log: tuple[str, ...] = ()
    """The new primary's own lines about its promotion."""
    server_log_unreadable: str = ""


def describe(before: Machine, event: Event, after: Machine, policy: Policy) -> Entry | None:
    """What is to be journaled before the effects of this step; None: nothing worth it."""
    asked_or_answered = not isinstance(event, (Observed, Woke))
    if not asked_or_answered and not durable_change(before, after):
        return None
    election = _election(before, after, policy)
    entered = before.visit != after.visit or before.state != after.state
    parts = [heard(event)]
    if entered:
        parts.append(_entered(before, after, election))
        parts = parts[1:] if parts[0] in parts[1] else parts
    if not any(parts):
        parts = _learnt(before, after)
    result = event.result if isinstance(event, Replied) else None
    confirmed = result if isinstance(result, Confirmed) else None
    return Entry(
        kind=_kind(event, entered=before.visit != after.visit),
        from_state=name_of(before.state),
        to_state=name_of(after.state),
        trigger=trigger_of(before, event, after),
        sentence="; ".join(part for part in parts if part),
        runs=() if result is None else result.evidence.runs,
        diagnosis=_diagnosis(after, policy),
        outcome=outcome_of(before, event, after),
        election=election,
        answer="" if result is None else type(result).__name__,
        loss=loss_of(before, after),
        server_log=() if confirmed is None else confirmed.server_log,
        server_log_unreadable="" if confirmed is None else confirmed.server_log_unreadable,
    )


def _kind(event: Event, *, entered: bool) -> EntryKind:
    if entered:
        return EntryKind.TRANSITION
    match event:
        case Replied():
            return EntryKind.REPLY
        case Observed() | Woke():
            return EntryKind.KNOWLEDGE
        case _:
            return EntryKind.COMMAND


def durable_change(before: Machine, after: Machine) -> bool:
    """Whether a restart from what was journaled last would lose something."""
    carried = [f.name for f in fields(Machine) if f.name not in ("view", "memory", "entered_at")]
    if any(getattr(before, name) != getattr(after, name) for name in carried):
        return True
    return bool(_changed(before.memory, after.memory))


def _changed(before: Memory, after: Memory) -> list[str]:
    """The fields that a restart remembers and that are not what they were."""
    old, new = forgetful(before), forgetful(after)
    return [f.name for f in fields(Memory) if getattr(old, f.name) != getattr(new, f.name)]


def trigger_of(before: Machine, event: Event, after: Machine) -> Trigger:
    """What set this step off; the values of `trigger` in the metrics."""
    match event:
        case OperatorFailover(trigger=trigger):
            return trigger
        case Observed() | Woke() | Replied():
            incident = after.incident or before.incident
            return incident.trigger if incident is not None else Trigger.AUTOMATIC
        case _:
            return Trigger.COMMAND


def outcome_of(before: Machine, event: Event, after: Machine) -> IncidentOutcome | None:
    """How a failover ended, in the one step in which that is decided."""
    if isinstance(after.state, Settling) and not isinstance(before.state, Settling):
        return IncidentOutcome.SUCCEEDED
    if _refused(before, event, after):
        return IncidentOutcome.REFUSED
    over = before.incident is not None and after.incident is None
    if not over or isinstance(before.state, Settling):
        return None
    if isinstance(after.state, Blocked):
        return IncidentOutcome.REVERTED
    return IncidentOutcome.CANCELLED


def loss_of(before: Machine, after: Machine) -> WalLoss | None:
    """What a failover lost, in the step that confirmed it."""
    match before.state, after.state:
        case Confirming(loss=loss), Settling():
            return loss
        case _:
            return None


_NOT_CALLED_FOR = frozenset({BlockReason.SPLIT_BRAIN, BlockReason.DEMOTED})


def _refused(before: Machine, event: Event, after: Machine) -> bool:
    if before.incident is not None or not isinstance(after.state, Blocked):
        return False
    if isinstance(event, OperatorFailover):
        return before.state != after.state
    if isinstance(before.state, Blocked) or after.state.reason in _NOT_CALLED_FOR:
        return False
    return before.visit != after.visit


def _diagnosis(m: Machine, policy: Policy) -> str:
    return "" if m.memory.primary is None else diagnose(m.view, m.memory, policy)


def _election(before: Machine, after: Machine, policy: Policy) -> Election | None:
    """The election of this step, held again on the same facts: it is a function of them."""
    if not isinstance(before.state, Electing) or after.memory.primary is None:
        return None
    if not isinstance(after.state, (Salvaging, Reverting)):
        return None
    proof = before.state.proof
    terms = terms_of(after.incident, policy, proof, after.frozen)
    return elect(after.view, after.memory, policy, terms)


# What was heard.


def heard(event: Event) -> str:
    """What an answer or a command says; empty for what was merely seen."""
    match event:
        case Replied():
            return _answered(event)
        case OperatorFailover(trigger=trigger, by=by, to=to, accept_loss_bytes=accepted):
            target = f" to {to}" if to else ""
            loss = f", accepting the loss of up to {accepted} bytes" if accepted else ""
            kind = "a switchover" if trigger is Trigger.SWITCHOVER else "a failover"
            return f"{by} asked for {kind}{target}{loss} ({trigger})"
        case OperatorPause(by=by):
            return f"{by} asked to pause"
        case OperatorResume(by=by):
            return f"{by} asked to resume"
        case OperatorVouches(by=by, node=node, reason=reason):
            return f"{by} vouches that {node} is fenced: {reason}"
        case OperatorAcknowledges(by=by):
            return f"{by} acknowledged: the cooldown and the daily limit start anew"
        case Observed() | Woke():
            return ""


def _answered(reply: Replied) -> str:
    node, said = node_of(reply.effect), reply.result.evidence.sentence
    match reply.result:
        case Fenced(proof):
            return f"proved: {proof.node} is fenced ({proof.kind}): {said}"
        case StillAlive():
            return f"still alive: {said}"
        case SettingsRead():
            return f"{node}: the settings that a freeze changes were noted"
        case FrozenAt(frozen):
            return f"{node} is frozen at {frozen.position} on timeline {frozen.timeline}"
        case Thawed():
            return f"{node} is thawed: {said}"
        case Salvaged(loss):
            return f"salvaged for {node}: {said}; lost: {loss.sentence}"
        case NotConfigured():
            return said
        case Promoted():
            return f"promoted: {said}"
        case Confirmed() as confirmed:
            return _confirmed(node, confirmed)
        case Redirected():
            return f"redirected to {node}: {said}"
        case Unguarded():
            return f"the guard of {node} is taken back: {said}"
        case Unfenced():
            return f"{node} is started again: {said}"
        case EffectFailed(advice=advice):
            verb = type(reply.effect).__name__.lower()
            return f"failed: {verb} {node}: {said}" + (f" (do: {advice})" if advice else "")


def _confirmed(node: str, confirmed: Confirmed) -> str:
    waits = ", but commits wait for a synchronous standby" if confirmed.sync_blocked else ""
    where = f"on timeline {confirmed.timeline}, wrote at {confirmed.written_lsn}"
    return f"confirmed: {node} is the primary {where}{waits}"


# What was entered.


def _entered(before: Machine, after: Machine, election: Election | None) -> str:
    match after.state:
        case Starting(resuming=True):
            return "starting: a failover was cut short; every node is looked at first"
        case Starting():
            return "starting: every node is looked at before anything is believed"
        case Watching():
            return _watching(before, after)
        case Suspect(diagnosis=diagnosis):
            said = ROW_OF[diagnosis].sentence
            return f"suspect: {after.memory.primary} is {diagnosis}: {said}"
        case Fencing() as s:
            again = "again " if _begun(before) else ""
            return f"fencing {s.primary} {again}({s.mode}): {s.why}"
        case Electing() as s:
            return _electing(before, s)
        case Salvaging() as s:
            who = election.sentence if election is not None else f"{s.candidate} at {s.position}"
            return f"elected: {who}; lost with it: {s.loss.sentence}"
        case Promoting() as s:
            return f"promoting {s.candidate} at {s.position}; lost with it: {s.loss.sentence}"
        case Confirming() as s:
            return f"confirming that {s.candidate} is the primary"
        case Settling() as s:
            return f"settling: applications belong on {s.primary}"
        case Reverting() as s:
            return _reverting(s)
        case Paused(by=by):
            return f"paused by {by}: watching goes on, nothing is done"
        case Blocked() as s:
            return f"blocked ({s.reason}): {s.why}" + (f" (do: {s.advice})" if s.advice else "")


def state_sentence(m: Machine) -> str:
    """Where it stands now, for whoever asks."""
    match m.state:
        case Watching() if m.memory.primary is None:
            return "watching: no primary is known yet"
        case Watching():
            return f"watching: {m.memory.primary} is the primary on timeline {m.memory.timeline}"
        case Fencing() as s:
            return f"fencing {s.primary} ({s.mode}): {s.why}"
        case Salvaging() as s:
            return f"salvaging what {s.candidate} lacks at {s.position}: {s.loss.sentence}"
        case Electing() as s:
            owed = sorted(set(s.standbys) - set(s.frozen) - set(s.failed))
            return f"electing: {', '.join(owed) or 'nobody'} still to be frozen"
        case _:
            return _entered(m, m, None)


def _begun(m: Machine) -> bool:
    return m.incident is not None and not isinstance(m.state, Starting)


def _watching(before: Machine, after: Machine) -> str:
    primary, timeline = after.memory.primary, after.memory.timeline
    match before.state:
        case Reverting():
            return f"watching: everything was taken back, {primary} is the primary as before"
        case Suspect(diagnosis=diagnosis):
            return f"watching: {primary} is no longer {diagnosis}"
        case _:
            return f"watching: {primary} is the primary on timeline {timeline}"


def _electing(before: Machine, s: Electing) -> str:
    if not isinstance(before.state, Electing):
        return f"electing: {', '.join(s.standbys) or 'nobody'} to be frozen"
    return ""


def _reverting(s: Reverting) -> str:
    if not s.guard_owed:
        return "reverting: the standbys are still to be thawed"
    back = f"{s.primary} is started again" if s.restart else f"the guard of {s.primary} goes"
    return f"reverting: {s.why}; the standbys are thawed, {back}"


# What was learnt.

_WORDS: Mapping[str, str] = {
    "primary": "who the primary is",
    "system_identifier": "the system identifier",
    "timeline": "the timeline",
    "version": "the server's version",
    "seen_healthy": "the primary was seen healthy",
    "highest_epoch": "the highest epoch of the hosts",
    "calibrations": "the look at a host is calibrated",
    "standby_timelines": "which timeline a standby follows",
    "promise": "what synchronous replication promises",
    "application_names": "what a standby calls itself",
}


def _learnt(before: Machine, after: Machine) -> list[str]:
    learnt = [_WORDS.get(name, name) for name in _changed(before.memory, after.memory)]
    return [f"learnt: {', '.join(learnt)}"] if learnt else ["noted"]
