"""The journal's file: who may open it, what it is made of, and what is wrong with it."""

from __future__ import annotations

import contextlib
import fcntl
import os
import secrets
import sqlite3
from collections.abc import Iterator
from pathlib import Path

KEEP_PLAIN_S = 30 * 86400.0
KEEP_PLAIN = 20_000
SCHEMA_VERSION = 2

_FIRST = """
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
_BASES = """
CREATE TABLE policies (digest TEXT PRIMARY KEY, policy TEXT NOT NULL);
CREATE TABLE bases (
    record INTEGER PRIMARY KEY, version INTEGER NOT NULL, before TEXT NOT NULL,
    event TEXT NOT NULL, now TEXT NOT NULL, policy TEXT NOT NULL);
"""
MIGRATIONS = (_FIRST, _BASES)
"""Each makes the file one version newer."""


class JournalError(Exception):
    """Something is wrong with the journal; the message says what to do."""


class StateDirectoryInUse(JournalError):  # noqa: N818 - a fact, said as one
    """Another daemon holds the state directory."""


class JournalCorrupt(JournalError):  # noqa: N818
    """What is in the file cannot be believed."""


class JournalFailed(JournalError):  # noqa: N818
    """A record is not known to be on disk: nothing may be done that depends on it."""


def corrupt(path: Path, why: str) -> str:
    return (
        f"{path} is corrupt: {why}. Nothing was done. See by hand that exactly one node takes"
        f" writes and that no standby is left detached (primary_conninfo = ''), then move the"
        f" file aside and start again: the hosts keep the highest epoch"
    )


# The lock.


def locked(directory: Path) -> int:
    """A descriptor that holds the lock; the file names its holder for whoever comes second."""
    try:
        directory.mkdir(mode=0o700, parents=True, exist_ok=True)
        descriptor = os.open(directory / "lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    except OSError as error:
        raise JournalFailed(f"the state directory cannot be used: {error}") from error
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError as error:
        holder = os.pread(descriptor, 32, 0).decode(errors="replace").strip() or "unknown"
        os.close(descriptor)
        raise StateDirectoryInUse(
            f"{directory} is in use by another failoverd, process {holder}"
        ) from error
    os.ftruncate(descriptor, 0)
    os.pwrite(descriptor, f"{os.getpid()}\n".encode(), 0)
    return descriptor


def identity_in(directory: Path) -> str:
    """Made at the first start, by chance, and kept as long as the journal is."""
    file = directory / "identity"
    try:
        if file.exists():
            return file.read_text(encoding="ascii").strip()
        made = secrets.token_hex(8)
        temporary = directory / "identity.new"
        temporary.touch(mode=0o600)
        with temporary.open("w", encoding="ascii") as writing:
            writing.write(f"{made}\n")
            writing.flush()
            os.fsync(writing.fileno())
        temporary.replace(file)
    except (OSError, UnicodeDecodeError) as error:
        raise JournalFailed(f"{file} cannot be used: {error}") from error
    return made


# The file.


def connected(path: Path) -> tuple[sqlite3.Connection, sqlite3.Connection]:
    opened: list[sqlite3.Connection] = []
    try:
        # Created by us, so that it never exists with wider permissions; SQLite gives the
        # same ones to the -wal and -shm files.
        os.close(os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600))
        path.chmod(0o600)
        opened.append(writer := _connect(path))
        opened.append(reader := _connect(path))
        _migrate(writer, path)
        _check(writer, path)
        with transaction(writer) as db:
            prune(db)
            db.execute(f"PRAGMA user_version = {SCHEMA_VERSION}")  # a write that must succeed
        reader.execute("PRAGMA query_only = ON")
    except (sqlite3.Error, OSError) as error:
        for one in opened:
            one.close()
        if isinstance(error, sqlite3.DatabaseError) and not isinstance(
            error, sqlite3.OperationalError
        ):
            raise JournalCorrupt(corrupt(path, str(error))) from error
        raise JournalFailed(f"{path} cannot be written: {error}") from error
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
        raise JournalFailed(f"{path} was written by a newer version of failoverd ({version})")
    if version == SCHEMA_VERSION:
        return
    with transaction(db):
        for migration in MIGRATIONS[version:]:
            for statement in migration.strip().removesuffix(";").split(";"):
                db.execute(statement)
        db.execute(f"PRAGMA user_version = {SCHEMA_VERSION}")


def _check(db: sqlite3.Connection, path: Path) -> None:
    """What a torn page or a cut-off file has done is found now, and not in a failover."""
    (found,) = db.execute("PRAGMA quick_check(1)").fetchone()
    if found != "ok":
        raise JournalCorrupt(corrupt(path, str(found).replace("\n", " ")))


@contextlib.contextmanager
def transaction(db: sqlite3.Connection) -> Iterator[sqlite3.Connection]:
    db.execute("BEGIN IMMEDIATE")
    try:
        yield db
        db.execute("COMMIT")
    except BaseException:
        if db.in_transaction:
            db.execute("ROLLBACK")
        raise


def prune(db: sqlite3.Connection) -> None:
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
    db.execute("DELETE FROM bases WHERE record NOT IN (SELECT id FROM records)")
    db.execute("DELETE FROM policies WHERE digest NOT IN (SELECT policy FROM bases)")
