"""Which of several daemons may act, and until when: the rule alone, by time and by term.

A lease is what a store of the daemons' own keeps for one of them at a time. Its holder counts it
from before it asked for it, and stops before it ends: by then whatever it has begun has expired on
its target, too, so that the next holder meets no act of the last one. Each holder has a term of its
own, which grows; hosts order acts by epoch first and by term within it, so that an incident is
taken up under its own number, and whoever held it before is refused from then on.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import NewType

from failoverd.core.model import FROZEN_SLOT, DaemonReport, Epoch, Instant

Term = NewType("Term", int)
"""Of one holding of the leadership; higher than that of each holding before. 0: there is none."""

ACTS_EXPIRE_S = 2.0
"""An act that was sent may still be begun on its target for so long after the look before it."""
BEAT_S = 1.0
"""Between two renewals of a lease, and between two looks at who leads."""
SHORTEST_TTL_S = ACTS_EXPIRE_S + 2 * BEAT_S
"""Of a lease: a renewal may be lost, and the next one is still in time."""


@dataclass(frozen=True, slots=True)
class Lease:
    """Held by this daemon, as far as it knows."""

    term: Term
    renewed_at: Instant
    """When the last renewal that was granted was *sent*, by a clock that goes on in sleep."""
    ttl_s: float

    @property
    def acts_until(self) -> Instant:
        """Before anybody else can hold it, by as much as an act may be late."""
        return Instant(self.renewed_at + self.ttl_s - ACTS_EXPIRE_S)


def may_act(lease: Lease | None, now: Instant) -> bool:
    """Asked before each act, and not once for several. Unknown is not held."""
    return lease is not None and now < lease.acts_until


BLIND_FOR_S = 5.0
"""Then a daemon that reaches nothing, or cannot journal, leaves the leadership to one that can."""


def leaves_it(blind_since: Instant | None, others: Iterable[DaemonReport], now: Instant) -> bool:
    """To one of the others, as it says itself just now. Whoever is blind acts on nothing anyway."""
    if blind_since is None or now - blind_since < BLIND_FOR_S:
        return False
    return any(not one.blind and one.looked_at >= now - BLIND_FOR_S for one in others)


def owner(group: str, term: Term) -> str:
    """What a daemon calls itself on the hosts.

    A group is one daemon alone (term 0), or all that share a store. Made of `[0-9A-Za-z]`.
    """
    return f"{group}.{term}" if term else group


def parted(name: str) -> tuple[str, Term]:
    """The group and the term of an owner."""
    group, _, term = name.partition(".")
    return group, Term(int(term)) if term.isdecimal() else Term(0)


def admits(seen: tuple[Epoch, str], asked: tuple[Epoch, str]) -> bool:
    """Whether a host that has acted for `seen` acts for `asked`: what `take_epoch` does there.

    Each an epoch and its owner; an empty owner is nobody's. A later epoch is anybody's; the same
    one is its owner's, and that of a later term of the same group.
    """
    (seen_epoch, seen_owner), (epoch, name) = seen, asked
    if epoch != seen_epoch:
        return epoch > seen_epoch
    if seen_owner in ("", name):
        return True
    (seen_group, seen_term), (group, term) = parted(seen_owner), parted(name)
    return group == seen_group and term > seen_term


def frozen_slot(epoch: Epoch, name: str) -> str:
    """The mark of a standby that was frozen by this owner; a guarded promotion asks for it."""
    _, term = parted(name)
    return f"{FROZEN_SLOT}{epoch}_{term}" if term else f"{FROZEN_SLOT}{epoch}"
