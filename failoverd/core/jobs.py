"""What is owed to one node: retried until it is done, beside whatever state the cluster is in."""

from __future__ import annotations

import enum
from dataclasses import dataclass

from failoverd.core.model import Epoch, FenceProof, Instant, NodeName, ProofKind, Timeline


class Job(enum.StrEnum):
    """What is owed to one node; it may take hours, so it is no state of the cluster."""

    OWED_UNGUARD = "owed_unguard"
    OWED_FENCE = "owed_fence"
    """An operator asked for its fence."""
    OWED_GUARD = "owed_guard"
    """Fenced without a guard (its host was off): guarded and stopped at the first contact."""
    QUARANTINED = "quarantined"
    """Fenced and superseded; it must not come back as a primary."""
    SUPERSEDED = "superseded"
    """It was a primary, another has taken its place, and nobody has fenced it."""
    REJOINING = "rejoining"
    """On its way back as a standby; it starts as one or not at all."""
    DETACHED = "frozen"
    """As older journals have it: frozen, and not yet told whom to follow."""
    REPOINTING = "repointing"
    """A standby that must follow the present primary, and is not seen to do so yet."""
    DIVERGED = "diverged"
    """A standby that is ahead of where the new timeline forked off, or whose WAL the new primary
    does not have any more: it must be rewound, or copied anew."""
    EQUIPPING = "equipping"
    """The new primary: the old one's slots are to be made there, and a checkpoint asked for."""
    OWED_THAW = "owed_thaw"
    """What a freeze changed could not be put back yet."""


KEPT_OUT = frozenset({Job.OWED_FENCE, Job.OWED_GUARD, Job.QUARANTINED, Job.REJOINING})
RECORDED = KEPT_OUT | {Job.SUPERSEDED}
"""Of these nodes the journal says that their writes count no more."""
TO_FOLLOW = frozenset({Job.DETACHED, Job.REPOINTING, Job.DIVERGED})
"""Frozen or misled, and to follow the present primary: never thawed to what it had before."""


@dataclass(frozen=True, slots=True)
class NodeJob:
    """One shape for every duty: all are retried, told, shown and journaled alike.

    What one duty alone makes use of stands at its default in the others.
    """

    job: Job
    epoch: Epoch
    attempt: int = 0
    retry_at: Instant | None = None
    told: bool = False
    """It was done as far as it can be; what is left is to see that it worked."""
    keep_down_at: Instant | None = None
    """When a service that could not be told to stay down is told again."""
    timeline: Timeline = Timeline(0)
    """On which it was superseded."""
    begun: bool = False
    """What does it was started on its host."""
    failures: int = 0
    """Ways back that were tried and came to nothing."""
    rejoin_at: Instant | None = None
    """When it is to come back by itself."""
    said: str = ""
    """How far it is, or why it failed."""


def asked_in_vain(node: NodeName) -> str:
    """Of a standby that we have stopped since it did not promote: it stays down for somebody."""
    return (
        f"{node} was asked to promote, did not, and was stopped: read its log, then bring it back:"
        f" failoverd rejoin {node}"
    )


def start_by_hand(primary: NodeName) -> str:
    """Of an old primary that we have stopped and cannot start again."""
    return f"its log says what keeps it from starting; then failoverd unfence {primary}"


def kept_out_by(proof: FenceProof | None) -> Job:
    """Only the proof `stopped` leaves a guard behind."""
    stopped = proof is not None and proof.kind is ProofKind.STOPPED
    return Job.QUARANTINED if stopped else Job.OWED_GUARD
