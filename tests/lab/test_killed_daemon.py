"""Nothing is lost when the daemon dies: killed before and after each journal write.

From outside, by strace: the daemon has no hook for it. Before: it is killed as it enters
its N-th fdatasync. After: that fdatasync is done and held on its way back, and the kill
comes then, so that the write is durable and nothing that follows it has begun.
"""

from __future__ import annotations

import itertools
import signal

import pytest

from tests.lab.cluster import Watched
from tests.lab.host import signal_all
from tests.lab.lab import make_synchronous
from tests.lab.machine import wait_until

pytestmark = [pytest.mark.lab, pytest.mark.timeout(1500)]

BEFORE = "signal=SIGKILL"
AFTER = "delay_exit=20000000"
AT_LEAST = 8
"""Fencing, settings, freeze and election, salvage, promotion, confirmation, settling, watching."""


@pytest.mark.parametrize("injection", [BEFORE, AFTER], ids=["before", "after"])
def test_killed_at_each_journal_write_of_a_failover_it_finishes_after_a_restart(lab, injection):
    pg1 = lab.database_host("pg1", "192.0.2.11")
    pg2 = lab.database_host("pg2", "192.0.2.12")
    pg1.initdb_primary()
    pg2.clone_from(pg1)
    make_synchronous(pg1, "pg2")
    lab.monitor.write_config([pg1, pg2], failover={"cooldown": "1ms", "max_per_day": 1000})
    primary, standby = pg1, pg2
    for write in itertools.count(1):
        died = _one_failover(lab, primary, standby, injection, write)
        _rebuild(primary, standby)
        primary, standby = standby, primary
        if not died:
            break
    assert write > AT_LEAST, f"only {write - 1} journal writes were interrupted"


def _one_failover(lab, primary, standby, injection, write) -> bool:
    """Crash the primary, kill the daemon at its `write`-th write from then on; True: it died."""
    ledger = lab.app.start_ledger([primary, standby], rate=400)
    daemon = lab.monitor.start_daemon()
    w = Watched(lab, primary, standby, daemon, ledger)
    _wait_until_it_would_work(w, primary)
    ledger.wait_for(500)
    strace = _attach(lab, daemon, injection, write)
    primary.kill9_postmaster()
    died = _wait_until_killed_or_over(w, standby, injection)
    signal_all(lab.monitor, "strace", signal.SIGKILL)
    strace.communicate(timeout=10)
    daemon.kill()
    again = lab.monitor.start_daemon()
    w.wait(lambda: _over(w, standby), 60, f"{standby.name} is the primary (write {write})")
    ledger.wait_for_node(standby.name, 15)
    ledger.wait_for(600)
    account = ledger.check(standby)
    assert account.lost == ()
    assert len(set(account.timelines)) == len(account.timelines), "two primaries took writes"
    assert primary.processes("postgres") == []
    assert again.stop() == 0
    return died


def _wait_until_it_would_work(w, primary) -> None:
    w.lab.monitor.wait_ready(20)
    w.wait(
        lambda: (s := w.status()).get("primary") == primary.name and not s["outlook"]["obstacles"],
        20,
        "a failover would work",
    )


def _over(w, standby) -> bool:
    status = w.status()
    return status.get("primary") == standby.name and status["state"] == "watching"


def _attach(lab, daemon, injection, write):
    """strace, attached to the running daemon; its N counts from here."""
    trace = lab.monitor.directory / "run" / "trace"
    trace.unlink(missing_ok=True)
    inject = f"inject=fdatasync:{injection}:when={write}"
    strace = lab.monitor.spawn(
        ["strace", "-f", "-e", "trace=fdatasync", "-e", inject, "-p", str(daemon.pid),
         "-o", "/run/failoverd/trace"],
    )  # fmt: skip
    traced = f"/proc/{daemon.pid}/status"
    wait_until(
        lambda: "TracerPid:\t0" not in lab.monitor.run(["cat", traced]).stdout,
        10, "strace is attached",
    )  # fmt: skip
    return strace


def _wait_until_killed_or_over(w, standby, injection) -> bool:
    if injection == BEFORE:
        w.wait(
            lambda: w.daemon.exit_status is not None or _over(w, standby),
            60, "the daemon was killed, or is through",
        )  # fmt: skip
        return w.daemon.exit_status == -signal.SIGKILL
    w.wait(
        lambda: _held(w) or _over(w, standby),
        60, "a write is held, or the daemon is through",
    )  # fmt: skip
    if not _held(w):
        return False
    w.daemon.signal(signal.SIGKILL)
    # It holds what it traces, also against SIGKILL, until the delay is over.
    signal_all(w.lab.monitor, "strace", signal.SIGKILL)
    return w.daemon.wait(10) == -signal.SIGKILL


def _held(w) -> bool:
    """The daemon waits for a write that is on disk; without its answer it does nothing."""
    return "nothing is done without it" in w.daemon.log_text


def _rebuild(old, new) -> None:
    """By hand, as docs/recover.md says: the old primary becomes a standby of the new one."""
    old.run(["sh", "-c", f"rm -rf {old.data_dir}/*"], user="postgres")
    old.clone_from(new)
    make_synchronous(new, old.name)
