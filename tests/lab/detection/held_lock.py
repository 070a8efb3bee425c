"""A session that has locked a table, and then does nothing."""

from __future__ import annotations

import subprocess

from tests.lab.cluster import Watched
from tests.lab.server import BIN_DIR, DATABASE, SOCKET_DIR
from tests.waiting import wait_until

LOCKED = "locked\n"


class HeldLock:
    """`begin` and `end` of a condition. psql ends, and its lock with it, when its input does."""

    def __init__(self, table: str) -> None:
        self._table = table
        self._psql: subprocess.Popen[str] | None = None

    def begin(self, w: Watched) -> None:
        command = [f"{BIN_DIR}/psql", "-X", "-q", "-h", SOCKET_DIR, "-d", DATABASE]
        psql = self._psql = w.pg1.spawn(command, user="postgres")
        assert psql.stdin is not None
        assert psql.stdout is not None
        psql.stdin.write(f"begin;\nlock table {self._table};\n\\echo {LOCKED}")
        psql.stdin.flush()
        said = psql.stdout.readline()
        assert said == LOCKED, said

    def end(self, w: Watched) -> None:
        psql, self._psql = self._psql, None
        assert psql is not None, "the lock was never held"
        psql.communicate(timeout=10)
        wait_until(lambda: not w.pg1.processes("psql"), 10, "the lock is given up")
