"""When silence proves that the dead-man on the primary's host has fired: fence `dead_man_expired`.

The dead-man ends its server when nobody renews it for its TTL and no named standby answers it
(host_program/watcher.sh). What proves that it has: every named standby is reachable and frozen
by us, so that none has answered since, and enough time has passed for it to ask and to kill.

Two renewals matter, and they may differ. One that was sent may have arrived, whether or not it
was acknowledged: the TTL counts from the last one *sent*. One that was sent may not have arrived:
the time until the dead-man disarms itself counts from the last one *acknowledged*. A renewal
claims to be as old as the last answer of its host (`Reading`), and no younger: what is sent to a
host that does not answer any more, however often and however late it arrives, prolongs nothing.

Every instant here is of a clock that goes on while this machine sleeps (CLOCK_BOOTTIME): by one
that stands still, 50 s since a renewal may have been an hour.
"""

from __future__ import annotations

import enum
from collections.abc import Mapping
from dataclasses import dataclass

from failoverd.core.model import Epoch, Instant, NodeName

TTL_S = 5.0
HOLD_S = 60.0
"""It disarms itself that long after the last renewal, so that a dead daemon takes nothing down."""
HOLD_MARGIN_S = 10.0
FIRES_WITHIN_S = 3.0
"""Asking 1 s, killing 1 s, margin 1 s."""
ASKS_BYTES_S = 1024.0
"""WAL that its questions add to what applications write: five a second, of 100 to 200 bytes."""
FIRED = "fired"
"""What a host says of it, once it has ended its server."""
SHORTEST_TTL_S = 3.0
"""A renewal is up to two seconds old by its own word before the next one comes."""
LONGEST_TTL_S = 30.0
"""Beyond it there is hardly a moment left between its firing and its disarming itself."""


@dataclass(frozen=True, slots=True)
class ArmedFor:
    """The one life of the one server that a dead-man is armed for."""

    boot_id: str
    postmaster_pid: int
    postmaster_started: str


@dataclass(frozen=True, slots=True)
class DeadMan:
    """A dead-man whose arming the host acknowledged to this daemon process."""

    armed_for: ArmedFor
    standbys: frozenset[NodeName]
    """Any of them keeps it from firing by its answer."""
    sent_at: Instant
    """The latest that any renewal may claim, whatever became of it; the arming is the first."""
    acknowledged_at: Instant
    """The earliest that the last renewal which was acknowledged may claim."""
    ttl_s: float = TTL_S
    hold_s: float = HOLD_S


@dataclass(frozen=True, slots=True)
class Window:
    """`dead_man_expired` is provable after `begin` and before `end`, both excluded."""

    begin: Instant
    end: Instant

    def holds(self, now: Instant) -> bool:
        return self.begin < now < self.end

    def opens(self, now: Instant) -> Instant | None:
        """From which instant on it is provable; None: never, unless it is renewed again."""
        return max(self.begin, now) if self.begin < self.end and now < self.end else None


def window(
    dead_man: DeadMan | None,
    last_seen: ArmedFor | None,
    frozen: Mapping[NodeName, Instant],
) -> Window | None:
    """When the expiry is provable, as things stand; None: as they stand, never.

    `last_seen`: the life of the primary's server that was last seen. `frozen`: the standbys that
    are reachable and frozen by us, each with the instant of the look that last confirmed it.
    """
    if dead_man is None or last_seen is None or dead_man.armed_for != last_seen:
        return None
    if not dead_man.standbys or not dead_man.standbys <= frozen.keys():
        return None
    frozen_at = max(frozen[name] for name in dead_man.standbys)
    silent_from = max(dead_man.sent_at + dead_man.ttl_s, frozen_at)
    ends = dead_man.acknowledged_at + dead_man.hold_s - HOLD_MARGIN_S
    return Window(Instant(silent_from + FIRES_WITHIN_S), Instant(ends))


def sent_by_host_clock(uptime_s: float, answered_at: Instant, now: Instant) -> int:
    """What a renewal sent now says of its own age: centiseconds of the host's clock.

    `uptime_s` is what the host's last answer said, which had arrived at `answered_at`: the host
    read it before that, so this is never later than its clock says now. A renewal that is held up
    on its way does not keep the dead-man waiting for longer than we count on.
    """
    return int((uptime_s + max(0.0, now - answered_at)) * 100)


# What is armed, as the machine knows it.


@dataclass(frozen=True, slots=True)
class Reading:
    """A host's own clock, read there after `asked_at` and before `answered_at`."""

    boot_id: str
    uptime_s: float
    asked_at: Instant
    answered_at: Instant


class Phase(enum.StrEnum):
    """How far an arming has come."""

    ASKED = "asked"
    """Asked for, now or by an earlier daemon process; whether it watches nobody here knows."""
    ARMED = "armed"
    """Its host acknowledged it to this process: it is renewed, and its expiry would be a proof."""
    LOST = "lost"
    """It is no proof any more; whether it still watches nobody here knows."""
    DISARMING = "disarming"


@dataclass(frozen=True, slots=True)
class Arming:
    """The dead-man of one node: journaled before it is asked for, and until it is known gone."""

    node: NodeName
    standbys: frozenset[NodeName]
    ttl_s: float
    epoch: Epoch
    phase: Phase
    number: int
    """Grows with each time that something is asked of it, so that it is asked for anew."""
    failed: int = 0
    """How often in a row that failed."""
    retry_at: Instant | None = None
    why: str = ""
    """Of what failed last, of its loss, or of its disarming."""
    name: str = ""
    """By which its host knows it."""
    armed_for: ArmedFor | None = None
    reading: Reading | None = None
    """Which the arming itself claimed, as the first renewal."""
