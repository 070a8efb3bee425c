"""A loss that was an estimate, measured when the old primary's disk can be read again.

Reading changes nothing and promotes nobody: it is an upkeep duty, tried now and then for
as long as that disk still holds what the old primary wrote.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

from failoverd.core.effects import MeasureLoss
from failoverd.core.events import EffectFailed, Now, Replied
from failoverd.core.lsn import Lsn
from failoverd.core.model import ClusterView, Epoch, Instant, NodeName, Timeline
from failoverd.core.retry import backed_off, is_due
from failoverd.core.wal_answers import LossMeasured

RETRY_S = 10.0
LONGEST_RETRY_S = 600.0
GONE = "gone"
"""Why it is not tried again: that disk has gone on, on another timeline."""


@dataclass(frozen=True, slots=True)
class Unmeasured:
    """What a confirmed failover lost, as far as nobody knows it yet."""

    node: NodeName
    """The old primary."""
    incident: Epoch
    timeline: Timeline
    """On which it wrote."""
    switch_point: Lsn
    attempt: int = 0
    retry_at: Instant | None = None


def measuring(owed: Unmeasured | None, view: ClusterView) -> tuple[MeasureLoss, ...]:
    """Asked for while its host answers."""
    if owed is None or owed.retry_at is not None or not view.report(owed.node).host.look.ok:
        return ()
    ask = MeasureLoss(owed.node, owed.incident, owed.timeline, owed.switch_point, owed.attempt)
    return (ask,)


def told(owed: Unmeasured | None, event: object, now: Now) -> Unmeasured | None:
    """With what an answer has told, or the time that has passed."""
    if owed is None:
        return None
    match event:
        case Replied(effect=MeasureLoss(), result=LossMeasured()):
            return None
        case Replied(effect=MeasureLoss(), result=EffectFailed(reason=reason)):
            at = backed_off(now, owed.attempt, RETRY_S, LONGEST_RETRY_S)
            again = replace(owed, attempt=owed.attempt + 1, retry_at=at)
            return None if reason == GONE else again
        case _:
            return replace(owed, retry_at=None) if is_due(owed.retry_at, now) else owed
