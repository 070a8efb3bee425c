"""How late our own event loop is: a poll that was late by our own fault is no evidence."""

from __future__ import annotations

import asyncio
from collections import deque

from failoverd.core.model import Instant
from failoverd.daemon.clock import monotonic

TICK_S = 0.05
REMEMBERED_S = 120.0


class LoopLag:
    """A ticker; whatever it is late by, everything else on the loop was late by, too."""

    def __init__(self) -> None:
        self._expected = Instant(monotonic() + TICK_S)
        self._worst: deque[tuple[Instant, float]] = deque()
        """Oldest first, and each worse than all that came after it."""

    async def run(self) -> None:
        while True:
            self._expected = Instant(monotonic() + TICK_S)
            await asyncio.sleep(TICK_S)
            self._note(self._expected)

    def worst_since(self, began: Instant) -> float:
        """Seconds; also a stall that is only now coming to an end is counted."""
        overdue = max(0.0, monotonic() - self._expected)
        return max(overdue, next((lag for at, lag in self._worst if at >= began), 0.0))

    def _note(self, expected: Instant) -> None:
        moment, seen = monotonic(), self._worst
        lag = max(0.0, moment - expected)
        while seen and seen[-1][1] <= lag:
            seen.pop()
        seen.append((moment, lag))
        while seen[0][0] < moment - REMEMBERED_S:
            seen.popleft()
