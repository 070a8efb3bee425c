"""The daemon as anybody outside of it sees it: its process, its HTTP interface, its log."""

from __future__ import annotations

import json
import re
import signal
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from typing import Any

from failoverd.demo.postgres import clean_environment

CLUSTER = "demo"
_SAMPLE = re.compile(r"^(?P<name>\w+)(?:\{(?P<labels>.*)\})? (?P<value>\S+)")
_LABEL = re.compile(r'(\w+)="((?:[^"\\]|\\.)*)"')


@dataclass(frozen=True, slots=True)
class LogLine:
    event: str
    level: str
    at_s: float | None
    """On this machine's monotonic clock, from the line's own wall time; None: it carries none."""
    fields: Mapping[str, Any]
    raw: bool = False
    """Not one of its own log lines: a traceback, a message of the interpreter."""


@dataclass(frozen=True, slots=True)
class Sample:
    """One line of /metrics."""

    name: str
    labels: Mapping[str, str]
    value: float


@dataclass(slots=True)
class Daemon:
    process: subprocess.Popen[bytes]
    url: str
    log: Path
    _log_position: int = field(default=0, repr=False)

    @property
    def exit_status(self) -> int | None:
        """None while it runs."""
        return self.process.poll()

    def get(self, path: str, *, timeout_s: float = 5) -> str | None:
        """The body, of whatever status; None: no answer."""
        try:
            with urllib.request.urlopen(self.url + path, timeout=timeout_s) as answer:
                return str(answer.read().decode())
        except urllib.error.HTTPError as refusal:
            with refusal:
                return None if refusal.code >= 400 else refusal.read().decode()
        except (OSError, ValueError):
            return None

    def status(self) -> dict[str, Any]:
        """`/api/v1/clusters/demo`; empty while there is no answer."""
        body = self.get(f"/api/v1/clusters/{CLUSTER}")
        document = json.loads(body) if body else {}
        return document if isinstance(document, dict) else {}

    def ready(self) -> bool:
        return self.get("/readyz") is not None

    def metrics(self) -> tuple[Sample, ...]:
        return tuple(samples_of(self.get("/metrics") or ""))

    def new_log_lines(self) -> Iterator[LogLine]:
        """The lines written since the last time, whole ones only."""
        with self.log.open("rb") as file:
            file.seek(self._log_position)
            data = file.read()
        whole, newline, _ = data.rpartition(b"\n")
        self._log_position += len(whole) + len(newline)
        for line in whole.decode(errors="replace").split("\n"):
            if line.strip():
                yield _log_line(line)

    def stop(self, *, timeout_s: float = 8) -> None:
        """SIGTERM; SIGKILL where that is not obeyed in time."""
        if self.process.poll() is None:
            self.process.send_signal(signal.SIGTERM)
            try:
                self.process.wait(timeout_s)
            except subprocess.TimeoutExpired:
                self.process.kill()
                self.process.wait()


def start(configuration: Path, port: int, log: Path) -> Daemon:
    """The real daemon, `failoverd run`, as a process of its own session."""
    environment = {
        name: value
        for name, value in clean_environment().items()
        if name not in {"NOTIFY_SOCKET", "JOURNAL_STREAM", "WATCHDOG_USEC", "FAILOVERD_CONFIG"}
    }
    with log.open("ab") as output:
        process = subprocess.Popen(
            [sys.executable, "-m", "failoverd", "run", "-c", str(configuration)],
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=subprocess.STDOUT,
            env=environment,
            start_new_session=True,
        )
    return Daemon(process, f"http://127.0.0.1:{port}", log)


def _log_line(line: str) -> LogLine:
    try:
        fields = json.loads(line[line.find("{") :])
    except ValueError:
        fields = None
    if not isinstance(fields, dict):
        return LogLine(line, "error", None, {}, raw=True)
    return LogLine(
        event=str(fields.pop("event", "")),
        level=str(fields.pop("level", "info")),
        at_s=_monotonic(str(fields.pop("timestamp", ""))),
        fields=fields,
    )


def _monotonic(timestamp: str) -> float | None:
    try:
        wall = datetime.fromisoformat(timestamp).timestamp()
    except ValueError:
        return None
    return time.monotonic() - (time.time() - wall)


def samples_of(exposition: str) -> Iterator[Sample]:
    for line in exposition.split("\n"):
        found = None if line.startswith("#") else _SAMPLE.match(line)
        if found:
            labels = dict(_LABEL.findall(found["labels"] or ""))
            yield Sample(found["name"], labels, float(found["value"]))
