"""How often calm clusters are looked at beyond SQL: by how many nodes one daemon watches.

Looks at hosts and surveys for readiness cost a login each, where SQL costs a fraction of a
millisecond. They are spread over a longer time the more nodes there are, so that all of them
together never take more than so many a second. In doubt nothing here applies: each node is
looked at as closely as ever.
"""

from __future__ import annotations

import asyncio

from failoverd.core.model import Instant
from failoverd.daemon import clock
from failoverd.daemon.closeness import HOST_LOOK_EVERY_S

SURVEY_EVERY_S = 45.0
HOST_LOOKS_A_SECOND = 10.0
SURVEYS_A_SECOND = 5.0
BURST = 20.0
"""Looks at hosts that may begin at once after a quiet time."""


class Pace:
    """Of one daemon."""

    def __init__(self, nodes: int = 0) -> None:
        self.nodes = nodes
        self._looks = BURST
        self._counted_at = clock.monotonic()
        self._survey_at = Instant(0.0)

    @property
    def host_look_every_s(self) -> float:
        """Between two looks at the host of a node of a calm cluster."""
        return max(HOST_LOOK_EVERY_S, self.nodes / HOST_LOOKS_A_SECOND)

    @property
    def survey_every_s(self) -> float:
        """Between two surveys of the same node."""
        return max(SURVEY_EVERY_S, self.nodes / SURVEYS_A_SECOND)

    def may_look(self) -> bool:
        """Whether one more look at a host of a calm cluster may begin now; never waits."""
        now = clock.monotonic()
        regained = (now - self._counted_at) * HOST_LOOKS_A_SECOND
        self._looks, self._counted_at = min(BURST, self._looks + regained), now
        if self._looks < 1.0:
            return False
        self._looks -= 1.0
        return True

    async def survey_turn(self, nodes: int) -> None:
        """Wait until so many nodes may be surveyed, after those who came before."""
        now = clock.monotonic()
        turn = max(now, self._survey_at)
        self._survey_at = Instant(turn + nodes / SURVEYS_A_SECOND)
        if turn > now:
            await asyncio.sleep(turn - now)
