"""Rows of the journal's records, as they are written."""

from __future__ import annotations

import sqlite3
from collections.abc import Sequence
from typing import Any

from failoverd.daemon.journal_file import transaction

INSERT = """
INSERT INTO records (cluster, at, epoch, incident, version, entry, machine, view)
VALUES (?, ?, ?, ?, ?, ?, ?, ?)
"""
_THERE = "SELECT 1 FROM records WHERE cluster = ? AND at = ? AND epoch = ? AND entry = ?"


def insert_taken(db: sqlite3.Connection, rows: Sequence[tuple[Any, ...]]) -> None:
    """Each once, in order. Whoever has told them has counted them."""
    with transaction(db):
        for row in rows:
            cluster, at, epoch, _, _, entry, _, _ = row
            if db.execute(_THERE, (cluster, at, epoch, entry)).fetchone() is None:
                db.execute(INSERT, row)
