"""What is told to people at once, beside the alerts: what a failover does, and what blocks one."""

from __future__ import annotations

import enum
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from failoverd.core.events import Event
from failoverd.core.incident import Entry, IncidentOutcome
from failoverd.core.model import WallTime
from failoverd.core.numbering import number_of
from failoverd.core.situation import Machine
from failoverd.core.states import Blocked, name_of


class NoticeKind(enum.StrEnum):
    BEGUN = "begun"
    """A failover or switchover has begun."""
    SUCCEEDED = "succeeded"
    CANCELLED = "cancelled"
    REVERTED = "reverted"
    REFUSED = "refused"
    OBSERVED = "observed"
    BLOCKED = "blocked"
    """It stopped, and waits for a proof or a person."""
    SPLIT_BRAIN = "split_brain"


@dataclass(frozen=True, slots=True)
class Notice:
    kind: NoticeKind
    document: dict[str, Any]
    """JSON-able, and whole: whoever gets it needs to ask nobody."""


def notice(
    cluster: str, before: Machine, event: Event, after: Machine, entry: Entry, at: WallTime
) -> Notice | None:
    """None: nobody need be told at once."""
    kind = _kind(before, after, entry)
    if kind is None:
        return None
    number = number_of(before, event, after)
    advice = after.state.advice if isinstance(after.state, Blocked) else ""
    document = {
        "kind": str(kind),
        "cluster": cluster,
        "at": datetime.fromtimestamp(at, UTC).isoformat(timespec="milliseconds"),
        "state": str(name_of(after.state)),
        "diagnosis": entry.diagnosis or None,
        "trigger": str(entry.trigger),
        "primary": after.memory.primary,
        "incident": number,
        "sentence": " ".join(entry.sentence.split()),
        "advice": advice or None,
        "report": None if number is None else f"failoverd report {number} --cluster {cluster}",
    }
    return Notice(kind, document)


def _kind(before: Machine, after: Machine, entry: Entry) -> NoticeKind | None:
    if after.split > before.split:
        return NoticeKind.SPLIT_BRAIN
    if entry.outcome is not None:
        return _OF_OUTCOME[entry.outcome]
    match before.state, after.state:
        case Blocked(reason=old), Blocked(reason=new) if old is new:
            return None
        case _, Blocked():
            return NoticeKind.BLOCKED
        case _:
            pass
    if before.incident is None and after.incident is not None:
        return NoticeKind.BEGUN
    return None


_OF_OUTCOME = {
    IncidentOutcome.SUCCEEDED: NoticeKind.SUCCEEDED,
    IncidentOutcome.CANCELLED: NoticeKind.CANCELLED,
    IncidentOutcome.REVERTED: NoticeKind.REVERTED,
    IncidentOutcome.REFUSED: NoticeKind.REFUSED,
    IncidentOutcome.OBSERVED: NoticeKind.OBSERVED,
}
