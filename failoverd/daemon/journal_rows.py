"""What of a record is written, and where."""

from __future__ import annotations

import sqlite3
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

from failoverd.core.incident import Entry, EntryKind
from failoverd.core.model import ClusterView
from failoverd.core.states import StateName
from failoverd.daemon.journal_file import transaction
from failoverd.daemon.kept_bases import EncodedBasis, encoded_basis, insert_basis
from failoverd.record.codec import VERSION, RecordError, dumps
from failoverd.record.record import Record

_INSERT = """
INSERT INTO records (cluster, at, epoch, incident, version, entry, machine, view)
VALUES (?, ?, ?, ?, ?, ?, ?, ?)
"""
_THERE = "SELECT 1 FROM records WHERE cluster = ? AND at = ? AND epoch = ? AND entry = ?"


@dataclass(frozen=True, slots=True)
class Encoded:
    """A record as text; nothing of it can fail for what it is any more."""

    cluster: str
    entry: Entry
    row: tuple[Any, ...]
    basis: EncodedBasis | None


def encoded(record: Record) -> Encoded:
    """Raises RecordError for what could not be read back, unless that is the basis.

    A decision whose basis cannot be kept stands as it is.
    """
    basis = None
    if record.basis is not None and _explained(record):
        try:
            basis = encoded_basis(record.basis)
        except RecordError:
            basis = None
    return Encoded(record.cluster, record.entry, row_of(record), basis)


def insert(db: sqlite3.Connection, one: Encoded) -> None:
    """With what it was decided on, and counted."""
    number = db.execute(_INSERT, one.row).lastrowid
    if one.basis is not None and number is not None:
        insert_basis(db, number, one.basis)
    entry = one.entry
    if entry.kind is EntryKind.TRANSITION and entry.from_state != entry.to_state:
        db.execute(
            "INSERT INTO transitions VALUES (?, ?, ?, ?, 1)"
            " ON CONFLICT DO UPDATE SET count = count + 1",
            (one.cluster, entry.from_state, entry.to_state, entry.trigger),
        )
    if entry.outcome is not None:
        db.execute(
            "INSERT INTO failovers VALUES (?, ?, ?, 1) ON CONFLICT DO UPDATE SET count = count + 1",
            (one.cluster, entry.trigger, entry.outcome),
        )


def insert_taken(db: sqlite3.Connection, rows: Sequence[tuple[Any, ...]]) -> None:
    """Each once, in order. Whoever has told them has counted them."""
    with transaction(db):
        for row in rows:
            cluster, at, epoch, _, _, entry, _, _ = row
            if db.execute(_THERE, (cluster, at, epoch, entry)).fetchone() is None:
                db.execute(_INSERT, row)


def row_of(record: Record, *, whole: bool = True) -> tuple[Any, ...]:
    """The view is kept where the state changed or an incident is on: it is most of the size."""
    machine, entry = record.machine, record.entry
    view = dumps(machine.view) if whole and _kept_whole(record) else None
    bare = replace(machine, view=ClusterView({}))
    return (
        record.cluster,
        record.at,
        record.epoch,
        int(record.epoch > 0),
        VERSION,
        dumps(entry),
        dumps(bare),
        view,
    )


def _explained(record: Record) -> bool:
    """Of incidents, and of what might have become one."""
    entry = record.entry
    doubtful = StateName.SUSPECT in (entry.from_state, entry.to_state)
    return record.epoch > 0 or doubtful or entry.outcome is not None


def _kept_whole(record: Record) -> bool:
    return record.epoch > 0 or record.entry.kind in (EntryKind.TRANSITION, EntryKind.DIAGNOSIS)
