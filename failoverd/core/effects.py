"""What can be asked of the world: a verb of one host and one action each.

Effects are data. Whoever performs one answers exactly once, within its deadline, with
a result of `failoverd.core.events`. Every effect looks before it acts, so that asking
again after a crash does no harm.
"""

from __future__ import annotations

import enum
from dataclasses import dataclass

from failoverd.core.model import Epoch, FenceProof, Lsn, NodeName, SavedSettings, Timeline


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
    """Bring WAL that the candidate lacks from the fenced primary's disk."""

    primary: NodeName
    candidate: NodeName


@dataclass(frozen=True, slots=True)
class Promote:
    """Promote a frozen standby, guarded by identity, position, role and epoch."""

    candidate: NodeName
    proof: FenceProof
    position: Lsn
    epoch: Epoch


@dataclass(frozen=True, slots=True)
class Confirm:
    """See that the candidate is the primary: identity, a higher timeline, a committed write."""

    candidate: NodeName
    old_timeline: Timeline


@dataclass(frozen=True, slots=True)
class Redirect:
    """Send the applications to the confirmed primary."""

    primary: NodeName


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


Effect = (
    Fence
    | ReadSettings
    | Freeze
    | Thaw
    | Salvage
    | Promote
    | Confirm
    | Redirect
    | Unguard
    | Unfence
)


def node_of(effect: Effect) -> NodeName:
    """The one node that an effect acts on."""
    match effect:
        case Promote(candidate=node) | Confirm(candidate=node) | Salvage(candidate=node):
            return node
        case Redirect(primary=node):
            return node
        case _:
            return effect.node
