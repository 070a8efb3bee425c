"""How late our own event loop is: a poll that was late by our own fault is no evidence."""

from __future__ import annotations

import asyncio
from collections import deque

from failoverd.core.model import Instant
from failoverd.daemon.clock import monotonic

TICK_S = 0.05
REMEMBERED = 2400


class LoopLag:
    """A ticker; whatever it is late by, everything else on the loop was late by, too."""

    def __init__(self) -> None:
        self._expected = Instant(monotonic() + TICK_S)
        self._seen: deque[tuple[Instant, float]] = deque(maxlen=REMEMBERED)

    async def run(self) -> None:
        while True:
            self._expected = Instant(monotonic() + TICK_S)
            await asyncio.sleep(TICK_S)
            self._note(self._expected)

    def worst_since(self, began: Instant) -> float:
        """Seconds; also a stall that is only now coming to an end is counted."""
        overdue = max(0.0, monotonic() - self._expected)
        return max(overdue, max((lag for at, lag in self._seen if at >= began), default=0.0))

    def _note(self, expected: Instant) -> None:
        moment = monotonic()
        self._seen.append((moment, max(0.0, moment - expected)))
