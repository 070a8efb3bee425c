"""What salvage, and the reading of the WAL on a disk, may answer."""

from __future__ import annotations

from dataclasses import dataclass

from failoverd.core.model import Evidence, WalEnd, WalLoss


@dataclass(frozen=True, slots=True)
class Salvaged:
    """The candidate's WAL ends where the source's does, or beyond it."""

    loss: WalLoss
    """What is lost against the source: nothing."""
    evidence: Evidence
    end: WalEnd | None = None
    """Of the source, and now of the candidate, too."""
    carried_bytes: int = 0


@dataclass(frozen=True, slots=True)
class NotSalvaged:
    """The candidate still lacks something, or nobody knows whether it does."""

    evidence: Evidence
    end: WalEnd | None = None
    """Of the source, where it could be read: what is lost is known then."""
    may_retry: bool = False
    """It was cut off in the middle: what has arrived is there, and the rest may follow."""


@dataclass(frozen=True, slots=True)
class LossMeasured:
    """Of an earlier failover, by the old primary's own disk."""

    loss: WalLoss
    evidence: Evidence
