"""The daemon, or all of its host, sleeps for longer than the threshold, and wakes up."""

from __future__ import annotations

import contextlib
import os
import signal
from collections.abc import Iterator

from tests.lab.cluster import Watched
from tests.waiting import wait_until

COMMITS = 300
"""Of the application, at 50 a second: two thresholds."""


def sleep_and_wake(w: Watched) -> None:
    with _asleep(w):
        w.ledger.wait_for(COMMITS, 60)


def suspend_and_resume(w: Watched) -> None:
    """All processes of the host stop, and its network is away, as when a machine is suspended."""
    w.lab.link_down(w.lab.monitor)
    with _asleep(w), _others_asleep(w):
        w.ledger.wait_for(COMMITS, 60)
        w.lab.link_up(w.lab.monitor)


def sleep_while_the_primary_dies(w: Watched) -> None:
    with _asleep(w):
        w.pg1.kill9_postmaster()
        wait_until(lambda: not w.pg1.processes("postgres"), 10, "pg1 has no server left")
        w.pg2.wait_for_sql("select count(*) from pg_stat_wal_receiver", "0")


@contextlib.contextmanager
def _asleep(w: Watched) -> Iterator[None]:
    w.daemon.signal(signal.SIGSTOP)
    try:
        yield
    finally:
        w.daemon.signal(signal.SIGCONT)


@contextlib.contextmanager
def _others_asleep(w: Watched) -> Iterator[None]:
    others = [each for each in w.lab.monitor.processes() if each.pid != w.daemon.pid]
    for process in others:
        os.kill(process.outer_pid, signal.SIGSTOP)
    try:
        yield
    finally:
        for process in others:
            os.kill(process.outer_pid, signal.SIGCONT)
