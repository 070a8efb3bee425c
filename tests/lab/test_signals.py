"""What section "Signals" of docs/operation.md says, on the real daemon."""

from __future__ import annotations

import signal

import pytest

from tests.lab.cluster import watched

pytestmark = pytest.mark.lab


def test_sigusr1_fails_a_healthy_primary_over_without_loss(lab):
    w = watched(lab)
    w.daemon.signal(signal.SIGUSR1)
    w.wait_until_failed_over()
    w.ledger.wait_for(600)
    assert w.ledger.check(w.pg2).lost == ()
    assert lab.monitor.metric(
        "failoverd_state_transitions_total",
        from_state="watching", to_state="fencing", trigger="signal",
    ) == 1  # fmt: skip
    assert w.pg1.processes("postgres") == []


def test_the_command_does_the_same_and_names_who_asked(lab):
    w = watched(lab, synchronous=False)
    shown = lab.monitor.failoverd("failover", "--dry-run").stdout
    assert "promote pg2" in shown
    assert w.failovers_begun() == 0
    unasked = lab.monitor.failoverd("failover", check=False)
    assert unasked.returncode == 1
    done = lab.monitor.failoverd("failover", "--to", "pg2", "--yes", timeout_s=60)
    assert "confirmed: pg2" in done.stdout
    w.wait_until_failed_over()
    w.ledger.wait_for(600)
    assert w.ledger.check(w.pg2).lost == ()


def test_sigusr2_pauses_over_a_restart_and_resumes(lab):
    w = watched(lab)
    w.daemon.signal(signal.SIGUSR2)
    lab.monitor.wait_for_state("paused", 15)
    assert w.daemon.stop() == 0
    w.restart()
    lab.monitor.wait_for_state("paused", 15)
    w.pg1.kill9_postmaster()
    w.wait(lambda: w.status()["diagnosis"] == "crashed", 15, "the crash is seen")
    assert w.status()["state"] == "paused"
    assert w.pg2.in_recovery
    w.daemon.signal(signal.SIGUSR2)
    w.wait_until_failed_over()


def test_sighup_takes_all_of_a_configuration_or_none_of_it(lab):
    w = watched(lab)
    lab.monitor.write_config([w.pg1, w.pg2], detection={"failures": 1, "intervall": "1s"})
    w.daemon.signal(signal.SIGHUP)
    w.wait(lambda: "did you mean interval?" in w.daemon.log_text, 10, "the mistake is named")
    assert "config.yaml:" in w.daemon.log_text
    assert lab.monitor.metric("failoverd_config_reloads_total", outcome="refused") == 1
    lab.monitor.write_config([w.pg1, w.pg2], failover={"mode": "manual"})
    w.daemon.signal(signal.SIGHUP)
    w.wait(lambda: w.status().get("mode") == "manual", 10, "the new mode is in force")
    w.pg1.kill9_postmaster()
    lab.monitor.wait_for_state("suspect", 15)
    w.wait(lambda: lab.monitor.metric("failoverd_consecutive_failures") >= 6, 30, "long beyond it")
    assert w.failovers_begun() == 0
    assert w.status()["state"] == "suspect"


def test_sigterm_stops_at_once_while_watching(lab):
    w = watched(lab)
    assert w.daemon.stop(timeout_s=15) == 0
    assert not w.pg1.in_recovery
    w.ledger.wait_for(600)


def held_in_a_failover(lab):
    """It goes on for as long as pg2 does not get to its promotion."""
    w = watched(lab)
    w.pg2.sigstop_replay()
    w.pg1.kill9_postmaster()
    lab.monitor.wait_for_state("promoting", 30)
    return w


def told_to_stop(w):
    w.daemon.signal(signal.SIGTERM)
    w.wait(lambda: "stopping after it" in w.daemon.log_text, 15, "the first SIGTERM waits")
    assert w.daemon.exit_status is None


def test_sigterm_in_a_failover_waits_for_its_end(lab):
    w = held_in_a_failover(lab)
    told_to_stop(w)
    w.pg2.sigcont_all()
    assert w.daemon.wait(40) == 0
    assert not w.pg2.in_recovery
    w.ledger.wait_for_node("pg2", 30)


def test_a_second_daemon_on_the_same_state_directory_is_refused(lab):
    w = watched(lab)
    second = lab.monitor.start_daemon()
    assert second.wait(15) == 1
    assert "in use by another failoverd" in second.log_text
    assert w.daemon.exit_status is None


def test_a_second_sigterm_stops_at_once_and_the_next_start_resumes(lab):
    w = held_in_a_failover(lab)
    told_to_stop(w)
    w.daemon.signal(signal.SIGTERM)
    assert w.daemon.wait(15) == 0
    assert "the next start resumes" in w.daemon.log_text
    w.pg2.sigcont_all()
    w.restart()
    w.wait_until_failed_over(60)
    w.ledger.wait_for(600)
    assert w.ledger.check(w.pg2).lost == ()


def test_sighup_in_a_failover_is_taken_up_after_it(lab):
    w = held_in_a_failover(lab)
    lab.monitor.write_config([w.pg1, w.pg2], failover={"mode": "observe"})
    w.daemon.signal(signal.SIGHUP)
    w.wait(lambda: "the configuration was reloaded" in w.daemon.log_text, 15, "it is taken")
    assert w.status()["mode"] == "automatic"
    w.pg2.sigcont_all()
    w.wait_until_failed_over()
    w.wait(lambda: w.status().get("mode") == "observe", 15, "the new mode is in force")
    assert not w.pg2.in_recovery
