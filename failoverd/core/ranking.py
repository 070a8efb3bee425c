"""In which order standbys that could take over are asked: the same way every time.

The furthest comes first, since it holds the most acknowledged commits. Between equals: who was
promised the commits, who has less left to replay (in steps of 16 MB: a few bytes decide
nothing), who streamed from the primary itself, the higher priority, and at last the name.
Whoever is delayed on purpose comes after all others, wherever it stands: it is the undo copy.
"""

from __future__ import annotations

from dataclasses import dataclass

from failoverd.core.lsn import Lsn
from failoverd.core.memory import Memory
from failoverd.core.model import NodeName, ServerFacts
from failoverd.core.policy import Policy

BACKLOG_STEP_BYTES = 16 * 1024 * 1024


@dataclass(frozen=True, slots=True)
class Standing:
    name: NodeName
    position: Lsn
    delayed: bool
    promised: bool
    """Among those whom synchronous replication promised every commit; or nobody was."""
    backlog_bytes: int
    """Received and not replayed: a promotion replays it first."""
    cascades: bool
    priority: int

    @property
    def key(self) -> tuple[bool, int, bool, int, bool, int, NodeName]:
        return (
            self.delayed,
            -self.position.bytes,
            not self.promised,
            self.backlog_bytes // BACKLOG_STEP_BYTES,
            self.cascades,
            -self.priority,
            self.name,
        )


def standing(
    name: NodeName,
    position: Lsn,
    server: ServerFacts | None,
    memory: Memory,
    policy: Policy,
    promised: frozenset[NodeName],
) -> Standing:
    replayed = None if server is None else server.replayed_lsn
    return Standing(
        name=name,
        position=position,
        delayed=server is not None and server.apply_delay_ms > 0,
        promised=not promised or name in promised,
        backlog_bytes=0 if replayed is None else max(0, position - replayed),
        cascades=name in memory.upstreams,
        priority=policy.nodes[name].priority,
    )


def why_not(other: Standing, first: Standing) -> str:
    """Why this one comes after the one that was chosen."""
    if other.delayed and not first.delayed:
        return "is delayed on purpose (recovery_min_apply_delay)"
    if other.position < first.position:
        return f"behind {first.name}"
    reasons = {
        "was promised the commits": first.promised and not other.promised,
        "has less left to replay": first.key[3] < other.key[3],
        "streamed from the primary itself": other.cascades and not first.cascades,
        "has the higher priority": first.priority > other.priority,
    }
    why = next((reason for reason, holds in reasons.items() if holds), "comes first by name")
    return f"no further than {first.name}, which {why}"
