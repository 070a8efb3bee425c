"""A switchover on real hosts: nothing is lost, it goes back wherever it fails, and comes home."""

from __future__ import annotations

import json
import os
import signal
import time

import pytest

from tests.lab.planned import is_over, planned, wait_until_all_stream

pytestmark = pytest.mark.lab


def test_a_switchover_loses_nothing_and_the_old_primary_is_a_standby_after_it(lab):
    w = planned(lab, trio=True)
    lab.monitor.failoverd("switchover", "--to", "pg3", "--yes", timeout_s=120)
    pg3 = w.lab.servers[2]
    wait_until_all_stream(w)
    assert w.status()["primary"] == "pg3"
    assert w.pg1.in_recovery and w.pg2.in_recovery and not pg3.in_recovery
    w.ledger.wait_for(100)
    account = w.ledger.check(pg3, enough=100)
    assert account.lost == ()
    assert account.timelines == (1, 2)
    assert w.status()["cooldown_remaining_s"] == 0
    report = lab.monitor.failoverd("report").stdout
    for words in (
        "asked for a switchover to pg3",
        "its control file says 'shut down'",
        "lost with it: nothing: the old primary's WAL ends at",
        "nobody took writes for",
    ):
        assert words in report, words
    history = json.loads(lab.monitor.failoverd("history", "--json").stdout)
    assert history[0]["trigger"] == "switchover"
    assert history[0]["outcome"] == "succeeded"


def test_what_is_not_ready_is_refused_with_its_reasons_and_nothing_is_touched(lab):
    w = planned(lab)
    w.pg2.pg_ctl_stop("fast")
    w.wait(lambda: not w.status()["nodes"]["pg2"]["up"], 10, "pg2 is down")
    refused = lab.monitor.failoverd("switchover", "--yes", check=False)
    assert refused.returncode == 1
    assert "pg2" in refused.stderr
    dry = lab.monitor.failoverd("switchover", "--dry-run", check=False)
    assert dry.returncode == 1
    assert "now it would be refused" in dry.stdout
    assert w.failovers_begun() == 0
    assert not (w.pg1.data / "standby.signal").exists()


def test_with_nobody_to_promote_after_the_fence_the_old_primary_writes_again(lab):
    """A walsender waits for a receiver that is stopped: no clean stop, nobody to freeze."""
    w = planned(lab, rate=20)
    (receiver,) = [p for p in w.pg2.processes("postgres") if "walreceiver" in p.command]
    os.kill(receiver.outer_pid, signal.SIGSTOP)
    said = lab.monitor.failoverd("switchover", "--yes", check=False, timeout_s=120)
    assert said.returncode == 1, said.stdout
    os.kill(receiver.outer_pid, signal.SIGCONT)
    w.wait(lambda: is_over(w.status()), 60, "over")
    assert "fencing pg1" in w.daemon.log_text
    assert "reverting" in w.daemon.log_text
    assert not w.pg1.in_recovery
    assert not (w.pg1.data / "standby.signal").exists()
    w.ledger.wait_for(50)
    wait_until_all_stream(w)
    assert w.ledger.check(w.pg1, enough=50).lost == ()


def test_a_scheduled_one_survives_a_restart_and_is_cancelled_or_done(lab):
    w = planned(lab)
    later = time.strftime("%Y-%m-%dT%H:%M:%S", time.localtime(time.time() + 3600))
    lab.monitor.failoverd("switchover", "--at", later, "--yes")
    w.daemon.stop()
    w.restart()
    lab.monitor.wait_ready()
    assert w.status()["scheduled"]["kind"] == "switchover"
    lab.monitor.failoverd("switchover", "--cancel")
    assert w.status()["scheduled"] is None
    w.wait(lambda: not w.status()["switchover_obstacles"], 20, "a switchover could begin")
    # Later than it takes to say so on a machine that has much else to do.
    soon = time.strftime("%Y-%m-%dT%H:%M:%S", time.localtime(time.time() + 10))
    lab.monitor.failoverd("switchover", "--at", soon, "--yes")
    w.wait(lambda: w.status()["primary"] == "pg2", 60, "it was done at its time")
    wait_until_all_stream(w)


def test_a_drill_goes_there_and_back_and_says_what_it_cost(lab):
    w = planned(lab)
    said = lab.monitor.failoverd("drill", "--yes", timeout_s=240).stdout
    assert said.count("nobody took writes for") >= 2
    assert "the drill is over: pg1 is the primary again" in said
    wait_until_all_stream(w)
    w.ledger.wait_for(50)
    assert w.ledger.check(w.pg1, enough=50).lost == ()


def test_a_daemon_killed_in_a_switchover_goes_on_or_back_and_nothing_is_lost(lab):
    w = planned(lab)
    lab.monitor.failoverd("switchover", "--yes", "--timeout", "0", check=False)
    w.daemon.kill()
    w.restart()
    w.wait(lambda: is_over(w.status()), 90, "it is watched again")
    wait_until_all_stream(w)
    primary = next(s for s in lab.servers if s.name == w.status()["primary"])
    w.ledger.wait_for(50)
    assert w.ledger.check(primary, enough=50).lost == ()
