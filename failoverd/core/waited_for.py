"""A change of synchronous_standby_names that was decided, and is not seen in force yet."""

from __future__ import annotations

from dataclasses import dataclass

from failoverd.core.lsn import Lsn
from failoverd.core.model import Instant


@dataclass(frozen=True, slots=True)
class Keeping:
    """Whether a standby keeps up, by what the primary says it has flushed."""

    flushed: Lsn | None
    seen_at: Instant
    away_since: Instant | None
    """None: it had everything, or more than a look before."""


@dataclass(frozen=True, slots=True)
class SyncChange:
    names: str
    lowers: bool
    """Written down before it was asked for: the promise of before is void."""
    attempt: int = 0
    retry_at: Instant | None = None
