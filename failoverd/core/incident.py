"""What a step leaves behind in words: one sentence for a person at three in the morning.

Computed from the machine before and after, never by the procedure itself, so that the
log, the journal and the report say the same and cannot change what is done.
"""

from __future__ import annotations

import enum
import operator
from dataclasses import dataclass, fields

from failoverd.core.arming import changed
from failoverd.core.decision import terms_of
from failoverd.core.diagnosis import diagnose
from failoverd.core.divergence import Divergence
from failoverd.core.effects import CloseTarget, Redirect
from failoverd.core.elected import Election
from failoverd.core.election import elect
from failoverd.core.events import (
    Confirmed,
    DaemonStops,
    DeadManLost,
    DivergenceMeasured,
    EffectFailed,
    Event,
    Observed,
    OperatorFailover,
    Progressed,
    Replied,
    Trigger,
    Woke,
)
from failoverd.core.memory import Memory
from failoverd.core.model import ClusterView, CommandRun, Epoch, Instant, WalLoss
from failoverd.core.numbering import earlier, number_of
from failoverd.core.one_process import OF_ONE_PROCESS
from failoverd.core.policy import Policy
from failoverd.core.salvage import measured
from failoverd.core.schedule import OperatorSwitchover
from failoverd.core.sentences import diagnosed, entered, heard, learnt, led_astray
from failoverd.core.situation import Machine
from failoverd.core.states import (
    Blocked,
    BlockReason,
    Confirming,
    Electing,
    Reverting,
    Salvaging,
    Settling,
    StateName,
    Suspect,
    name_of,
)
from failoverd.core.vantage import seen
from failoverd.core.waited_for import SyncChange
from failoverd.core.wal_answers import LossMeasured, Salvaged
from failoverd.core.wal_rate import at_most


class EntryKind(enum.StrEnum):
    TRANSITION = "transition"
    """The state changed, or the same one was entered anew."""
    REPLY = "reply"
    COMMAND = "command"
    DIAGNOSIS = "diagnosis"
    """What is wrong with the primary changed, and the state did not."""
    TARGET = "target"
    """A way of the applications was found to lead elsewhere than to the primary."""
    DEAD_MAN = "dead_man"
    """What ends an isolated primary was armed, disarmed or lost."""
    SYNCHRONOUS = "synchronous"
    """It was decided which standbys commits are to wait for."""
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
    OBSERVED = "observed"
    """It was called for, and the mode leaves it to others: what would have been done is said."""


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
    target: str = ""
    """Of a redirection: which of the applications' ways."""
    said: str = ""
    """And what came of it."""
    answer: str = ""
    """Of an effect: `Fenced`, `StillAlive`, `EffectFailed` ..., the name of the result."""
    loss: WalLoss | None = None
    """What the failover lost, where this step confirmed it, or measured it later."""
    of_incident: Epoch | None = None
    """An earlier one that this step tells more about."""
    salvaged_bytes: int = 0
    """WAL that was brought over, where this step tells it."""
    server_log: tuple[str, ...] = ()
    """The new primary's own lines about its promotion."""
    server_log_unreadable: str = ""
    split: bool = False
    """Told of a split brain, under its own number."""
    divergence: Divergence | None = None
    """What only a stale node has written, where this step counted it."""
    seen: tuple[str, ...] = ()
    """What each vantage point had said, where the state changed."""

    @property
    def is_news(self) -> bool:
        """For people, beside the journal: what was merely learnt is none."""
        return self.kind is not EntryKind.KNOWLEDGE or self.outcome is not None


def describe(
    before: Machine, event: Event, after: Machine, policy: Policy, *, owed: bool = False
) -> Entry | None:
    """What is to be journaled before the effects of this step; None: nothing worth it.

    `owed`: an earlier record is missing, so that there is something in any case.
    """
    asked_or_answered = not isinstance(event, (Observed, Woke))
    if not asked_or_answered and not owed and not durable_change(before, after):
        return None
    election = _election(before, after, policy)
    come_on = isinstance(event, Progressed)
    moved = not come_on and (before.visit != after.visit or before.state != after.state)
    parts = [heard(event)]
    if moved:
        parts.append(entered(before, after, election))
        parts = parts[1:] if _said_already(event, parts) else parts
    elif before.diagnosis is not after.diagnosis:
        parts.append(diagnosed(after))
    if isinstance(event, Observed):
        parts.append(led_astray(before, after))
    if after.plan_ended != before.plan_ended:
        parts.append(after.plan_ended)
    parts.append(changed(before, after))
    change = _decided(before, after)
    if change is not None:
        parts.append(_synchronous(change))
    if not any(parts):
        parts = [learnt(_changed(before.memory, after.memory))]
    result = event.result if isinstance(event, Replied) else None
    confirmed = result if isinstance(result, Confirmed) else None
    number = number_of(before, event, after)
    return Entry(
        kind=_kind(before, event, after),
        from_state=name_of(before.state),
        to_state=name_of(after.state),
        trigger=trigger_of(before, event, after),
        sentence="; ".join(part for part in parts if part),
        runs=() if result is None else result.evidence.runs,
        diagnosis=_diagnosis(after, policy),
        outcome=outcome_of(before, event, after),
        election=election,
        target=_target(event),
        said=result.evidence.sentence if result is not None and _target(event) else "",
        answer="" if result is None else type(result).__name__,
        loss=result.loss if isinstance(result, LossMeasured) else loss_of(before, after),
        of_incident=earlier(event),
        salvaged_bytes=result.carried_bytes if isinstance(result, Salvaged) else 0,
        server_log=() if confirmed is None else confirmed.server_log,
        server_log_unreadable="" if confirmed is None else confirmed.server_log_unreadable,
        split=number is not None and number in (before.split, after.split),
        divergence=_divergence(event),
        seen=_seen(before, after),
    )


