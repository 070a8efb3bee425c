"""When what has failed is asked again."""

from __future__ import annotations

from failoverd.core.events import Now
from failoverd.core.model import Instant

LONGEST_DOUBLING = 10


def in_seconds(now: Now, seconds: float) -> Instant:
    return Instant(now.monotonic + seconds)


def backed_off(now: Now, attempt: int, first_s: float, longest_s: float) -> Instant:
    """After `first_s`, doubled with each attempt, `longest_s` at most."""
    return in_seconds(now, min(longest_s, first_s * 2 ** min(attempt, LONGEST_DOUBLING)))


def is_due(at: Instant | None, now: Now) -> bool:
    """It was put off, and its time has come."""
    return at is not None and at <= now.monotonic
