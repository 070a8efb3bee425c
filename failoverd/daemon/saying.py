"""What the daemons of one cluster tell each other of its primary: when it is told, and as of when.

No I/O: etcd carries it (daemon/candidacy.py), and the simulator's store (tests/sim) as well.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass

from failoverd.core.model import SPOKE, DaemonReport, Instant, NodeReport
from failoverd.daemon.told_in_etcd import read_said
from failoverd.transport.etcd import Kept

SAY_EVERY_S = 10.0
"""What nobody doubts is told again so often; a doubt of anybody's, after each look."""


class Others:
    """As they were read last."""

    def __init__(self, identity: str, below: str) -> None:
        self._identity = identity
        self._below = below
        self.reports: Mapping[str, DaemonReport] = {}
        self._seen: dict[str, int] = {}
        self._asked_before_at = Instant(0.0)

    @property
    def doubt(self) -> bool:
        return any(one.blind or not one.heard for one in self.reports.values())

    def note(self, found: Mapping[str, Kept], asked_at: Instant) -> None:
        """What was not there when it was asked before was said after that, by our clock."""
        reports: dict[str, DaemonReport] = {}
        for key, kept in found.items():
            identity = key.removeprefix(self._below)
            if identity in (key, self._identity):
                continue
            known = self.reports.get(identity)
            if known is not None and self._seen.get(identity) == kept.changed:
                reports[identity] = known
                continue
            self._seen[identity] = kept.changed
            report = read_said(kept.value, self._asked_before_at)
            if report is not None:
                reports[identity] = report
        self.reports = reports
        self._asked_before_at = asked_at


@dataclass(frozen=True, slots=True)
class Word:
    """What one daemon has to tell of its latest look at the primary."""

    primary: str
    heard: bool
    """A new connection was answered as PostgreSQL answers."""
    blind: bool
    began_at: Instant

    def text(self, name: str, now: Instant) -> str:
        """Its age, and no instant: clocks of two hosts are not compared."""
        age_s = max(0.0, now - self.began_at)
        said = {"name": name, "primary": self.primary, "heard": self.heard, "blind": self.blind}
        return json.dumps({**said, "age_s": round(age_s, 3)})


def word_of(look: NodeReport, *, blind: bool) -> Word:
    return Word(look.name, look.fresh.outcome in SPOKE, blind, look.fresh.began_at)


class Saying:
    """What was told last, and by which lease; so that calm is not told each second."""

    def __init__(self) -> None:
        self._said: tuple[str, bool, bool, int] | None = None
        self._said_at = Instant(0.0)

    def is_due(self, word: Word, lease: int, now: Instant, *, others_doubt: bool) -> bool:
        doubted = word.blind or not word.heard or others_doubt
        news = (word.primary, word.heard, word.blind, lease)
        return doubted or news != self._said or now - self._said_at >= SAY_EVERY_S

    def said(self, word: Word, lease: int, now: Instant) -> None:
        self._said, self._said_at = (word.primary, word.heard, word.blind, lease), now
