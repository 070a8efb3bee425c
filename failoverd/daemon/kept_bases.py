"""What decisions were made from: journaled with them, and read for `explain`."""

from __future__ import annotations

import hashlib
import sqlite3
from dataclasses import dataclass

from failoverd.core.events import Event, Now
from failoverd.core.policy import Policy
from failoverd.core.situation import Machine
from failoverd.record.codec import VERSION, decode_text, dumps, loads
from failoverd.record.record import Basis

BASIS = """
SELECT bases.version, before, event, now, policies.policy
FROM bases JOIN policies ON policies.digest = bases.policy WHERE record = ?
"""
_INSERT = "INSERT OR IGNORE INTO bases VALUES (?, ?, ?, ?, ?, ?)"


@dataclass(frozen=True, slots=True)
class EncodedBasis:
    before: str
    event: str
    now: str
    policy: str


def encoded_basis(basis: Basis) -> EncodedBasis:
    """Raises RecordError for what could not be read back."""
    return EncodedBasis(
        dumps(basis.before), dumps(basis.event), dumps(basis.now), dumps(basis.policy)
    )


def insert_basis(db: sqlite3.Connection, record: int, one: EncodedBasis) -> None:
    """Within a transaction. A policy is kept once, however often it was decided by."""
    digest = hashlib.sha256(one.policy.encode()).hexdigest()
    db.execute("INSERT OR IGNORE INTO policies VALUES (?, ?)", (digest, one.policy))
    db.execute(_INSERT, (record, VERSION, one.before, one.event, one.now, digest))


def read_basis(row: tuple[int, str, str, str, str]) -> Basis:
    """Raises RecordError, as for any other record."""
    _, before, event, now, policy = row
    return Basis(
        loads(Machine, before), decode_text(Event, event), loads(Now, now), loads(Policy, policy)
    )
