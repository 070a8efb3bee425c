"""What happens, as it happens: the last events, and whoever listens for the next ones."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from failoverd.core.events import Event
from failoverd.core.incident import Entry
from failoverd.core.model import WallTime
from failoverd.core.numbering import number_of
from failoverd.core.situation import Machine
from failoverd.core.states import name_of

REMEMBERED = 200
LISTENERS = 64
BEHIND = 256
"""A listener that is so many events behind is let go: it comes again, and says where it was."""


@dataclass(frozen=True, slots=True)
class Happened:
    """One event with its number, which grows over restarts, too."""

    number: int
    told: dict[str, Any]


class TooManyListeners(Exception):  # noqa: N818 - what happened
    """Nobody else is let in."""


class Live:
    """A ring of events, and a queue for each listener. For one event loop."""

    def __init__(self, started: WallTime) -> None:
        self._next = int(started * 1000)
        self._ring: deque[Happened] = deque(maxlen=REMEMBERED)
        self._listeners: set[asyncio.Queue[Happened | None]] = set()

    def stepped(
        self,
        cluster: str,
        before: Machine,
        event: Event,
        after: Machine,
        entry: Entry,
        *,
        at: WallTime,
    ) -> None:
        """One step that was journaled; what was merely learnt is no event."""
        if not entry.is_news:
            return
        old, new = name_of(before.state), name_of(after.state)
        self.publish(
            {
                "cluster": cluster,
                "at": datetime.fromtimestamp(at, UTC).isoformat(timespec="milliseconds"),
                "state": str(new),
                "from_state": str(old) if old is not new else None,
                "kind": str(entry.kind),
                "diagnosis": entry.diagnosis or None,
                "trigger": str(entry.trigger),
                "incident": number_of(before, event, after),
                "outcome": str(entry.outcome) if entry.outcome is not None else None,
                "sentence": " ".join(entry.sentence.split()),
            }
        )

    def publish(self, told: dict[str, Any]) -> None:
        """Never waits."""
        happened = Happened(self._next, told)
        self._next += 1
        self._ring.append(happened)
        for queue in tuple(self._listeners):
            if queue.full():
                self._let_go(queue)
            else:
                queue.put_nowait(happened)

    def recent(self, after: int = 0) -> list[Happened]:
        """Oldest first."""
        return [one for one in self._ring if one.number > after]

    @contextmanager
    def listening(self) -> Iterator[asyncio.Queue[Happened | None]]:
        """The events from now on; None: there are no more. Raises TooManyListeners."""
        if len(self._listeners) >= LISTENERS:
            raise TooManyListeners
        queue: asyncio.Queue[Happened | None] = asyncio.Queue(BEHIND)
        self._listeners.add(queue)
        try:
            yield queue
        finally:
            self._listeners.discard(queue)

    def close(self) -> None:
        """Everybody is let go."""
        for queue in tuple(self._listeners):
            self._let_go(queue)

    def _let_go(self, queue: asyncio.Queue[Happened | None]) -> None:
        self._listeners.discard(queue)
        while not queue.empty():
            queue.get_nowait()
        queue.put_nowait(None)
