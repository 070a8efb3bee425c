"""What must survive: every step that changes something, on disk before its effects.

One SQLite file, written by one thread with a full fsync for all records that wait for one,
read through a connection of its own. No durable journal, no act: an append that fails, or is
slower than its deadline, raises, and the caller does nothing. Records of incidents are kept;
plain ones go after 30 days, or when there are too many of them.
"""

from __future__ import annotations

import asyncio
import os
import sqlite3
import threading
from collections import deque
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path
from typing import Any, TypeVar

from failoverd.core.incident import Entry
from failoverd.core.model import ClusterView, Epoch, WallTime
from failoverd.core.situation import Machine
from failoverd.core.states import StateName
from failoverd.daemon.journal_file import (
    JournalCorrupt,
    JournalFailed,
    StateDirectoryInUse,
    connected,
    corrupt,
    identity_in,
    locked,
    prune,
    transaction,
)
from failoverd.daemon.journal_rows import Encoded, encoded, insert, insert_taken, row_of
from failoverd.daemon.kept_bases import BASIS, read_basis
from failoverd.record.codec import VERSION, RecordError, loads
from failoverd.record.doubts import Doubt, Numbered, doubts
from failoverd.record.record import Record, Taken, Told

DEADLINE_S = 2.0
PRUNE_EVERY = 1_000
AT_ONCE = 100
"""Records that one transaction may hold: encoding more would keep the first too long from its
fsync."""
LED_TO_IT = 20
"""Records before an incident among which its first suspicion is looked for."""
__all__ = ["Journal", "JournalCorrupt", "JournalFailed", "StateDirectoryInUse"]

T = TypeVar("T")


