"""What synchronous replication has promised of the commits that were acknowledged.

A promise holds once its names are seen in force *and* enough of those standbys have flushed
past where the primary stood at that moment: what was acknowledged before is on them, too.
Source: PostgreSQL documentation, "Synchronous Replication", "pg_stat_replication".
"""

from __future__ import annotations

from dataclasses import dataclass, replace

from failoverd.core.lsn import Lsn
from failoverd.core.replication import Sender
from failoverd.core.synchronous import Requirement, parse

SYNCHRONOUS = frozenset({"sync", "quorum"})


@dataclass(frozen=True, slots=True)
class Promise:
    """What synchronous replication promised, as the primary last said it."""

    standby_names: str
    synchronous: frozenset[str]
    """Application names that were sync or quorum members when last seen."""
    in_force: bool = False
    """Enough of the standbys have flushed past `since`: every acknowledged commit is promised."""
    earlier: Promise | None = None
    """The one that was in force before, and holds until this one is."""
    since: Lsn | None = None
    """Where the primary's WAL ended when these names were first seen there."""
    pending: str = ""
    """Names that are being set, and that may be in force before they are seen there."""
    void: bool = False
    """It was written down that it is to be lowered: it neither binds nor excuses any more."""

    @property
    def kept(self) -> Promise | None:
        """What every acknowledged commit was promised by, as far as anybody saw it in force."""
        return self if self.in_force else self.earlier


def promised(
    known: Promise | None, names: str, senders: tuple[Sender, ...], written: Lsn | None
) -> Promise | None:
    """What is promised now, by what the primary says; None: nothing."""
    requirement = parse(names)
    if requirement is None:
        return None
    synchronous = frozenset(s.application_name for s in senders if s.sync_state in SYNCHRONOUS)
    if known is None or known.standby_names != names:
        earlier = None if known is None or known.void else known.kept
        known = Promise(names, synchronous, earlier=earlier, since=written)
    if known.void:
        return known
    if known.in_force:
        # Where commits wait for a standby that is gone, what was acknowledged is where it was.
        told = synchronous and synchronous != known.synchronous
        return replace(known, synchronous=synchronous) if told else known
    if _flushed(requirement, senders, known.since) < requirement.count:
        return known
    return Promise(names, synchronous, in_force=True, since=known.since)


def voided(promise: Promise | None) -> Promise | None:
    """Before it is lowered: what it promised cannot be relied on from now on."""
    return None if promise is None else replace(promise, void=True, earlier=None, pending="")


def _flushed(requirement: Requirement, senders: tuple[Sender, ...], since: Lsn | None) -> int:
    """How many of the standbys that are waited for have everything from before this promise."""
    return sum(
        sender.sync_state in SYNCHRONOUS
        and requirement.covers(sender.application_name)
        and sender.flush_lsn is not None
        and (since is None or sender.flush_lsn >= since)
        for sender in senders
    )
