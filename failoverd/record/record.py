"""What one step leaves in the journal."""

from __future__ import annotations

from dataclasses import dataclass

from failoverd.core.incident import Entry
from failoverd.core.model import Epoch, WallTime
from failoverd.core.situation import Machine


@dataclass(frozen=True, slots=True)
class Record:
    """A step worth remembering: what happened, in words, and the machine after it."""

    cluster: str
    at: WallTime
    epoch: Epoch
    entry: Entry
    machine: Machine
    """With the view it was decided on, where the row kept it; else with an empty one."""