class Journal:
    """Belongs to one daemon: the lock on the state directory is held until `close`."""

    def __init__(
        self,
        directory: Path,
        identity: str,
        lock: int,
        writer: sqlite3.Connection,
        reader: sqlite3.Connection,
    ) -> None:
        self.directory = directory
        self.identity = identity
        """Of whoever writes here: hosts tell its epochs from another daemon's by it."""
        self._lock = lock
        self._writer = writer
        self._reader = reader
        self._reading = threading.Lock()
        self._appended = 0
        self._waiting: deque[tuple[Record, Future[None]]] = deque()
        self._write_thread = ThreadPoolExecutor(1, "journal")
        self._background = ThreadPoolExecutor(1, "reports")

    @classmethod
    def open(cls, directory: Path) -> Journal:
        """Create what is missing, take the lock, and see that it can be written.

        Raises StateDirectoryInUse, JournalCorrupt or JournalFailed.
        """
        lock = locked(directory)
        try:
            writer, reader = connected(directory / "journal.sqlite3")
            identity = identity_in(directory)
        except BaseException:
            os.close(lock)
            raise
        return cls(directory, identity, lock, writer, reader)

    @property
    def path(self) -> Path:
        return self.directory / "journal.sqlite3"

    async def append(self, record: Record) -> None:
        """On return it is committed and fsynced; raises JournalFailed otherwise.

        After a missed deadline one that is being written may still arrive: every effect looks
        before it acts, so a record too many does no harm, where an act without one would. One
        that still waits is not written any more.
        """
        kept: Future[None] = Future()
        self._waiting.append((record, kept))

        def submitted() -> Future[None]:
            self._write_thread.submit(self._write_waiting)
            return kept

        await self._in_time(submitted)

    async def _in_time(self, begin: Callable[[], Future[None]]) -> None:
        try:
            async with asyncio.timeout(DEADLINE_S):
                await asyncio.wrap_future(begin())
        except TimeoutError:
            raise JournalFailed(f"{self.path}: no answer in {DEADLINE_S:g} s") from None
        except (sqlite3.Error, OSError, RecordError, RuntimeError) as error:
            raise JournalFailed(f"{self.path}: {error}") from error

    async def take_up(self, cluster: str, told: Sequence[Taken], machine: Machine) -> None:
        """What another daemon has told of the incident that this one goes on with, once.

        With the machine that it has left. Raises JournalFailed as `append` does.
        """
        rows = [
            row_of(Record(cluster, one.at, one.epoch, one.entry, machine), whole=False)
            for one in told
        ]
        await self._in_time(lambda: self._write_thread.submit(insert_taken, self._writer, rows))

    def _write_waiting(self) -> None:
        """As many as wait, at one fsync: a thousand clusters that go blind at once need no more."""
        due: list[tuple[Encoded, Future[None]]] = []
        while self._waiting and len(due) < AT_ONCE:
            record, kept = self._waiting.popleft()
            if kept.set_running_or_notify_cancel():
                try:
                    due.append((encoded(record), kept))
                except RecordError as error:
                    kept.set_exception(error)
        if not due:
            return
        try:
            with transaction(self._writer) as db:
                for row, _ in due:
                    insert(db, row)
                if (self._appended + len(due)) // PRUNE_EVERY > self._appended // PRUNE_EVERY:
                    prune(db)
        except BaseException as error:  # noqa: BLE001 - whoever waits is told, whatever it was
            for _, kept in due:
                kept.set_exception(error)
            return
        self._appended += len(due)
        for _, kept in due:
            kept.set_result(None)

    def latest(self, cluster: str) -> Machine | None:
        """The machine of the last record, without a view; None where there is none."""
        row = self._select(
            "SELECT id, version, machine FROM records WHERE cluster = ? ORDER BY id DESC LIMIT 1",
            (cluster,),
        )
        if not row:
            return None
        number, version, text = row[0]
        return self._read(lambda: loads(Machine, text), cluster, number, version)

    def age_of_latest_s(self, cluster: str, now: float) -> float | None:
        """How long ago the last record was written; None where the wall clock cannot tell."""
        row = self._select(
            "SELECT at FROM records WHERE cluster = ? ORDER BY id DESC LIMIT 1", (cluster,)
        )
        age_s = now - row[0][0] if row else -1.0
        return age_s if age_s >= 0.0 else None

    def records(
        self, cluster: str, epoch: int | None = None, limit: int = 1000
    ) -> tuple[Record, ...]:
        """The newest `limit` records, of one incident or of all, oldest first."""
        rows = self._select(
            f"{_READ} AND (:epoch IS NULL OR epoch = :epoch) ORDER BY id DESC LIMIT :limit",
            {"cluster": cluster, "epoch": epoch, "limit": limit},
        )
        return tuple(self._record(cluster, row) for row in reversed(rows))

    def entries(self, cluster: str, epoch: int, limit: int = 1000) -> tuple[Told, ...]:
        """One incident as it was told, oldest first, from the first suspicion of it on.

        Empty where no incident has that number.
        """
        rows = self._select(
            f"{_READ} AND epoch = :epoch AND incident = 1 ORDER BY id LIMIT :limit",
            {"cluster": cluster, "epoch": epoch, "limit": limit},
        )
        if not rows:
            return ()
        earlier = self._select(
            f"{_READ} AND id < :first ORDER BY id DESC LIMIT :limit",
            {"cluster": cluster, "first": rows[0][0], "limit": LED_TO_IT},
        )
        told = [self._told(cluster, row) for row in rows]
        return (*led_to([self._told(cluster, row) for row in reversed(earlier)]), *told)

    def decided(self, cluster: str, number: int | str, limit: int = 1000) -> tuple[Record, ...]:
        """The steps of an incident, or of what never became one (`s41`), oldest first.

        Each with what it was decided on.
        """
        if isinstance(number, int):
            return tuple(one for one in self.records(cluster, number, limit) if one.epoch > 0)
        found = [doubt for doubt in self.doubts(cluster) if f"s{doubt.number}" == number]
        rows = (
            self._select(
                f"{_READ} AND id >= :first AND {_DOUBTFUL} ORDER BY id LIMIT :many",
                {"cluster": cluster, "first": found[0].number, "many": len(found[0].told)},
            )
            if found
            else []
        )
        return tuple(self._record(cluster, row) for row in rows)

    def clusters(self) -> tuple[str, ...]:
        """Those that anything was ever journaled of."""
        rows = self._select("SELECT DISTINCT cluster FROM records ORDER BY cluster", ())
        return tuple(name for (name,) in rows)

    def incidents(self, cluster: str, limit: int = 100) -> tuple[int, ...]:
        """Numbers (epochs) of incidents, newest first."""
        rows = self._select(
            "SELECT DISTINCT epoch FROM records WHERE cluster = ? AND incident = 1"
            " ORDER BY epoch DESC LIMIT ?",
            (cluster, limit),
        )
        return tuple(epoch for (epoch,) in rows)

    def doubts(self, cluster: str, limit: int = 2000) -> tuple[Doubt, ...]:
        """False alarms, refusals and what was left to others, oldest first."""
        rows = self._select(
            f"{_TOLD} AND {_DOUBTFUL} ORDER BY id DESC LIMIT :limit",
            {"cluster": cluster, "limit": limit},
        )
        return doubts(
            [Numbered(row[0], bool(row[7]), self._told(cluster, row[:7])) for row in reversed(rows)]
        )

    def transitions(self, cluster: str) -> Mapping[tuple[str, str, str], int]:
        """Counted since the journal began, by state left, state entered and trigger.

        The count outlives the records themselves.
        """
        rows = self._select(
            "SELECT from_state, to_state, trigger, count FROM transitions WHERE cluster = ?",
            (cluster,),
        )
        return {(source, target, trigger): count for source, target, trigger, count in rows}

    def failovers(self, cluster: str) -> Mapping[tuple[str, str], int]:
        """Counted since the journal began, by trigger and outcome."""
        rows = self._select(
            "SELECT trigger, outcome, count FROM failovers WHERE cluster = ?", (cluster,)
        )
        return {(trigger, outcome): count for trigger, outcome, count in rows}

    def in_background(self, work: Callable[[], T]) -> Future[T]:
        """Run what reads the journal and writes files off the loop, in order."""
        return self._background.submit(work)

    def close(self) -> None:
        """Finish what is being written, for as long as that takes; give the lock back."""
        self._background.shutdown()
        self._write_thread.shutdown()
        self._writer.close()
        self._reader.close()
        os.close(self._lock)

    def _select(self, sql: str, parameters: Any) -> list[Any]:
        try:
            with self._reading:
                return self._reader.execute(sql, parameters).fetchall()
        except sqlite3.Error as error:
            raise JournalCorrupt(corrupt(self.path, str(error))) from error

    def _record(self, cluster: str, row: tuple[Any, ...]) -> Record:
        number, version, at, epoch, entry, machine, view = row

        def read() -> Record:
            bare = loads(Machine, machine)
            seen = ClusterView({}) if view is None else loads(ClusterView, view)
            after = replace(bare, view=seen)
            basis = read_basis(bases[0]) if bases else None
            return Record(cluster, WallTime(at), Epoch(epoch), loads(Entry, entry), after, basis)

        bases = self._select(BASIS, (number,))
        return self._read(read, cluster, number, version)

    def _told(self, cluster: str, row: tuple[Any, ...]) -> Told:
        number, version, at, _, entry, _, _ = row
        return self._read(lambda: Told(WallTime(at), loads(Entry, entry)), cluster, number, version)

    def _read(self, read: Callable[[], T], cluster: str, number: int, version: int) -> T:
        where = f"record {number} of cluster {cluster}"
        if version > VERSION:
            why = f"{where} was written by a newer version of failoverd ({version})"
            raise JournalCorrupt(f"{self.path}: {why}: start that version, or restore this file")
        try:
            return read()
        except (RecordError, ValueError) as error:
            raise JournalCorrupt(corrupt(self.path, f"{where}: {error}")) from error


def led_to(earlier: Sequence[Told]) -> Sequence[Told]:
    """What is told of the doubt that an incident began with; nothing where there was none."""
    first = len(earlier)
    while first and earlier[first - 1].entry.to_state is StateName.SUSPECT:
        first -= 1
    return earlier[first:]


_READ = "SELECT id, version, at, epoch, entry, machine, view FROM records WHERE cluster = :cluster"

_TOLD = (
    "SELECT id, version, at, epoch, entry, NULL, NULL, incident FROM records"
    " WHERE cluster = :cluster"
)
_DOUBTFUL = "(entry LIKE '%\"suspect\"%' OR (incident = 0 AND entry NOT LIKE '%\"outcome\":null%'))"
