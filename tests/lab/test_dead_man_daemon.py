"""The dead-man as the daemon uses it: armed, renewed, let go, and counted on."""

from __future__ import annotations

import signal

import pytest

from tests.lab.cluster import watched
from tests.lab.dead_man import DeadMan, is_up, uptime_s
from tests.lab.server import BIN_DIR, DATA_DIR
from tests.lab.test_agent import LOCAL_WRITER
from tests.waiting import wait_until

pytestmark = [pytest.mark.lab, pytest.mark.timeout(300)]

LADDER = {"ladder": ["stop", {"dead_man": {"ttl": "5s"}}]}
TTL_S = 5.0
AND_THEN_SOME_S = TTL_S + 4.0
"""By then a dead-man that nobody renews and nobody answers has fired."""


def armed(lab, **more):
    w = watched(lab, rate=100, fencing=LADDER, **more)
    until_armed(w)
    w.ledger.wait_for(100)
    return w, DeadMan(lab, w.pg1)


def until_armed(w, node="pg1"):
    w.wait(lambda: is_armed(w, node), 30, "a dead-man is armed")


def is_armed(w, node="pg1"):
    told = w.status().get("dead_man") or {}
    return bool(told.get("armed")) and told["node"] == node


def own_writer(host):
    """An application on the primary's own host, whose commits wait for no standby."""
    host.sql("create table of_its_own (id bigserial, at timestamptz default clock_timestamp())")
    host.sql("alter role postgres set synchronous_commit = local")
    return host.spawn(["sh", "-c", LOCAL_WRITER], user="postgres")


def last_acknowledged(host):
    return float((host.home / "acknowledged").read_text().splitlines()[-1].split()[1])


def promoted_at(host):
    statement = "select extract(epoch from modification) from pg_stat_file('{}')"
    return float(host.sql(statement.format("pg_wal/00000002.history")))


def test_an_isolated_primary_ends_itself_and_nothing_is_acknowledged_there_after_the_promotion(lab):
    w, dead_man = armed(lab)
    assert lab.monitor.metric("failoverd_dead_man_armed") == 1
    writer = own_writer(w.pg1)
    lab.link_down(w.pg1)
    w.wait_until_failed_over(40)
    writer.communicate(timeout=10)
    assert w.pg1.processes("postgres") == []
    assert last_acknowledged(w.pg1) < promoted_at(w.pg2)
    assert dead_man.status().verdict == "fired"
    w.ledger.wait_for(50)
    account = w.ledger.check(w.pg2, enough=100)
    assert account.lost == ()
    assert account.outage_ms < 15_000
    report = lab.monitor.failoverd("report").stdout
    assert "dead_man_expired" in report
    assert "cannot have answered it" in report
    tried = {"node": "pg1", "rung": "dead_man", "outcome": "fenced"}
    assert lab.monitor.metric("failoverd_fence_attempts_total", **tried) == 1
    assert w.status()["nodes"]["pg1"]["job"] == "owed_guard"
    lab.heal()
    w.wait(lambda: w.status()["nodes"]["pg1"]["job"] == "quarantined", 30, "pg1 is quarantined")


@pytest.mark.campaign
def test_a_daemon_that_stops_in_good_order_leaves_nothing_armed_behind(lab):
    w, dead_man = armed(lab)
    assert w.daemon.stop() == 0
    assert dead_man.status().verdict == "disarmed"
    lab.link_down(w.pg1)
    dead_man.wait_until_over()
    assert is_up(w.pg1)
    assert not (w.pg1.data / "standby.signal").exists()


@pytest.mark.campaign
def test_a_daemon_that_was_killed_arms_it_anew_and_can_count_on_it(lab):
    w, dead_man = armed(lab)
    first = dead_man.status().fields["arming"]
    w.daemon.kill()
    w.restart()
    until_armed(w)
    second = dead_man.status().fields["arming"]
    assert second != first
    dead_man.signal(signal.SIGKILL)
    wait_until(
        lambda: dead_man.status().fields.get("arming") != second, 20, "it is armed anew, once lost"
    )
    until_armed(w)
    assert "the dead-man was lost" in w.daemon.log_text
    lab.link_down(w.pg1)
    w.wait_until_failed_over(40)
    assert "dead_man_expired" in lab.monitor.failoverd("report").stdout


