"""What is told of the incident that is on, in etcd, so that the next leader's report begins there.

Words alone, a key for each step, beside the machine and in the same transaction. Those of the
incident before go with the first of a new one. What cannot be read there is left out: no
leadership waits for a report.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from failoverd.core.incident import Entry
from failoverd.core.leadership import Term
from failoverd.core.model import Epoch, WallTime
from failoverd.core.states import StateName
from failoverd.daemon.told_in_etcd import HIGHEST
from failoverd.record.codec import VERSION, RecordError, decode, dumps, encode
from failoverd.record.record import Record, Taken
from failoverd.transport.etcd import Beside, Kept

LONGEST = 200_000
"""Of one step: longer, and it is told without what its commands have said."""
MOST = 1000
"""As a report has them."""
LATEST = 253_402_300_800.0
"""Seconds since 1970 to the year 10000, which nobody can show."""


@dataclass(frozen=True, slots=True)
class Place:
    """Of the step that was told last."""

    series: str
    number: int
    epoch: Epoch


class ToldSoFar:
    """As one leader goes on with it."""

    def __init__(self, below: str) -> None:
        self.below = f"{below}told/"
        self._last: Place | None = None
        self._next: Place | None = None
        self._series = 0

    def beside(self, record: Record, term: Term) -> Beside:
        """What is to be written with that record."""
        self._next = None
        suspected = record.entry.to_state is StateName.SUSPECT
        if not (record.epoch or suspected):
            return Beside()
        self._next = self._continued(record)
        gone = None
        if self._next is None:
            self._series += 1
            series = f"{term:016d}-{self._series:06d}"
            self._next = Place(series, 1, record.epoch)
            gone = (self.below, f"{self.below}{series}/")
        key = f"{self.below}{self._next.series}/{self._next.number:06d}"
        return Beside(((key, _text(record)),), gone)

    def _continued(self, record: Record) -> Place | None:
        """A suspicion goes on as long as it is one, and an incident begins with it."""
        last = self._last
        if last is None or last.number >= MOST:
            return None
        doubted = last.epoch == 0 and record.entry.from_state is StateName.SUSPECT
        if not doubted and (record.epoch == 0 or record.epoch != last.epoch):
            return None
        return Place(last.series, last.number + 1, record.epoch)

    def written(self) -> None:
        """The last `beside` is in etcd."""
        self._last = self._next or self._last

    def take_up(self, found: Mapping[str, Kept]) -> Sequence[Taken]:
        """Go on where the leader before has stopped; what it has told, oldest first."""
        self._last = None
        places = sorted(key.removeprefix(self.below) for key in found)
        series = places[-1].rpartition("/")[0] if places else ""
        told = []
        for place in places:
            of, _, number = place.rpartition("/")
            if of != series:
                continue
            taken = _read(found[f"{self.below}{place}"].value)
            if taken is None or not number.isdecimal() or len(number) > len(str(MOST)) + 2:
                return ()
            told.append(taken)
            self._last = Place(series, int(number), taken.epoch)
        return told if any(one.epoch for one in told) else ()


def _text(record: Record) -> str:
    text = _document(record.at, record.epoch, record.entry)
    if len(text) <= LONGEST:
        return text
    return _document(record.at, record.epoch, replace(record.entry, runs=(), server_log=()))


def _document(at: WallTime, epoch: Epoch, entry: Entry) -> str:
    said = {"version": VERSION, "at": at, "epoch": epoch, "entry": encode(entry, secrets=False)}
    return json.dumps(said, separators=(",", ":"), allow_nan=False)


def _read(text: str) -> Taken | None:
    """None where it is of a newer version, or of nobody's."""
    try:
        said: Any = json.loads(text)
        version, at, epoch = said["version"], said["at"], said["epoch"]
        if type(version) is not int or version > VERSION or type(epoch) is not int:
            return None
        if type(at) not in (int, float) or not 0 <= at < LATEST or not 0 <= epoch < HIGHEST:
            return None
        entry = decode(Entry, said["entry"])
        dumps(entry)  # what cannot be journaled is not taken up
        return Taken(WallTime(float(at)), Epoch(epoch), entry)
    except (ValueError, TypeError, KeyError, RecursionError, RecordError):
        return None
