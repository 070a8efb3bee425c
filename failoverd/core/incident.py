"""What a step leaves behind in words: one sentence for a person at three in the morning.

Computed from the machine before and after, never by the procedure itself, so that the
log, the journal and the report say the same and cannot change what is done.
"""

from __future__ import annotations

import enum
from dataclasses import dataclass, fields

from failoverd.core.decision import terms_of
from failoverd.core.diagnosis import diagnose
from failoverd.core.election import elect
from failoverd.core.events import (
    Confirmed,
    EffectFailed,
    Election,
    Event,
    Observed,
    OperatorFailover,
    Replied,
    Trigger,
    Woke,
)
from failoverd.core.memory import Memory
from failoverd.core.model import CommandRun, WalLoss
from failoverd.core.policy import Policy
from failoverd.core.sentences import entered, heard, learnt
from failoverd.core.situation import Machine, forgetful
from failoverd.core.states import (
    Blocked,
    BlockReason,
    Confirming,
    Electing,
    Reverting,
    Salvaging,
    Settling,
    StateName,
    name_of,
)
from failoverd.core.vantage import seen


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
    """The primary turned out alive, or somebody else acted: everything was taken back."""
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
    seen: tuple[str, ...] = ()
    """What each vantage point had said, where the state changed."""


def describe(before: Machine, event: Event, after: Machine, policy: Policy) -> Entry | None:
    """What is to be journaled before the effects of this step; None: nothing worth it."""
    asked_or_answered = not isinstance(event, (Observed, Woke))
    if not asked_or_answered and not durable_change(before, after):
        return None
    election = _election(before, after, policy)
    moved = before.visit != after.visit or before.state != after.state
    parts = [heard(event)]
    if moved:
        parts.append(entered(before, after, election))
        parts = parts[1:] if _said_already(event, parts) else parts
    if not any(parts):
        parts = [learnt(_changed(before.memory, after.memory))]
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
        seen=_seen(before, after),
    )


def _said_already(event: Event, parts: list[str]) -> bool:
    """The state that was entered gives the answer as its reason."""
    reason = event.result.evidence.sentence if isinstance(event, Replied) else ""
    failed = isinstance(event, Replied) and isinstance(event.result, EffectFailed)
    return parts[0] in parts[1] or (failed and reason in parts[1])


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


def _seen(before: Machine, after: Machine) -> tuple[str, ...]:
    moved = name_of(before.state) is not name_of(after.state)
    return seen(after.view, after.entered_at) if moved else ()


_NOT_CALLED_FOR = frozenset({BlockReason.SPLIT_BRAIN, BlockReason.DEMOTED})


def _refused(before: Machine, event: Event, after: Machine) -> bool:
    """Called for and not begun; once, however often it is looked at again."""
    if before.incident is not None or not isinstance(after.state, Blocked):
        return False
    if after.state.reason in _NOT_CALLED_FOR or before.visit == after.visit:
        return False
    return isinstance(event, OperatorFailover) or not isinstance(before.state, Blocked)


def _diagnosis(m: Machine, policy: Policy) -> str:
    return diagnose(m.view, m.memory, policy) if m.looked_at else ""


def _election(before: Machine, after: Machine, policy: Policy) -> Election | None:
    """The election of this step, held again on the same facts: it is a function of them."""
    if not isinstance(before.state, Electing) or after.memory.primary is None:
        return None
    if not isinstance(after.state, (Salvaging, Reverting)):
        return None
    proof = before.state.proof
    terms = terms_of(after.incident, policy, proof, after.frozen)
    return elect(after.view, after.memory, policy, terms)
