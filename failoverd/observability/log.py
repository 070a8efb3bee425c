"""Log lines: structlog, through a bounded queue and one thread.

A full pipe behind standard output must not stop the event loop: lines that do not fit
are dropped, counted, and said. Under systemd the journal gets each line with its fields.
"""

from __future__ import annotations

import contextlib
import logging
import os
import queue
import threading
from collections.abc import Callable, Mapping, MutableMapping
from dataclasses import dataclass, field
from typing import Any

import structlog

from failoverd.core.diagnosis import Diagnosis
from failoverd.core.events import EffectFailed, Event, Replied
from failoverd.core.incident import Entry, EntryKind
from failoverd.core.situation import Machine
from failoverd.core.states import Blocked, Settling, StateName, Suspect, name_of
from failoverd.core.target import owed
from failoverd.observability.journald import Journald, fields_of, is_behind
from failoverd.observability.repeats import UnderWay, without_repeats

QUEUED = 10_000
STOP_S = 2.0
_PRIORITY = {"debug": 7, "info": 6, "warning": 4, "error": 3, "critical": 2}
_LEVELS = {"debug": 10, "info": 20, "warning": 30, "error": 40, "critical": 50}
_ALERTING = frozenset({StateName.SUSPECT, StateName.REVERTING, StateName.FENCING})


class _Tally:
    def __init__(self) -> None:
        self.count = 0
        self._counting = threading.Lock()

    def add(self) -> None:
        with self._counting:
            self.count += 1


@dataclass(frozen=True, slots=True)
class _Line:
    level: str
    text: str
    fields: Mapping[str, str] = field(default_factory=dict)

    def written(self, *, priorities: bool) -> bytes:
        prefix = f"<{_PRIORITY[self.level]}>" if priorities else ""
        lines = "".join(f"{prefix}{line}\n" for line in self.text.splitlines() or [""])
        return lines.encode(errors="backslashreplace")


class _Writer:
    """Its thread alone waits for whoever reads the lines."""

    def __init__(self, descriptor: int, journald: Journald | None) -> None:
        self._descriptor = descriptor
        self._priorities = "JOURNAL_STREAM" in os.environ
        self._journald = journald
        self._lines: queue.Queue[_Line | None] = queue.Queue(QUEUED)
        self._unsaid = 0
        self._over = threading.Event()
        self._thread = threading.Thread(target=self._run, name="log", daemon=True)
        self._thread.start()

    def put(self, line: _Line) -> None:
        """Never waits."""
        try:
            self._lines.put_nowait(line)
        except queue.Full:
            self._unsaid += 1
            _dropped.add()
            return
        if self._unsaid:
            count, self._unsaid = self._unsaid, 0
            logger().warning("log lines were dropped: their reader is too slow", count=count)

    def stop(self) -> None:
        """Write what is queued, for 2 s at most."""
        with contextlib.suppress(queue.Full):
            self._lines.put(None, timeout=STOP_S)
        self._thread.join(STOP_S)
        self._over.set()

    def _run(self) -> None:
        while (line := self._lines.get()) is not None and not self._over.is_set():
            journald = self._journald
            if journald and journald.send(_PRIORITY[line.level], line.text, line.fields):
                continue
            rest = line.written(priorities=self._priorities)
            try:
                while rest:
                    rest = rest[os.write(self._descriptor, rest) :]
            except OSError:
                _dropped.add()
        if self._journald is not None:
            self._journald.close()


class _Lines:
    """What structlog takes for a logger: a method for each level, given a rendered line."""

    def __init__(self, writer: _Writer) -> None:
        self._writer = writer

    def debug(self, text: str, fields: Mapping[str, str]) -> None:
        self._writer.put(_Line("debug", text, fields))

    def info(self, text: str, fields: Mapping[str, str]) -> None:
        self._writer.put(_Line("info", text, fields))

    def warning(self, text: str, fields: Mapping[str, str]) -> None:
        self._writer.put(_Line("warning", text, fields))

    def error(self, text: str, fields: Mapping[str, str]) -> None:
        self._writer.put(_Line("error", text, fields))

    def critical(self, text: str, fields: Mapping[str, str]) -> None:
        self._writer.put(_Line("critical", text, fields))


