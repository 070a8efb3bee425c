"""What is known of the renewals of one dead-man: what was sent, and what was acknowledged.

Whoever renews (daemon/renewals.py) keeps it in memory alone: another process has to arm anew.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

from failoverd.core.dead_man import Arming, DeadMan, Phase, Reading


@dataclass(frozen=True, slots=True)
class Kept:
    """An arming of this process, with what was sent for it and what was acknowledged."""

    arming: Arming
    dead_man: DeadMan
    latest: Reading
    """What the next renewal claims to be as old as."""


def kept_of(kept: Kept | None, arming: Arming | None) -> Kept | None:
    """What is known of that arming, its own first renewal; None: it is not acknowledged."""
    if arming is None or not arming.name or arming.armed_for is None or arming.reading is None:
        return None
    if kept is not None and kept.arming.name == arming.name:
        return kept
    first = arming.reading
    dead_man = DeadMan(
        arming.armed_for, arming.standbys, first.answered_at, first.asked_at, arming.ttl_s
    )
    return Kept(arming, dead_man, first)


def counted_on(kept: Kept | None, arming: Arming | None) -> DeadMan | None:
    """What an expiry may be proved by: armed, by this process, neither disarmed nor lost since."""
    if arming is None or arming.phase is not Phase.ARMED:
        return None
    found = kept_of(kept, arming)
    return None if found is None else found.dead_man


def sent(kept: Kept) -> Kept:
    """Whether it arrives or not, the TTL may count from what it claims."""
    latest = max(kept.dead_man.sent_at, kept.latest.answered_at)
    return replace(kept, dead_man=replace(kept.dead_man, sent_at=latest))


def acknowledged(kept: Kept, claimed: Reading, latest: Reading) -> Kept:
    """That renewal, which claimed to be as old as `claimed`, was answered by `latest`."""
    at = max(kept.dead_man.acknowledged_at, claimed.asked_at)
    return replace(kept, dead_man=replace(kept.dead_man, acknowledged_at=at), latest=latest)
