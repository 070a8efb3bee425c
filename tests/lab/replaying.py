"""Whatever a test of the lab made a daemon decide, it decides again from its journal."""

from __future__ import annotations

from pathlib import Path

from failoverd.daemon.journal import Journal
from failoverd.daemon.journal_file import JournalError
from failoverd.record.replay import replay


def every_decision_comes_out_the_same(below: Path) -> int:
    """Of each incident, false alarm and refusal in each journal below; how many there were."""
    again = 0
    for path in below.rglob("journal.sqlite3"):
        try:
            journal = Journal.open(path.parent)
        except JournalError:
            continue  # what a test has spoilt, it has looked at
        try:
            again += sum(_replay(journal, cluster) for cluster in journal.clusters())
        finally:
            journal.close()
    return again


def _replay(journal: Journal, cluster: str) -> int:
    again = 0
    doubts = [f"s{doubt.number}" for doubt in journal.doubts(cluster)]
    for number in (*journal.incidents(cluster), *doubts):
        for replayed in map(replay, journal.decided(cluster, number)):
            entry = replayed.record.entry
            assert not replayed.differs, (
                f"{cluster}, incident {number}: {entry.from_state} -> {entry.to_state}"
                f" ({entry.sentence}) comes out otherwise: {replayed.differs}"
            )
            again += replayed.explanation is not None
    return again