@pytest.mark.campaign
def test_a_daemon_that_merely_dies_takes_nothing_down(lab):
    w, dead_man = armed(lab)
    w.daemon.kill()
    wait_until(lambda: dead_man.status().verdict == "disarmed", 90, "it disarms itself")
    dead_man.wait_until_over()
    assert is_up(w.pg1)
    assert not (w.pg1.data / "standby.signal").exists()
    w.ledger.wait_for(50)


@pytest.mark.campaign
def test_it_is_armed_on_the_new_primary_once_somebody_could_take_over_from_it(lab):
    at_any_loss = {"cooldown": "1s", "max_data_loss": "64GB"}
    w, _ = armed(lab, failover=at_any_loss)
    w.pg1.kill9_postmaster()
    w.wait_until_failed_over()
    status = w.status()["dead_man"]
    assert not status["armed"]
    assert status["why"]
    third = lab.database_host("pg1b", "192.0.2.13")
    third.clone_from(w.pg2, slot="pg1b")
    lab.monitor.write_config([w.pg2, third], fencing=LADDER, failover=at_any_loss)
    lab.monitor.failoverd("reload")
    until_armed(w, "pg2")
    assert w.status()["dead_man"]["standbys"] == ["pg1b"]
    lab.link_down(w.pg2)
    w.wait(lambda: w.status().get("primary") == "pg1b", 40, "pg1b is the primary")
    assert w.pg2.processes("postgres") == []


def test_without_an_arming_that_was_acknowledged_its_silence_proves_nothing(lab):
    w = watched(lab, rate=100, fencing=LADDER, postgres={"superuser": "nobody_of_that_name"})
    w.wait(lambda: "it is not armed" in w.daemon.log_text, 15, "it cannot be armed")
    told = w.status()["dead_man"]
    assert not told["armed"]
    assert "nobody_of_that_name" in told["why"]
    lab.link_down(w.pg1)
    status = lab.monitor.wait_for_state("blocked", 40)
    assert status["blocked"]["reason"] == "no_fence_proof"
    assert "dead_man: no arming is acknowledged to this daemon" in status["blocked"]["why"]
    assert w.pg2.in_recovery
    assert is_up(w.pg1)


@pytest.mark.campaign
def test_a_restart_by_hand_does_no_harm_paused_or_not(lab):
    w, dead_man = armed(lab)
    w.pg1.pg_ctl("restart", "-w", "-s")
    started = str(w.pg1.postmaster.pid)
    w.wait(
        lambda: is_armed(w) and dead_man.status().fields.get("armed_postmaster_pid") == started,
        20,
        "it is armed for the new start",
    )
    lab.monitor.failoverd("pause")
    w.wait(lambda: dead_man.status().verdict == "disarmed", 5, "it is disarmed")
    assert w.status()["dead_man"]["why"].startswith("paused by")
    w.pg1.pg_ctl_stop("fast")
    stopped_s = uptime_s()
    dead_man.wait_until_past(stopped_s + AND_THEN_SOME_S)
    assert not (w.pg1.data / "standby.signal").exists()
    w.pg1.start()
    assert not w.pg1.in_recovery
    lab.monitor.failoverd("resume")
    until_armed(w)
    assert w.failovers_begun() == 0


def test_a_living_primary_is_stopped_in_good_order_and_not_by_its_dead_man(lab):
    w, dead_man = armed(lab)
    lab.monitor.failoverd("failover", "--to", "pg2", "--yes", timeout_s=60)
    w.wait_until_failed_over()
    assert dead_man.status().verdict == "disarmed"
    control = w.pg1.run([f"{BIN_DIR}/pg_controldata", "-D", DATA_DIR], user="postgres").stdout
    assert "shut down" in control
    assert w.ledger.check(w.pg2, enough=100).lost == ()


def test_a_primary_that_only_the_daemon_cannot_reach_goes_on(lab):
    w, dead_man = armed(lab)
    lab.part(lab.monitor, w.pg1)
    dead_man.wait_until_past(uptime_s() + AND_THEN_SOME_S)
    assert dead_man.asked() > 5
    assert w.status()["diagnosis"] == "partitioned"
    assert is_up(w.pg1)
    lab.heal()
    w.wait(lambda: w.status()["diagnosis"] == "healthy" and is_armed(w), 20, "all is well")
    assert w.failovers_begun() == 0
