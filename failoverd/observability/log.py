"""Log lines: structlog, through a bounded queue and one thread.

A full pipe behind standard output must not stop the event loop: lines that do not fit
are dropped and counted. Under systemd each line begins with its priority.
"""

from __future__ import annotations

import logging
import logging.handlers
import os
import queue
import sys
from typing import Any, TextIO

import structlog

from failoverd.core.events import EffectFailed, Event, Replied
from failoverd.core.incident import Entry, EntryKind
from failoverd.core.situation import Machine
from failoverd.core.states import StateName, name_of

QUEUED = 10_000
_PRIORITY = {"debug": 7, "info": 6, "warning": 4, "error": 3, "critical": 2}
_ALERTING = frozenset({StateName.BLOCKED, StateName.REVERTING, StateName.FENCING})


class _DroppingQueueHandler(logging.handlers.QueueHandler):
    dropped = 0

    def enqueue(self, record: logging.LogRecord) -> None:
        try:
            self.queue.put_nowait(record)
        except queue.Full:
            type(self).dropped += 1


class _Formatter(logging.Formatter):
    def __init__(self, *, with_priority: bool) -> None:
        super().__init__("%(message)s")
        self._with_priority = with_priority

    def format(self, record: logging.LogRecord) -> str:
        line = super().format(record)
        if not self._with_priority:
            return line
        return f"<{_PRIORITY.get(record.levelname.lower(), 6)}>{line}"


_listeners: list[logging.handlers.QueueListener] = []


def start_logging(level: str, form: str, stream: TextIO | None = None) -> None:
    """Lines of `level` and above, as JSON or for people, to standard output."""
    lines: queue.Queue[logging.LogRecord] = queue.Queue(QUEUED)
    writer = logging.StreamHandler(stream or sys.stdout)
    writer.setFormatter(_Formatter(with_priority="JOURNAL_STREAM" in os.environ))
    listener = logging.handlers.QueueListener(lines, writer)
    listener.start()
    _listeners.append(listener)
    root = logging.getLogger()
    root.handlers = [_DroppingQueueHandler(lines)]
    root.setLevel(level.upper())
    for noisy in ("asyncssh", "aiohttp.access", "asyncio"):
        logging.getLogger(noisy).setLevel(logging.WARNING)
    renderer: Any = (
        structlog.processors.JSONRenderer()
        if form == "json"
        else structlog.dev.ConsoleRenderer(colors=False)
    )
    structlog.configure(
        processors=[
            structlog.stdlib.filter_by_level,
            structlog.processors.add_log_level,
            structlog.processors.TimeStamper(fmt="iso", utc=True),
            structlog.processors.format_exc_info,
            renderer,
        ],
        logger_factory=structlog.stdlib.LoggerFactory(),
        wrapper_class=structlog.stdlib.BoundLogger,
        cache_logger_on_first_use=False,
    )


def stop_logging() -> None:
    """Write what is queued, and stop."""
    while _listeners:
        _listeners.pop().stop()


def lines_dropped() -> int:
    return _DroppingQueueHandler.dropped


def logger() -> Any:
    return structlog.get_logger("failoverd")


def step_logged(
    cluster: str, before: Machine, event: Event, after: Machine, entry: Entry | None
) -> None:
    """One line for each entry of the journal; what needs a person is a warning."""
    if entry is None:
        return
    state = name_of(after.state)
    moved = name_of(before.state) is not state
    fields: dict[str, Any] = {"cluster": cluster, "state": str(state), "kind": str(entry.kind)}
    if moved:
        fields["from_state"] = str(name_of(before.state))
    if entry.diagnosis:
        fields["diagnosis"] = entry.diagnosis
    incident = after.incident or before.incident
    if incident is not None:
        fields |= {"incident": incident.epoch, "trigger": str(entry.trigger)}
    if entry.outcome is not None:
        fields["outcome"] = str(entry.outcome)
    write = logger().info
    failed = isinstance(event, Replied) and isinstance(event.result, EffectFailed)
    if failed or (moved and state in _ALERTING):
        write = logger().warning
    elif entry.kind is EntryKind.KNOWLEDGE:
        write = logger().debug
    write(entry.sentence, **fields)
