"""How many SSH connections stay open while nobody uses them.

No call ever waits for another: what is needed is opened, and the one that was not used for
longest is closed instead. What is used every second, such as the way to a dead-man, is never
that one.
"""

from __future__ import annotations

from collections import OrderedDict
from typing import Protocol

from failoverd.core.model import Instant
from failoverd.transport.postgres import Monotonic

KEPT_S = 5.0
"""What was used within so long is not closed for another."""
MOST = 400


class Idle(Protocol):
    """A host with a connection that may be closed."""

    @property
    def in_use(self) -> bool: ...
    def hang_up(self) -> None: ...


class SshLines:
    """Of all hosts of one process."""

    def __init__(self, monotonic: Monotonic, most: int = MOST) -> None:
        self._monotonic = monotonic
        self._most = most
        self._used: OrderedDict[Idle, Instant] = OrderedDict()

    def __len__(self) -> int:
        return len(self._used)

    def make_room(self) -> None:
        """Before one more is opened."""
        latest = self._monotonic() - KEPT_S
        idle = [one for one, at in self._used.items() if at <= latest and not one.in_use]
        for host in idle[: max(0, len(self._used) + 1 - self._most)]:
            del self._used[host]
            host.hang_up()

    def use(self, host: Idle) -> None:
        """It has a connection, and it is used now."""
        self._used[host] = self._monotonic()
        self._used.move_to_end(host)

    def gone(self, host: Idle) -> None:
        """It has none any more."""
        self._used.pop(host, None)