class _FromLibraries(logging.Handler):
    """Warnings of asyncio, asyncssh and aiohttp take the same way."""

    def emit(self, record: logging.LogRecord) -> None:
        level = record.levelname.lower()
        write = getattr(logger(), level if level in _LEVELS else "warning")
        write(record.getMessage(), library=record.name, exc_info=record.exc_info)


_dropped = _Tally()
_under_way = UnderWay()
_writers: list[_Writer] = []


def start_logging(
    level: str, form: str, descriptor: int = 1, *, monotonic: Callable[[], float] | None = None
) -> None:
    """Lines of `level` and above, as JSON or for people, to standard output.

    With a clock, what says the same again is written once a minute.
    """
    stop_logging()
    writer = _Writer(descriptor, Journald() if is_behind(descriptor) else None)
    _writers.append(writer)
    root = logging.getLogger()
    root.handlers = [_FromLibraries()]
    root.setLevel(logging.WARNING)
    render: structlog.typing.Processor = (
        structlog.processors.JSONRenderer()
        if form == "json"
        else structlog.dev.ConsoleRenderer(colors=False)
    )

    def rendered(lines: Any, name: str, line: MutableMapping[str, Any]) -> Any:
        fields = fields_of(line)  # the rendering empties it
        return (render(lines, name, line),), {"fields": fields}

    tracebacks = [structlog.processors.format_exc_info] if form == "json" else []
    structlog.configure(
        processors=[
            _under_way.numbered,
            *([without_repeats(monotonic)] if monotonic is not None else []),
            structlog.processors.add_log_level,
            structlog.processors.TimeStamper(fmt="iso", utc=True),
            *tracebacks,
            rendered,
        ],
        logger_factory=lambda *_: _Lines(writer),
        wrapper_class=structlog.make_filtering_bound_logger(_LEVELS[level.lower()]),
        cache_logger_on_first_use=False,
    )


def stop_logging() -> None:
    """Write what is queued, for 2 s at most: a full pipe does not keep the daemon."""
    while _writers:
        _writers.pop().stop()
    root = logging.getLogger()
    root.handlers = [one for one in root.handlers if not isinstance(one, _FromLibraries)]
    structlog.reset_defaults()


def lines_dropped() -> int:
    """Since this process began; it never goes back."""
    return _dropped.count


def logger() -> Any:
    return structlog.get_logger("failoverd")


def forget(cluster: str) -> None:
    """It is watched no more: no incident of it is under way."""
    _under_way.is_now(cluster, None)


def _blocks(before: Machine, after: Machine) -> bool:
    """Also where it was blocked already, and for another reason."""
    match before.state, after.state:
        case Blocked(reason=old), Blocked(reason=new):
            return old is not new
        case _, Blocked():
            return True
        case _:
            return False


def _splits(before: Machine, after: Machine) -> bool:
    """Whatever else goes on: in the middle of a failover, paused, or to be observed only."""
    new = after.diagnosis is Diagnosis.SPLIT_BRAIN and before.diagnosis is not after.diagnosis
    return new or (after.split > before.split)


def _overdue(before: Machine, after: Machine) -> bool:
    match before.state, after.state:
        case Suspect(overdue=True), Suspect(overdue=True):
            return False
        case _, Suspect(overdue=overdue):
            return overdue
        case _:
            return False


def step_logged(
    cluster: str, before: Machine, event: Event, after: Machine, entry: Entry | None
) -> None:
    """One line for each entry of the journal; what needs a person is an error."""
    _under_way.is_now(cluster, None if after.incident is None else after.incident.epoch)
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
    late = isinstance(before.state, Settling) and owed(after.targets, before.state.primary)
    loud = _blocks(before, after) or _splits(before, after) or _overdue(before, after)
    if loud or (moved and late):
        write = logger().error
    elif failed or entry.kind is EntryKind.TARGET or (moved and state in _ALERTING):
        write = logger().warning
    elif entry.kind is EntryKind.SYNCHRONOUS:
        lowers = after.synchronous is not None and after.synchronous.lowers
        write = logger().warning if lowers else logger().info
    elif entry.kind is EntryKind.DIAGNOSIS:
        well = after.diagnosis is None or after.diagnosis is Diagnosis.HEALTHY
        write = logger().info if well else logger().warning
    elif entry.kind is EntryKind.KNOWLEDGE:
        write = logger().warning if entry.is_news else logger().debug
    write(entry.sentence, **fields)
