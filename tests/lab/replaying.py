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
        alone = len(list(path.parents[2].rglob(path.name))) == 1
        try:
            for cluster in journal.clusters():
                again += _replay(journal, cluster, all_of_its_own=alone)
        finally:
            journal.close()
    return again


def _replay(journal: Journal, cluster: str, *, all_of_its_own: bool) -> int:
    """What other daemons have decided they explain; each of its own is kept with its basis."""
    again = 0
    doubts = [f"s{doubt.number}" for doubt in journal.doubts(cluster)]
    for number in (*journal.incidents(cluster), *doubts):
        for replayed in map(replay, journal.decided(cluster, number)):
            entry = replayed.record.entry
            assert not replayed.differs, (
                f"{cluster}, incident {number}: {entry.from_state} -> {entry.to_state}"
                f" ({entry.sentence}) comes out otherwise: {replayed.differs}"
            )
            kept = replayed.explanation is not None
            assert kept or not all_of_its_own or not replayed.record.epoch, (
                f"{cluster}, incident {number}: {entry.sentence}: nobody can make it again"
            )
            again += kept
    return again
