"""Which incident a step is kept under, so that its report has it."""

from __future__ import annotations

from failoverd.core.effects import (
    Equip,
    KeepDown,
    MeasureDivergence,
    MeasureLoss,
    Rejoin,
    Repoint,
)
from failoverd.core.events import (
    DivergenceMeasured,
    EffectFailed,
    Equipped,
    Event,
    KeptDown,
    Replied,
    Repointed,
)
from failoverd.core.model import Epoch
from failoverd.core.schedule import Rejoined
from failoverd.core.situation import Machine
from failoverd.core.wal_answers import LossMeasured

TOLD_ATTEMPTS = 3
"""Of a duty that may be done again and again for weeks: what its incident's report has of it."""


def number_of(before: Machine, event: Event, after: Machine) -> Epoch | None:
    """Of the incident, or the split brain, that a step is kept under; None: of none."""
    told_later = earlier(event)
    if told_later is not None:
        return told_later
    incident = after.incident or before.incident
    if incident is not None:
        return incident.epoch
    match event:
        case Replied(effect=MeasureDivergence(node=node), result=DivergenceMeasured()):
            job = after.jobs.get(node)
            return after.split or (job.epoch if job is not None else None) or None
        case Replied(
            effect=Repoint(epoch=epoch, attempt=attempt)
            | Equip(epoch=epoch, attempt=attempt)
            | KeepDown(epoch=epoch, attempt=attempt),
            result=Repointed() | Equipped() | KeptDown(),
        ) if attempt <= TOLD_ATTEMPTS:
            return epoch or None
        case Replied(effect=Rejoin(epoch=epoch), result=Rejoined()):
            return epoch or None
        case Replied(result=EffectFailed()):
            # What is tried again for weeks is not kept for ever.
            return None
        case _:
            return after.split or before.split or None


def earlier(event: Event) -> Epoch | None:
    match event:
        case Replied(effect=MeasureLoss(incident=incident), result=LossMeasured()):
            return incident
        case _:
            return None
