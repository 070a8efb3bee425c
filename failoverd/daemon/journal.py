"""What must survive: every step that changes something, on disk before its effects.

One SQLite file, written by one thread with a full fsync for each record, read through a
connection of its own. No durable journal, no act: an append that fails, or is slower
than its deadline, raises, and the caller does nothing. Records of incidents are kept;
plain ones go after 30 days, or when there are too many of them.
"""

from __future__ import annotations

import asyncio
import contextlib
import fcntl
import json
import os
import sqlite3
import threading
from collections.abc import Callable, Mapping
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, TypeVar

from failoverd.core.incident import Entry, EntryKind
from failoverd.core.model import ClusterView, Epoch, WallTime
from failoverd.core.situation import Machine
from failoverd.record.codec import VERSION, RecordError, dumps, loads
from failoverd.record.record import Record

DEADLINE_S = 2.0
KEEP_PLAIN_S = 30 * 86400.0
KEEP_PLAIN = 20_000
PRUNE_EVERY = 1_000
SCHEMA_VERSION = 1

SCHEMA = """
CREATE TABLE records (
    id INTEGER PRIMARY KEY AUTOINCREMENT, cluster TEXT NOT NULL, at REAL NOT NULL,
    epoch INTEGER NOT NULL, incident INTEGER NOT NULL, version INTEGER NOT NULL,
    entry TEXT NOT NULL, machine TEXT NOT NULL, view TEXT);
CREATE INDEX records_cluster ON records (cluster, id);
CREATE INDEX records_epoch ON records (cluster, epoch, id);
CREATE TABLE transitions (
    cluster TEXT NOT NULL, from_state TEXT NOT NULL, to_state TEXT NOT NULL,
    trigger TEXT NOT NULL, count INTEGER NOT NULL,
    PRIMARY KEY (cluster, from_state, to_state, trigger));
CREATE TABLE failovers (
    cluster TEXT NOT NULL, trigger TEXT NOT NULL, outcome TEXT NOT NULL, count INTEGER NOT NULL,
    PRIMARY KEY (cluster, trigger, outcome));
"""

T = TypeVar("T")


class JournalError(Exception):
    """Something is wrong with the journal; the message says what to do."""


class StateDirectoryInUse(JournalError):  # noqa: N818 - a fact, said as one
    """Another daemon holds the state directory."""


class JournalCorrupt(JournalError):  # noqa: N818
    """What is in the file cannot be believed."""


class JournalFailed(JournalError):  # noqa: N818
    """A record is not known to be on disk: nothing may be done that depends on it."""


@dataclass(frozen=True, slots=True)
class Counters:
    """What was counted since the journal began; it outlives the records themselves."""

    transitions: Mapping[tuple[str, str, str], int] = field(default_factory=dict)
    """By state left, state entered, trigger."""
    failovers: Mapping[tuple[str, str], int] = field(default_factory=dict)
    """By trigger and outcome."""


