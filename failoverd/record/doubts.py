"""What never became an incident: false alarms, refusals, and what was left to others.

Each is told as an incident is, from the first suspicion on. Its number is that of its first
record in the journal; plain records go after a while, and it goes with them.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from failoverd.core.states import StateName
from failoverd.record.record import Told


@dataclass(frozen=True, slots=True)
class Doubt:
    number: int
    told: tuple[Told, ...]


@dataclass(frozen=True, slots=True)
class Numbered:
    """A record with its number, and whether it belongs to an incident."""

    number: int
    of_incident: bool
    told: Told


def doubts(records: Sequence[Numbered]) -> tuple[Doubt, ...]:
    """Oldest first. A suspicion that an incident came of is told there, and not here."""
    found: list[Doubt] = []
    suspected: list[Numbered] = []
    for one in records:
        entry = one.told.entry
        if one.of_incident:
            suspected = []
        elif entry.to_state is StateName.SUSPECT:
            suspected.append(one)
        elif suspected or entry.outcome is not None:
            found, suspected = [*found, _doubt([*suspected, one])], []
    return (*found, *([_doubt(suspected)] if suspected else []))


def _doubt(records: Sequence[Numbered]) -> Doubt:
    return Doubt(records[0].number, tuple(one.told for one in records))
