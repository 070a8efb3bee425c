"""Where two primaries of one origin parted, and what only one of them holds.

A lineage is what a timeline history file says: the timelines that a server came
through, oldest first, each with the position where it was left; the last, its own, goes
on. Source: PostgreSQL, "Timelines"; src/backend/access/transam/timeline.c.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from failoverd.core.lsn import Lsn
from failoverd.core.model import Instant, NodeName, Timeline


@dataclass(frozen=True, slots=True)
class Branch:
    """WAL of one timeline, from `start` on; `until` None: to its end."""

    timeline: Timeline
    start: Lsn
    until: Lsn | None


Lineage = Sequence[tuple[Timeline, Lsn | None]]


@dataclass(frozen=True, slots=True)
class Divergence:
    """What `node` has written and `against` has not, as its own disk shows it."""

    node: NodeName
    against: NodeName
    timeline: Timeline
    """On which it wrote last."""
    fork: Lsn
    commits: int
    wal_bytes: int
    complete: bool
    """False: WAL was removed, or there was too much of it in the time: it is at least so much."""
    running: bool
    """It took writes when this was counted: there may be more by now."""
    commands: tuple[str, ...]
    """What shows them, to be run on its host as the owner of the data directory."""
    first_commit: str = ""
    last_commit: str = ""
    """By its own clock, as pg_waldump prints it; empty: none."""

    @property
    def sentence(self) -> str:
        least = "" if self.complete else "at least "
        when = f" (the last at {self.last_commit})" if self.last_commit else ""
        more = ", and it still takes writes" if self.running else ""
        return (
            f"{self.node} has {least}{self.commits} transactions{when} and {least}"
            f"{self.wal_bytes} bytes of WAL that {self.against} has not: they parted at"
            f" {self.fork} of timeline {self.timeline}{more}"
        )


@dataclass(frozen=True, slots=True)
class Counted:
    """What is known of one stale node; counted again once it takes no more writes."""

    divergence: Divergence | None = None
    at: Instant = Instant(0.0)
    """When it was last counted, or tried; a look from before says nothing of after."""
    attempt: int = 0
    retry_at: Instant | None = None


def lineage(own: Timeline, parents: Sequence[tuple[Timeline, Lsn]]) -> Lineage:
    return (*parents, (own, None))


def fork_point(one: Lineage, other: Lineage) -> Lsn | None:
    """The last position that both came through; None where nothing tells it.

    Two servers that both write on the same timeline parted where it began, at the latest.
    """
    point: Lsn | None = None
    for (timeline, left), (same, left_too) in zip(one, other, strict=False):
        if timeline != same:
            return point
        if left is None or left_too is None or left != left_too:
            ends = [end for end in (left, left_too) if end is not None]
            return min(ends) if ends else point
        point = left
    return point


def branches(stale: Lineage, fork: Lsn) -> tuple[Branch, ...]:
    """The WAL of a lineage that lies beyond the fork, timeline by timeline."""
    found: list[Branch] = []
    began = Lsn(0)
    for timeline, left in stale:
        if left is None or left > fork:
            found.append(Branch(timeline, max(began, fork), left))
        began = began if left is None else left
    return tuple(found)
