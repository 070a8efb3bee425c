"""A server in crash recovery that takes its time."""

from __future__ import annotations

import os
import signal

from tests.lab.cluster import Watched
from tests.lab.host import Process
from tests.lab.server import APPLICATION_ROLE, DatabaseHost
from tests.waiting import wait_until

MUCH_WAL = "insert into churn select generate_series(1, 400000)"


def startup_process(host: DatabaseHost, title: str = ": startup") -> Process | None:
    found = [p for p in host.processes("postgres") if title in p.command and p.state != "Z"]
    return found[0] if found else None


def lose_a_backend(w: Watched) -> None:
    """As the kernel does it when memory runs out; recovery then stands still at its first WAL."""
    _write_much(w)
    victim = next(p for p in w.pg1.processes("postgres") if APPLICATION_ROLE in p.command)
    os.kill(victim.outer_pid, signal.SIGKILL)
    _hold_recovery(w)


def restart_in_immediate_mode(w: Watched) -> None:
    """As an administrator in a hurry does it; recovery then stands still."""
    _write_much(w)
    w.pg1.pg_ctl("restart", "-m", "immediate", "-W", "-s")
    _hold_recovery(w, ": startup recovering")


def _write_much(w: Watched) -> None:
    w.pg1.sql("checkpoint; create table if not exists churn (id bigint);" + MUCH_WAL)


def _hold_recovery(w: Watched, title: str = ": startup") -> None:
    startup = wait_until(
        lambda: startup_process(w.pg1, title), 10, "the server recovers", interval_s=0.005
    )
    os.kill(startup.outer_pid, signal.SIGSTOP)


def let_it_recover(w: Watched) -> None:
    startup = startup_process(w.pg1)
    assert startup is not None, "it had recovered before it was let"
    os.kill(startup.outer_pid, signal.SIGCONT)