class Journal:
    """Belongs to one daemon: the lock on the state directory is held until `close`."""

    def __init__(
        self, state_dir: Path, lock: int, writer: sqlite3.Connection, reader: sqlite3.Connection
    ) -> None:
        self.state_dir = state_dir
        self._lock = lock
        self._writer = writer
        self._reader = reader
        self._reading = threading.Lock()
        self._appended = 0
        self._write_thread = ThreadPoolExecutor(1, "journal")
        self._background = ThreadPoolExecutor(1, "reports")

    @classmethod
    def open(cls, state_dir: Path) -> Journal:
        """Create what is missing, take the lock, and see that it can be written.

        Raises StateDirectoryInUse, JournalCorrupt or JournalError.
        """
        lock = _locked(state_dir)
        try:
            writer, reader = _connected(state_dir / "journal.sqlite3")
        except BaseException:
            os.close(lock)
            raise
        return cls(state_dir, lock, writer, reader)

    @property
    def path(self) -> Path:
        return self.state_dir / "journal.sqlite3"

    async def append(self, record: Record) -> None:
        """On return it is committed and fsynced; raises JournalFailed otherwise.

        After a missed deadline the record may still arrive: every effect looks before it
        acts, so a record too many does no harm, where an act without one would.
        """
        try:
            async with asyncio.timeout(DEADLINE_S):
                await asyncio.wrap_future(self._write_thread.submit(self._append, record))
        except TimeoutError:
            raise JournalFailed(f"{self.path}: no answer in {DEADLINE_S:g} s") from None
        except (sqlite3.Error, OSError, RecordError, RuntimeError) as error:
            raise JournalFailed(f"{self.path}: {error}") from error

    def _append(self, record: Record) -> None:
        row = _row(record)
        with _transaction(self._writer) as db:
            db.execute(_INSERT, row)
            _count(db, record)
            self._appended += 1
            if self._appended % PRUNE_EVERY == 0:
                _prune(db)

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

    def records(
        self, cluster: str, epoch: int | None = None, limit: int = 1000
    ) -> tuple[Record, ...]:
        """The newest `limit` records, oldest first."""
        rows = self._select(
            "SELECT id, version, at, epoch, entry, machine, view FROM records"
            " WHERE cluster = :cluster AND (:epoch IS NULL OR epoch = :epoch)"
            " ORDER BY id DESC LIMIT :limit",
            {"cluster": cluster, "epoch": epoch, "limit": limit},
        )
        return tuple(self._record(cluster, row) for row in reversed(rows))

    def before(self, cluster: str, epoch: int, limit: int = 100) -> tuple[Record, ...]:
        """The newest `limit` records from before the first one of an epoch, oldest first."""
        rows = self._select(
            "SELECT id, version, at, epoch, entry, machine, view FROM records"
            " WHERE cluster = :cluster AND id < (SELECT min(id) FROM records"
            " WHERE cluster = :cluster AND epoch = :epoch) ORDER BY id DESC LIMIT :limit",
            {"cluster": cluster, "epoch": epoch, "limit": limit},
        )
        return tuple(self._record(cluster, row) for row in reversed(rows))

    def incidents(self, cluster: str, limit: int = 100) -> tuple[int, ...]:
        """Numbers (epochs) of incidents, newest first."""
        rows = self._select(
            "SELECT DISTINCT epoch FROM records WHERE cluster = ? AND incident = 1"
            " ORDER BY epoch DESC LIMIT ?",
            (cluster, limit),
        )
        return tuple(epoch for (epoch,) in rows)

    def counters(self, cluster: str) -> Counters:
        transitions = self._select(
            "SELECT from_state, to_state, trigger, count FROM transitions WHERE cluster = ?",
            (cluster,),
        )
        failovers = self._select(
            "SELECT trigger, outcome, count FROM failovers WHERE cluster = ?", (cluster,)
        )
        return Counters(
            {(source, target, trigger): n for source, target, trigger, n in transitions},
            {(trigger, outcome): n for trigger, outcome, n in failovers},
        )

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
            raise JournalCorrupt(_corrupt(self.path, str(error))) from error

    def _record(self, cluster: str, row: tuple[Any, ...]) -> Record:
        number, version, at, epoch, entry, machine, view = row

        def read() -> Record:
            bare = loads(Machine, machine)
            seen = ClusterView({}) if view is None else loads(ClusterView, view)
            after = replace(bare, view=seen)
            return Record(cluster, WallTime(at), Epoch(epoch), loads(Entry, entry), after)

        return self._read(read, cluster, number, version)

    def _read(self, read: Callable[[], T], cluster: str, number: int, version: int) -> T:
        where = f"record {number} of cluster {cluster}"
        if version > VERSION:
            why = f"{where} was written by a newer version of failoverd ({version})"
            raise JournalCorrupt(f"{self.path}: {why}: start that version, or restore this file")
        try:
            return read()
        except (RecordError, ValueError) as error:
            raise JournalCorrupt(_corrupt(self.path, f"{where}: {error}")) from error


def _corrupt(path: Path, why: str) -> str:
    return (
        f"{path} is corrupt: {why}. Nothing was done. See by hand that exactly one node takes"
        f" writes and that no standby is left detached (primary_conninfo = ''), then move the"
        f" file aside and start again: the hosts keep the highest epoch"
    )


# The lock.


