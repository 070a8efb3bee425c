"""Notices that are still to be told: a file each, so that a restart loses none."""

from __future__ import annotations

import json
import os
from dataclasses import dataclass
from pathlib import Path
from typing import Any

LONGEST = 1000
"""For each who is told; beyond that the oldest goes."""


@dataclass(frozen=True, slots=True)
class Waiting:
    """One notice for one who is to be told."""

    file: Path
    document: dict[str, Any]
    noted_at: float
    """Unix time."""


class Spool:
    """A directory of its own for each who is told. Its methods wait for the disk."""

    def __init__(self, directory: Path) -> None:
        self._directory = directory

    def add(self, target: str, number: int, noted_at: float, document: dict[str, Any]) -> int:
        """On return it is on the disk. How many had to go for it."""
        directory = self._directory / target
        directory.mkdir(mode=0o700, parents=True, exist_ok=True)
        file = directory / f"{number:020d}.json"
        new = file.with_suffix(".new")
        descriptor = os.open(new, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
        with os.fdopen(descriptor, "w") as stream:
            json.dump({"noted_at": noted_at, "document": document}, stream)
            stream.flush()
            os.fsync(stream.fileno())
        new.replace(file)
        waiting = self._files(target)
        for old in waiting[:-LONGEST]:
            old.unlink(missing_ok=True)
        return max(0, len(waiting) - LONGEST)

    def first(self, target: str) -> Waiting | None:
        """The oldest. One that cannot be read is of no use to anybody, and goes."""
        for file in self._files(target):
            try:
                found = json.loads(file.read_text())
                return Waiting(file, dict(found["document"]), float(found["noted_at"]))
            except (ValueError, KeyError, TypeError):
                file.unlink(missing_ok=True)
        return None

    def waiting(self, target: str) -> int:
        return len(self._files(target))

    def _files(self, target: str) -> list[Path]:
        return sorted((self._directory / target).glob("*.json"))
