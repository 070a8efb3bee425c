"""Since when a standby's replay stands still, and how fast it goes where it does not."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from failoverd.core.lsn import Lsn
from failoverd.core.model import Instant, NodeName, NodeReport, ServerFacts

MIB = 1024 * 1024


@dataclass(frozen=True, slots=True)
class Replay:
    position: Lsn
    since: Instant
    """When this position was first seen."""
    seen_at: Instant
    restarted: bool = False
    """Since its start it has had no receiver: what it replays is what its own disk holds."""
    rate: float = 0.0
    """Bytes a second, between the last two looks in which it moved."""


def replaying(known: Mapping[NodeName, Replay], report: NodeReport) -> Mapping[NodeName, Replay]:
    """With what one report says of a standby's replay."""
    server = report.server
    if server is None or not server.in_recovery or server.replayed_lsn is None:
        return known
    before = known.get(report.name)
    if before is not None and server.seen_at <= before.seen_at:
        return known
    restarted = server.position_unknown
    same = before is not None and server.replayed_lsn == before.position
    if before is None or not same or restarted != before.restarted:
        seconds = 0.0 if before is None else server.seen_at - before.seen_at
        moved = 0 if before is None else max(0, server.replayed_lsn - before.position)
        rate = moved / seconds if seconds > 0 else 0.0
        found = Replay(server.replayed_lsn, server.seen_at, server.seen_at, restarted, rate)
    else:
        found = Replay(before.position, before.since, server.seen_at, restarted, before.rate)
    return {**known, report.name: found}


def backlog_bytes(server: ServerFacts | None) -> int:
    """Received and not replayed yet: what a promotion has to replay first."""
    if server is None or server.received_lsn is None or server.replayed_lsn is None:
        return 0
    return max(0, server.received_lsn - server.replayed_lsn)


def backlog_sentence(server: ServerFacts | None, replay: Replay | None) -> str:
    """What is left, and about how long it takes; empty where nothing to speak of is left."""
    left = backlog_bytes(server)
    if left < MIB:
        return ""
    if replay is None or replay.rate <= 0:
        return f"{left} bytes are still to be replayed, at an unknown rate"
    seconds = left / replay.rate
    return f"{left} bytes are still to be replayed, about {seconds:.0f} s at its last rate"