def _locked(state_dir: Path) -> int:
    """A descriptor that holds the lock; the file names its holder for whoever comes second."""
    try:
        state_dir.mkdir(mode=0o700, parents=True, exist_ok=True)
        descriptor = os.open(state_dir / "lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    except OSError as error:
        raise JournalError(f"the state directory cannot be used: {error}") from error
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError as error:
        holder = os.pread(descriptor, 32, 0).decode(errors="replace").strip() or "unknown"
        os.close(descriptor)
        raise StateDirectoryInUse(
            f"{state_dir} is in use by another failoverd, process {holder}"
        ) from error
    os.ftruncate(descriptor, 0)
    os.pwrite(descriptor, f"{os.getpid()}\n".encode(), 0)
    return descriptor


# The file.


def _connected(path: Path) -> tuple[sqlite3.Connection, sqlite3.Connection]:
    opened: list[sqlite3.Connection] = []
    try:
        # Created by us, so that it never exists with wider permissions; SQLite gives the
        # same ones to the -wal and -shm files.
        os.close(os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600))
        path.chmod(0o600)
        opened.append(writer := _connect(path))
        opened.append(reader := _connect(path))
        _migrate(writer, path)
        with _transaction(writer) as db:
            _prune(db)
            db.execute(f"PRAGMA user_version = {SCHEMA_VERSION}")  # a write that must succeed
        reader.execute("PRAGMA query_only = ON")
    except (sqlite3.Error, OSError) as error:
        for one in opened:
            one.close()
        if isinstance(error, sqlite3.DatabaseError) and not isinstance(
            error, sqlite3.OperationalError
        ):
            raise JournalCorrupt(_corrupt(path, str(error))) from error
        raise JournalError(f"{path} cannot be written: {error}") from error
    except JournalError:
        for one in opened:
            one.close()
        raise
    return writer, reader


def _connect(path: Path) -> sqlite3.Connection:
    db = sqlite3.connect(path, isolation_level=None, check_same_thread=False, timeout=1.0)
    try:
        db.execute("PRAGMA journal_mode = WAL")
        db.execute("PRAGMA synchronous = FULL")
    except sqlite3.Error:
        db.close()
        raise
    return db


def _migrate(db: sqlite3.Connection, path: Path) -> None:
    (version,) = db.execute("PRAGMA user_version").fetchone()
    if version > SCHEMA_VERSION:
        raise JournalError(f"{path} was written by a newer version of failoverd ({version})")
    if version == 0:
        with _transaction(db):
            for statement in SCHEMA.strip().removesuffix(";").split(";"):
                db.execute(statement)
            db.execute(f"PRAGMA user_version = {SCHEMA_VERSION}")


@contextlib.contextmanager
def _transaction(db: sqlite3.Connection) -> Any:
    db.execute("BEGIN IMMEDIATE")
    try:
        yield db
        db.execute("COMMIT")
    except BaseException:
        if db.in_transaction:
            db.execute("ROLLBACK")
        raise


_INSERT = """
INSERT INTO records (cluster, at, epoch, incident, version, entry, machine, view)
VALUES (?, ?, ?, ?, ?, ?, ?, ?)
"""


def _row(record: Record) -> tuple[Any, ...]:
    """The view is kept where the state changed or an incident is on: it is most of the size."""
    machine, entry = record.machine, record.entry
    in_incident = machine.incident is not None or entry.outcome is not None
    keep_view = in_incident or entry.from_state != entry.to_state
    view = dumps(machine.view) if keep_view else None
    bare = replace(machine, view=ClusterView({}))
    return (
        record.cluster,
        record.at,
        record.epoch,
        int(in_incident),
        VERSION,
        dumps(entry),
        dumps(bare),
        view,
    )


def _count(db: sqlite3.Connection, record: Record) -> None:
    entry = record.entry
    if entry.kind is EntryKind.TRANSITION and entry.from_state != entry.to_state:
        db.execute(
            "INSERT INTO transitions VALUES (?, ?, ?, ?, 1)"
            " ON CONFLICT DO UPDATE SET count = count + 1",
            (record.cluster, entry.from_state, entry.to_state, entry.trigger),
        )
    if entry.outcome is not None:
        db.execute(
            "INSERT INTO failovers VALUES (?, ?, ?, 1) ON CONFLICT DO UPDATE SET count = count + 1",
            (record.cluster, entry.trigger, entry.outcome),
        )


def _prune(db: sqlite3.Connection) -> None:
    """Ages are counted back from the newest record, which needs no clock.

    Never the last record of a cluster, which a restart begins from.
    """
    db.execute(
        "DELETE FROM records WHERE incident = 0"
        " AND id NOT IN (SELECT max(id) FROM records GROUP BY cluster)"
        " AND (at < (SELECT max(at) FROM records) - ?"
        " OR id <= (SELECT max(id) FROM records) - ?)",
        (KEEP_PLAIN_S, KEEP_PLAIN),
    )
