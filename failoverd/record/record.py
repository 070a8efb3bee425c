"""What one step leaves in the journal."""

from __future__ import annotations

from dataclasses import dataclass, field, replace

from failoverd.core.incident import Entry
from failoverd.core.model import ClusterView, Epoch, WallTime
from failoverd.core.situation import Machine
from failoverd.record.codec import loads


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


@dataclass(frozen=True, slots=True)
class Told:
    """A record as it is read for a report: the words at once, the facts only if asked for."""

    at: WallTime
    entry: Entry
    machine_text: str = field(repr=False)
    view_text: str | None = field(repr=False, default=None)

    @property
    def machine(self) -> Machine:
        """After the step; with an empty view where none was kept. May raise RecordError."""
        machine = loads(Machine, self.machine_text)
        return machine if self.view_text is None else replace(machine, view=self.view)

    @property
    def view(self) -> ClusterView:
        """What the step was decided on. May raise RecordError."""
        return ClusterView({}) if self.view_text is None else loads(ClusterView, self.view_text)
