"""What can be asked of the world: a verb of one host and one action each.

Effects are data. Whoever performs one answers exactly once, within its deadline, with
a result of `failoverd.core.events`. Every effect looks before it acts, so that asking
again after a crash does no harm.
"""

from __future__ import annotations

import enum
from dataclasses import dataclass

from failoverd.core.model import (
    Epoch,
    FenceProof,
    Lsn,
    NodeName,
    SavedSettings,
    Timeline,
    WalEnd,
)
from failoverd.core.policy import TargetName
from failoverd.core.replication import Slot


class StopMode(enum.StrEnum):
    """How hard a fence may stop a server; each mode has its own last look."""

    DEAD_ONLY = "dead_only"
    """Only what a dead postmaster left behind; refuses if a postmaster runs."""
    IMMEDIATE = "immediate"
    """Refuses if the server answers SQL; else SIGQUIT, then SIGKILL."""
    FAST = "fast"
    """A server that may well answer: a clean `fast` stop first, whatever the last look says."""


@dataclass(frozen=True, slots=True)
class Fence:
    """Guard the data directory, stop the server, and prove that no process is left."""

    node: NodeName
    mode: StopMode
    epoch: Epoch
    attempt: int = 0
    wal_from: Lsn | None = None
    """Of the standby that would take over: the true end of the WAL is told with the answer."""


@dataclass(frozen=True, slots=True)
class ReadSettings:
    """Read what a freeze would overwrite, so that it is journaled before it is changed."""

    node: NodeName
    epoch: Epoch


@dataclass(frozen=True, slots=True)
class Freeze:
    """Detach a standby from its upstream, so that its position stands still."""

    node: NodeName
    epoch: Epoch
    saved: SavedSettings


@dataclass(frozen=True, slots=True)
class Thaw:
    """Put back what the freeze changed."""

    node: NodeName
    epoch: Epoch
    saved: SavedSettings
    attempt: int = 0


@dataclass(frozen=True, slots=True)
class Salvage:
    """Bring WAL that the candidate lacks from a disk; it must then end where it does there."""

    primary: NodeName
    """Whose commits are to be saved."""
    candidate: NodeName
    source: NodeName | None = None
    """Whose disk is read: the fenced primary's, or that of a standby which has received more."""
    position: Lsn | None = None
    """Up to where the candidate has received."""
    timeline: Timeline = Timeline(0)
    epoch: Epoch = Epoch(0)
    known_end: WalEnd | None = None
    """Of the source, where it was read already: whoever is fenced writes no more."""
    attempt: int = 0


@dataclass(frozen=True, slots=True)
class MeasureLoss:
    """Read the old primary's disk, to tell what an earlier failover has lost."""

    node: NodeName
    incident: Epoch
    timeline: Timeline
    switch_point: Lsn
    attempt: int = 0


@dataclass(frozen=True, slots=True)
class Promote:
    """Promote a frozen standby, guarded by identity, position, role and epoch."""

    candidate: NodeName
    proof: FenceProof
    position: Lsn
    epoch: Epoch
    synchronous: str | None = None
    """What synchronous_standby_names is set to before it is asked; None: it stays as it is."""


@dataclass(frozen=True, slots=True)
class Confirm:
    """See that the candidate is the primary: identity, a higher timeline, a committed write."""

    candidate: NodeName
    old_timeline: Timeline


@dataclass(frozen=True, slots=True)
class Redirect:
    """Lead one way of the applications to the primary; what leads there is left alone."""

    primary: NodeName
    target: TargetName = TargetName("")
    """Empty: nothing is configured, which is said."""
    epoch: Epoch = Epoch(0)
    attempt: int = 0


@dataclass(frozen=True, slots=True)
class CloseTarget:
    """Let no application reach a primary by this way, until a `Redirect` opens it again.

    HAProxy refuses and ends sessions; PgBouncer makes clients wait for the end of their
    transactions and keeps them.
    """

    primary: NodeName
    target: TargetName
    epoch: Epoch


