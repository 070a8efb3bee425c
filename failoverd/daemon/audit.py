"""Who asked for what, and whether it was granted: a line of the log, and of a file of its own."""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from failoverd.core.events import Command
from failoverd.core.model import WallTime
from failoverd.observability import log
from failoverd.record.codec import TAG, encode

LARGEST_BYTES = 10 * 1024 * 1024


class Audit:
    """Lines of JSON in `state_dir/audit.log`, for its owner alone; the older half is kept once."""

    def __init__(self, directory: Path) -> None:
        self._file = directory / "audit.log"
        self._thread = ThreadPoolExecutor(1, "audit")

    def command(self, cluster: str, command: Command, refused: str | None, at: WallTime) -> None:
        """Granted where it was not refused."""
        fields = {k: v for k, v in encode(command, secrets=False).items() if v is not None}
        by, act = fields.pop("by"), fields.pop(TAG).removeprefix("Operator").lower()
        self.note(by, act, refused, at, cluster=cluster, arguments=fields)

    def note(
        self,
        by: str,
        act: str,
        refused: str | None,
        at: WallTime,
        *,
        cluster: str | None = None,
        arguments: Mapping[str, Any] | None = None,
    ) -> None:
        """Never waits for the disk."""
        came = "granted" if refused is None else f"refused: {refused}"
        said: dict[str, Any] = {"by": by, "act": act, "cluster": cluster}
        log.logger().info(f"asked for by {by}: {act}: {came}", **said)
        line = {
            "at": datetime.fromtimestamp(at, UTC).isoformat(timespec="milliseconds"),
            **said,
            "arguments": dict(arguments or {}),
            "refused": refused,
        }
        self._thread.submit(self._write, json.dumps(line) + "\n")

    def _write(self, line: str) -> None:
        try:
            flags = os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC
            descriptor = os.open(self._file, flags, 0o600)
            try:
                os.write(descriptor, line.encode(errors="backslashreplace"))
                os.fsync(descriptor)
                full = os.fstat(descriptor).st_size > LARGEST_BYTES
            finally:
                os.close(descriptor)
            if full:
                self._file.replace(self._file.with_name("audit.log.1"))
        except OSError as error:
            log.logger().error(f"the audit log cannot be written: {error}")

    def close(self) -> None:
        """What was noted is on the disk."""
        self._thread.shutdown()
