"""The unit that is shipped, in its sandbox, on real servers."""

from __future__ import annotations

import signal

import pytest

from tests.lab.cluster import watched
from tests.lab.service_monitor import ServiceMonitor

pytestmark = [pytest.mark.lab, pytest.mark.systemd]


def test_a_signal_to_the_hardened_service_fails_over_and_its_journal_can_be_searched(lab):
    monitor = lab.watched_from(ServiceMonitor)
    w = watched(lab)
    w.daemon.signal(signal.SIGUSR1)
    w.wait_until_failed_over()
    w.ledger.wait_for(600)
    assert w.ledger.check(w.pg2).lost == ()
    (promoted,) = monitor.journaled(
        "FAILOVERD_CLUSTER=main", "FAILOVERD_STATE=promoting", "FAILOVERD_FROM_STATE=salvaging"
    )
    assert promoted["FAILOVERD_TRIGGER"] == "signal"
    assert promoted["SYSLOG_IDENTIFIER"] == "failoverd"
    assert monitor.journaled(f"MESSAGE_ID={promoted['MESSAGE_ID']}")
    kept = monitor.run(["stat", "-c", "%a %U", "/var/lib/failoverd/journal.sqlite3"]).stdout
    assert kept == "600 failoverd\n"


def test_a_daemon_that_stalls_is_restarted_by_its_watchdog_and_finishes_the_work(lab):
    """The primary dies while nobody watches it."""
    monitor = lab.watched_from(ServiceMonitor)
    w = watched(lab)
    stalled = monitor.stall()
    w.pg1.kill9_all()
    w.wait_until_failed_over(60)
    assert monitor.show("MainPID") != str(stalled)
    assert monitor.show("NRestarts") == "1"
    assert "Watchdog timeout" in monitor.journal()
    w.ledger.wait_for(600)
    assert w.ledger.check(w.pg2).lost == ()
