"""Sessions of an application that takes every connection slot it can get, and keeps it."""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess

from tests.lab import python_tree
from tests.lab.cluster import Watched
from tests.lab.host import UNPRIVILEGED, Host
from tests.lab.server import APPLICATION_PASSWORD, APPLICATION_ROLE, BIN_DIR, DATABASE, SOCKET_DIR
from tests.waiting import wait_until

GREEDY = """
import asyncio, sys, asyncpg
async def main():
    kept = []
    while True:
        try:
            kept.append(await asyncpg.connect(
                host=sys.argv[1], user=sys.argv[2], password=sys.argv[3], database=sys.argv[4]))
        except asyncpg.PostgresError:
            print("full", flush=True)
            await asyncio.sleep(0.02)
asyncio.run(main())
"""
WORKING = """
import asyncio, sys, asyncpg
async def work():
    while True:
        session = await asyncpg.connect(
            host=sys.argv[1], user=sys.argv[2], password=sys.argv[3], database=sys.argv[4])
        while True:
            await session.fetchval("select count(*) from generate_series(1, 3000000)")
async def main():
    await asyncio.gather(*(work() for _ in range(int(sys.argv[5]))))
asyncio.run(main())
"""
SLEEP = "select pg_sleep(600)"


class Crowd:
    """`begin` and `end` of a condition: a program of the application's host."""

    def __init__(self, program: str, *words: str, superusers: int = 0) -> None:
        self._program = program
        self._words = words
        self._superusers = superusers
        self._running: list[subprocess.Popen[str]] = []

    def begin(self, w: Watched) -> None:
        where = [w.pg1.address, APPLICATION_ROLE, APPLICATION_PASSWORD, DATABASE]
        argv = w.lab.app.argv(
            [str(python_tree.PYTHON), "-c", self._program, *where, *self._words], UNPRIVILEGED
        )
        crowd = subprocess.Popen(
            argv,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            env={**w.lab.app.environment(UNPRIVILEGED), **python_tree.ENVIRONMENT},
            cwd="/",
        )
        self._running.append(crowd)
        if self._program is GREEDY:
            assert crowd.stdout is not None
            assert crowd.stdout.readline() == "full\n"
        for _ in range(self._superusers):
            psql = [f"{BIN_DIR}/psql", "-X", "-h", SOCKET_DIR, "-d", DATABASE]
            self._running.append(w.pg1.spawn([*psql, "-c", SLEEP], user="postgres"))
        if self._superusers:
            sleeping = [f"postgres: pg1: postgres {DATABASE} [local] SELECT"] * self._superusers
            wait_until(
                lambda: (
                    [p.command for p in w.pg1.processes("postgres") if "[local]" in p.command]
                    == sleeping
                ),
                10,
                "the reserved slots are taken, too",
            )

    def end(self, w: Watched) -> None:
        # By the processes of the hosts: to kill nsenter would leave what it has started.
        for host, words in ((w.lab.app, self._program.strip()), (w.pg1, SLEEP)):
            _signal(host, words, signal.SIGKILL)
        while self._running:
            self._running.pop().communicate(timeout=10)
        # A backend that computes does not notice that its client has gone.
        _signal(w.pg1, f"postgres: pg1: {APPLICATION_ROLE} ", signal.SIGTERM)


def _signal(host: Host, words: str, number: signal.Signals) -> None:
    for process in host.processes():
        if words in process.command:
            with contextlib.suppress(ProcessLookupError):
                os.kill(process.outer_pid, number)
