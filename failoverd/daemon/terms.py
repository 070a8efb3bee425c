"""The group and the latest term of each cluster's daemons, as this one knows them, on disk.

So that a term is never used twice, also where etcd was set up anew, or is given up.
"""

from __future__ import annotations

import json
import os
from dataclasses import dataclass
from pathlib import Path

from failoverd.core.leadership import Term
from failoverd.daemon.journal_file import JournalFailed


@dataclass(frozen=True, slots=True)
class Held:
    group: str
    term: Term


class Terms:
    """`terms.json` in the state directory."""

    def __init__(self, directory: Path) -> None:
        self._file = directory / "terms.json"

    def of(self, cluster: str) -> Held | None:
        """None where it never had any. Raises JournalFailed where it cannot be read."""
        known = self._read().get(cluster)
        return None if known is None else Held(known[0], Term(known[1]))

    def keep(self, cluster: str, held: Held) -> None:
        """On disk on return; nothing is written that is there. Raises JournalFailed."""
        known = self._read()
        if known.get(cluster) == (held.group, held.term):
            return
        everything = {**known, cluster: (held.group, held.term)}
        new = self._file.with_suffix(".new")
        try:
            with new.open("w", encoding="ascii") as writing:
                json.dump(everything, writing)
                writing.flush()
                os.fsync(writing.fileno())
            new.replace(self._file)
        except OSError as error:
            raise JournalFailed(f"{self._file} cannot be written: {error}") from error

    def _read(self) -> dict[str, tuple[str, int]]:
        try:
            if not self._file.exists():
                return {}
            found = json.loads(self._file.read_text(encoding="ascii"))
            return {str(name): (str(group), int(term)) for name, (group, term) in found.items()}
        except (OSError, ValueError, TypeError, AttributeError) as error:
            raise JournalFailed(f"{self._file} cannot be used: {error}") from error
