"""Everybody else on the daemon's host is busy, and goes first."""

from __future__ import annotations

import os
import signal
import subprocess
from pathlib import Path

from tests.lab.cluster import Watched
from tests.lab.host import signal_all

BUSY_PROCESSES = 8


class Overload:
    """One processor alone, so that the rest of the machine is left to others."""

    def __init__(self, nice: int) -> None:
        """`nice`: of the daemon; the others have 0."""
        self._nice = nice
        self._busy: list[subprocess.Popen[str]] = []
        self._processors: set[int] = set()

    def begin(self, w: Watched) -> None:
        self._processors = os.sched_getaffinity(0)
        one = min(self._processors)
        _arrange(w, {one}, self._nice)
        spin = ["taskset", "--cpu-list", str(one), "sh", "-c", "while :; do :; done"]
        self._busy = [w.lab.monitor.spawn(spin) for _ in range(BUSY_PROCESSES)]

    def end(self, w: Watched) -> None:
        # Those of the host: to kill nsenter would leave what it has started.
        signal_all(w.lab.monitor, "sh", signal.SIGKILL)
        for busy in self._busy:
            busy.communicate(timeout=10)
        self._busy.clear()
        _arrange(w, self._processors, 0)


def _arrange(w: Watched, processors: set[int], nice: int) -> None:
    (daemon,) = [each for each in w.lab.monitor.processes() if each.pid == w.daemon.pid]
    for task in Path(f"/proc/{daemon.outer_pid}/task").iterdir():
        os.sched_setaffinity(int(task.name), processors)
        os.setpriority(os.PRIO_PROCESS, int(task.name), nice)