def _target(event: Event) -> str:
    match event:
        case Replied(effect=Redirect(target=target) | CloseTarget(target=target)):
            return target
        case _:
            return ""


def _divergence(event: Event) -> Divergence | None:
    match event:
        case Replied(result=DivergenceMeasured(divergence)):
            return divergence
        case _:
            return None


def _decided(before: Machine, after: Machine) -> SyncChange | None:
    """A change of the names, in the step that decided it."""
    was = before.synchronous
    now = after.synchronous
    return now if now is not None and (was is None or was.names != now.names) else None


def _synchronous(change: SyncChange) -> str:
    to = f"commits are to wait for {change.names}" if change.names else "no commit is to wait"
    if not change.lowers:
        return to
    return (
        f"synchronous replication is lowered: {to}; what was acknowledged before may be on no"
        " standby that is left, so its promise is void until one has flushed past this moment"
    )


def _said_already(event: Event, parts: list[str]) -> bool:
    """The state that was entered gives the answer as its reason."""
    reason = event.result.evidence.sentence if isinstance(event, Replied) else ""
    failed = isinstance(event, Replied) and isinstance(event.result, EffectFailed)
    return parts[0] in parts[1] or (failed and reason in parts[1])


def _kind(before: Machine, event: Event, after: Machine) -> EntryKind:
    if before.visit != after.visit:
        return EntryKind.TRANSITION
    match event:
        case Replied() | Progressed():
            return EntryKind.REPLY
        case DeadManLost() | DaemonStops():
            return EntryKind.DEAD_MAN
        case Observed() if _decided(before, after) is not None:
            return EntryKind.SYNCHRONOUS
        case Observed() if before.diagnosis is not after.diagnosis:
            return EntryKind.DIAGNOSIS
        case Observed() if led_astray(before, after):
            return EntryKind.TARGET
        case Observed() | Woke() if changed(before, after):
            return EntryKind.DEAD_MAN
        case Observed() | Woke():
            return EntryKind.KNOWLEDGE
        case _:
            return EntryKind.COMMAND


_OF_NOW = ("view", "memory", "entered_at", "targets_seen", "dead_man_unlike_since")
_CARRIED = operator.attrgetter(*(f.name for f in fields(Machine) if f.name not in _OF_NOW))
_REMEMBERED = tuple(
    f.name for f in fields(Memory) if f.name not in (*OF_ONE_PROCESS, "peak_wal_rate")
)
_OF_MEMORY = operator.attrgetter(*_REMEMBERED)


def durable_change(before: Machine, after: Machine) -> bool:
    """Whether a restart from what was journaled last would lose something."""
    if _CARRIED(before) != _CARRIED(after):
        return True
    if at_most(before.memory.peak_wal_rate) != at_most(after.memory.peak_wal_rate):
        return True
    return bool(_OF_MEMORY(before.memory) != _OF_MEMORY(after.memory))


def _changed(before: Memory, after: Memory) -> list[str]:
    """The fields that a restart remembers and that are not what they were."""
    names = (*_REMEMBERED, "peak_wal_rate")
    return [name for name in names if getattr(before, name) != getattr(after, name)]


def trigger_of(before: Machine, event: Event, after: Machine) -> Trigger:
    """What set this step off; the values of `trigger` in the metrics."""
    match event:
        case OperatorFailover(trigger=trigger):
            return trigger
        case OperatorSwitchover():
            return Trigger.SWITCHOVER
        case Observed() | Woke() | Replied() | Progressed() | DeadManLost() | DaemonStops():
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
    if _observed(before, after):
        return IncidentOutcome.OBSERVED
    over = before.incident is not None and after.incident is None
    if not over or isinstance(before.state, Settling):
        return None
    if isinstance(after.state, Blocked):
        return IncidentOutcome.REVERTED
    return IncidentOutcome.CANCELLED


def loss_of(before: Machine, after: Machine) -> WalLoss | None:
    """What a failover lost, in the step that confirmed it."""
    match before.state, after.state:
        case Confirming(loss=loss, end=end), Settling(confirmed=confirmed):
            return measured(loss, end, confirmed.switch_point)
        case _:
            return None


def _seen(before: Machine, after: Machine) -> tuple[str, ...]:
    moved = name_of(before.state) is not name_of(after.state)
    told = moved or before.diagnosis is not after.diagnosis or _observed(before, after)
    at = after.entered_at if moved else _latest(after.view)
    return seen(after.view, at) if told else ()


def _latest(view: ClusterView) -> Instant:
    """When the youngest look of all ended."""
    ends = [look.ended_at for r in view.nodes.values() for look in (r.held, r.fresh, r.host.look)]
    return max(ends, default=Instant(0.0))


def _observed(before: Machine, after: Machine) -> bool:
    match before.state, after.state:
        case Suspect(would=""), Suspect(would=would):
            return bool(would)
        case _:
            return False


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