@dataclass(frozen=True, slots=True)
class Unguard:
    """Take our guard back from a data directory; the server there is left as it is."""

    node: NodeName
    epoch: Epoch
    attempt: int = 0


@dataclass(frozen=True, slots=True)
class Unfence:
    """Take the guard back and start the old primary read-write: a promotion of its own kind."""

    node: NodeName
    epoch: Epoch


@dataclass(frozen=True, slots=True)
class Quarantine:
    """Guard and stop a node that was fenced without a guard: the first contact with its host."""

    node: NodeName
    epoch: Epoch
    attempt: int = 0


@dataclass(frozen=True, slots=True)
class Repoint:
    """Tell a standby whom to follow now, with its slot made on its upstream first.

    Answered as soon as it was told: whether it streams then is seen, not waited for.
    """

    node: NodeName
    upstream: NodeName
    epoch: Epoch
    saved: SavedSettings | None
    """Its settings from before it was frozen; None: it is not frozen."""
    attempt: int = 0


@dataclass(frozen=True, slots=True)
class SetSynchronous:
    """Which standbys a commit on the primary waits for (`synchronous: managed`)."""

    node: NodeName
    names: str
    epoch: Epoch
    attempt: int = 0


@dataclass(frozen=True, slots=True)
class Retire:
    """Stop a standby that was asked to promote and did not: only then may another be asked."""

    node: NodeName
    epoch: Epoch
    timeline: Timeline
    """Its disk must show no later one: then its promotion was done."""
    attempt: int = 0


@dataclass(frozen=True, slots=True)
class Rejoin:
    """One step on the way back of a fenced node, or a look at how far it is; it takes minutes."""

    node: NodeName
    primary: NodeName
    epoch: Epoch
    begun: bool = False
    """It was started, and what is found there belongs to this attempt."""
    attempt: int = 0
    copied: bool = False
    """By a copy alone: it wrote on a timeline of the same number as the primary's."""


@dataclass(frozen=True, slots=True)
class Equip:
    """What a new primary needs beside its role: slots for those that had one, a checkpoint."""

    node: NodeName
    epoch: Epoch
    slots: tuple[Slot, ...]
    """Of the old primary, as they were last seen there."""
    attempt: int = 0


@dataclass(frozen=True, slots=True)
class ArmDeadMan:
    """Have the primary's host end its server once nobody renews it and no standby answers."""

    node: NodeName
    epoch: Epoch
    standbys: frozenset[NodeName]
    ttl_s: float
    number: int


@dataclass(frozen=True, slots=True)
class DisarmDeadMan:
    """Whatever is armed there is armed no more."""

    node: NodeName
    epoch: Epoch
    number: int


@dataclass(frozen=True, slots=True)
class KeepDown:
    """Stop what runs under our guard by its service, and keep that from starting it again."""

    node: NodeName
    epoch: Epoch
    attempt: int = 0


@dataclass(frozen=True, slots=True)
class MeasureDivergence:
    """Count what a stale node has written that another has not. Changes nothing."""

    node: NodeName
    against: NodeName
    timeline: Timeline
    against_timeline: Timeline
    attempt: int = 0


@dataclass(frozen=True, slots=True)
class Checkpoint:
    """Before a clean stop, so that the stop is short. May take minutes; nothing waits for it."""

    node: NodeName
    epoch: Epoch


Effect = (
    Fence
    | ReadSettings
    | Freeze
    | Thaw
    | Salvage
    | MeasureLoss
    | Promote
    | Confirm
    | Redirect
    | CloseTarget
    | Unguard
    | Unfence
    | Quarantine
    | Repoint
    | Equip
    | Retire
    | SetSynchronous
    | ArmDeadMan
    | DisarmDeadMan
    | KeepDown
    | MeasureDivergence
    | Rejoin
    | Checkpoint
)


def node_of(effect: Effect) -> NodeName:
    """The one node that an effect acts on."""
    match effect:
        case Promote(candidate=node) | Confirm(candidate=node) | Salvage(candidate=node):
            return node
        case Redirect(primary=node) | CloseTarget(primary=node):
            return node
        case _:
            return effect.node
