"""What decisions were made from: journaled later than they are, and read for `explain`."""

from __future__ import annotations

import hashlib
import sqlite3
from collections.abc import Sequence

from failoverd.core.events import Event, Now
from failoverd.core.policy import Policy
from failoverd.core.situation import Machine
from failoverd.daemon.journal_file import transaction
from failoverd.record.codec import VERSION, decode_text, dumps, loads
from failoverd.record.record import Basis

Row = tuple[int, int, str, str, str, str]

BASIS = """
SELECT bases.version, before, event, now, policies.policy
FROM bases JOIN policies ON policies.digest = bases.policy WHERE record = ?
"""
_INSERT = "INSERT OR IGNORE INTO bases VALUES (?, ?, ?, ?, ?, ?)"


def encoded(record: int, basis: Basis) -> Row:
    """Raises RecordError for what could not be read back."""
    before, event = dumps(basis.before), dumps(basis.event)
    return record, VERSION, before, event, dumps(basis.now), dumps(basis.policy)


def insert_bases(db: sqlite3.Connection, rows: Sequence[Row]) -> None:
    """A policy is kept once, however often it was decided by."""
    if not rows:
        return
    with transaction(db):
        for record, version, before, event, now, policy in rows:
            digest = hashlib.sha256(policy.encode()).hexdigest()
            db.execute("INSERT OR IGNORE INTO policies VALUES (?, ?)", (digest, policy))
            db.execute(_INSERT, (record, version, before, event, now, digest))


def read_basis(row: tuple[int, str, str, str, str]) -> Basis:
    """Raises RecordError, as for any other record."""
    _, before, event, now, policy = row
    return Basis(
        loads(Machine, before), decode_text(Event, event), loads(Now, now), loads(Policy, policy)
    )
