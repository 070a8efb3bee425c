"""The only place that reads a clock."""

from __future__ import annotations

import time

from failoverd.core.events import Now
from failoverd.core.model import Instant, WallTime


def monotonic() -> Instant:
    """Seconds that only grow; comparable within this boot of this host alone."""
    return Instant(time.monotonic())


def boottime() -> Instant:
    """Seconds since boot, those included in which this machine slept. Source: clock_gettime(2)."""
    return Instant(time.clock_gettime(time.CLOCK_BOOTTIME))


def wall() -> WallTime:
    """Seconds since 1970, for people and for the cooldown."""
    return WallTime(time.time())


def now() -> Now:
    return Now(monotonic(), wall())
