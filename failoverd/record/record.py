"""What one step leaves in the journal."""

from __future__ import annotations

from dataclasses import dataclass

from failoverd.core.events import Event, Now
from failoverd.core.incident import Entry
from failoverd.core.model import Epoch, WallTime
from failoverd.core.policy import Policy
from failoverd.core.situation import Machine


@dataclass(frozen=True, slots=True)
class Basis:
    """All that a step was decided on: the same step from it comes to the same."""

    before: Machine
    event: Event
    now: Now
    policy: Policy


@dataclass(frozen=True, slots=True)
class Record:
    """A step worth remembering: what happened, in words, and the machine after it."""

    cluster: str
    at: WallTime
    epoch: Epoch
    """Of the incident it belongs to; 0 outside of one."""
    entry: Entry
    machine: Machine
    """With the view it was decided on, where the journal kept it; else with an empty one."""
    basis: Basis | None = None
    """None where it is not kept: the record is of no incident, or another daemon has told it."""


@dataclass(frozen=True, slots=True)
class Told:
    """A record as a report needs it: the words, without the machine."""

    at: WallTime
    entry: Entry


@dataclass(frozen=True, slots=True)
class Taken:
    """What another daemon has told of the incident that this one has taken up."""

    at: WallTime
    """By that one's clock."""
    epoch: Epoch
    entry: Entry
