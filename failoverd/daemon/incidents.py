"""Incidents, false alarms and refusals, read back from the journal for whoever asks.

Reading takes longer than the event loop should wait: it is done in threads, and what was listed
stays listed until something new is told.
"""

from __future__ import annotations

import threading
from collections import Counter
from typing import Any

from failoverd.core.events import Event
from failoverd.core.incident import Entry
from failoverd.core.model import Epoch
from failoverd.core.numbering import number_of
from failoverd.core.situation import Machine
from failoverd.core.states import Settling, Suspect
from failoverd.daemon.journal import Journal
from failoverd.daemon.journal_file import JournalError
from failoverd.observability import explanation, log, report
from failoverd.observability.procedure import Told
from failoverd.observability.report import Number
from failoverd.record.replay import Replayed, replay

KEPT_DOUBTS = 200


class Incidents:
    """Of all clusters of one daemon."""

    def __init__(self, journal: Journal) -> None:
        self._journal = journal
        self._listed: dict[str, tuple[int, list[dict[str, Any]]]] = {}
        self._told_of: Counter[str] = Counter()
        self._guard = threading.Lock()

    def told(self, cluster: str, number: Number) -> Told:
        """Empty where there is no such."""
        if isinstance(number, int):
            return [(one.at, one.entry) for one in self._journal.entries(cluster, number)]
        found = [d for d in self._journal.doubts(cluster) if f"s{d.number}" == number]
        return [(one.at, one.entry) for doubt in found for one in doubt.told]

    def listed(self, cluster: str) -> list[dict[str, Any]]:
        """Newest first, a line each."""
        with self._guard:
            now = self._told_of[cluster]
            upto, found = self._listed.get(cluster, (-1, []))
            if upto != now:
                found = self._list(cluster)
                self._listed[cluster] = (now, found)
            return found

    def latest(self, cluster: str) -> dict[str, Any] | None:
        """The line of the last failover or switchover; None before the first."""
        for epoch in self._journal.incidents(cluster, 1):
            return report.summary(cluster, epoch, self.told(cluster, epoch))
        return None

    def _list(self, cluster: str) -> list[dict[str, Any]]:
        begun = [
            report.summary(cluster, epoch, self.told(cluster, epoch))
            for epoch in self._journal.incidents(cluster)
        ]
        left = [
            report.summary(cluster, f"s{doubt.number}", [(o.at, o.entry) for o in doubt.told])
            for doubt in self._journal.doubts(cluster)
        ]
        return sorted([*begun, *left], key=lambda one: str(one["began"]), reverse=True)

    def stepped(
        self, cluster: str, before: Machine, event: Event, after: Machine, entry: Entry
    ) -> None:
        """Reports are written anew where a step tells more, and at the end of what they tell."""
        self.changed(cluster)
        number = number_of(before, event, after)
        if number is None:
            doubted = isinstance(before.state, Suspect) and not isinstance(after.state, Suspect)
            if doubted or entry.outcome is not None:
                self.write_latest_doubt_soon(cluster)
            return
        if entry.of_incident is not None:
            self.write_soon(cluster, number, say=True)
        elif entry.split or entry.divergence is not None:
            ended = bool(before.split) and not after.split
            self.write_soon(cluster, number, say=ended)
        elif before.incident is None:
            if after.incident is None:
                self.write_soon(cluster, number, say=False)
        else:
            over = after.incident is None
            confirmed = isinstance(after.state, Settling) and not isinstance(before.state, Settling)
            if over or confirmed:
                self.write_soon(cluster, number, say=over)

    def changed(self, cluster: str) -> None:
        """Something was told: what was listed is not the whole any more. Never waits."""
        self._told_of[cluster] += 1

    def forget(self, cluster: str) -> None:
        """What was listed of it; its reports stay."""
        with self._guard:
            self._listed.pop(cluster, None)
            self._told_of.pop(cluster, None)

    def document(self, cluster: str, number: Number) -> dict[str, Any] | None:
        told = self.told(cluster, number)
        return report.document(cluster, number, told) if told else None

    def text(self, cluster: str, number: Number, form: str) -> str | None:
        """`markdown`, for people, or `svg`, its course as a picture."""
        told = self.told(cluster, number)
        if not told:
            return None
        made = report.drawn if form == "svg" else report.markdown
        return made(cluster, number, told)

    def explained(self, cluster: str, number: Number) -> dict[str, Any] | None:
        """Each decision of it, made again from what it was made from."""
        replayed = self._replayed(cluster, number)
        return explanation.document(cluster, number, replayed) if replayed else None

    def explained_in_words(self, cluster: str, number: Number) -> str | None:
        replayed = self._replayed(cluster, number)
        return explanation.text(cluster, number, replayed) if replayed else None

    def _replayed(self, cluster: str, number: Number) -> list[Replayed]:
        return [replay(record) for record in self._journal.decided(cluster, number)]

    def write_soon(self, cluster: str, epoch: Epoch, *, say: bool) -> None:
        """Off the loop."""
        self._journal.in_background(lambda: self._write(cluster, epoch, say=say))

    def write_latest_doubt_soon(self, cluster: str) -> None:
        """A suspicion is over, and no incident came of it."""
        self._journal.in_background(lambda: self._write_latest_doubt(cluster))

    def _write_latest_doubt(self, cluster: str) -> None:
        try:
            found = self._journal.doubts(cluster, limit=200)
        except JournalError as error:
            log.logger().error(f"the report could not be written: {error}", cluster=cluster)
            return
        if found:
            self._write(cluster, f"s{found[-1].number}", say=True)

    def _write(self, cluster: str, number: Number, *, say: bool) -> None:
        """A report that cannot be written is said, and stops nothing."""
        directory = self._journal.directory / "reports"
        try:
            file = report.write(directory, cluster, number, self.told(cluster, number))
            report.forget_all_but(directory, cluster, KEPT_DOUBTS)
        except (OSError, JournalError) as error:
            log.logger().error(f"the report could not be written: {error}", cluster=cluster)
            return
        if say:
            what = "incident report" if isinstance(number, int) else "report"
            log.logger().info(f"{what}: {file}", cluster=cluster, incident=number)
