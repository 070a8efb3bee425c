"""One failover, whole and for real: over SSH, between hosts, under a writing application."""

from __future__ import annotations

import json

import pytest

from tests.lab.cluster import watched

pytestmark = pytest.mark.lab

FAULTS = {
    "killed": lambda host: host.kill9_postmaster(),
    "hung": lambda host: host.sigstop_all(),
    "stopped": lambda host: host.pg_ctl_stop("fast"),
}


@pytest.mark.parametrize("fault", FAULTS)
def test_a_lost_primary_is_replaced_and_no_acknowledged_commit_is_missing(lab, fault):
    w = watched(lab)
    FAULTS[fault](w.pg1)
    w.wait_until_failed_over()
    w.ledger.wait_for(600)
    account = w.ledger.check(w.pg2)
    assert account.lost == ()
    assert account.timelines == (1, 2)
    assert w.pg1.processes("postgres") == []
    assert (w.pg1.data / "standby.signal").exists()
    assert lab.monitor.metric("failoverd_primary", node="pg2") == 1
    assert lab.monitor.metric("failoverd_timeline") == 2
    for before, after in (
        ("suspect", "fencing"),
        ("fencing", "electing"),
        ("electing", "salvaging"),
        ("salvaging", "promoting"),
        ("promoting", "confirming"),
        ("confirming", "settling"),
        ("settling", "watching"),
    ):
        seen = lab.monitor.metric(
            "failoverd_state_transitions_total",
            from_state=before, to_state=after, trigger="automatic",
        )  # fmt: skip
        assert seen == 1, (before, after)


def rounds_of_pg1(entries):
    """Why each round began on which a step up to the fence was decided."""
    because = "pg1: was looked at because "
    for entry in entries:
        said = [line for line in entry["seen"] if line.startswith(because)]
        yield said[0].removeprefix(because) if said else "its beat"
        if entry["to_state"] == "fencing":
            return


def test_a_killed_primary_is_acted_on_before_the_second_poll(lab):
    w = watched(lab)
    w.pg1.kill9_postmaster()
    w.wait_until_failed_over()
    entries = json.loads(lab.monitor.failoverd("report", "--json").stdout)["entries"]
    first, *_, last = rounds = list(rounds_of_pg1(entries))
    # The kill may fall into a poll; then that one was the first.
    assert first in ("the held session died", "its beat"), rounds
    assert last == "a second look at conclusive evidence", rounds
    assert rounds.count("its beat") <= 1, rounds
    w.ledger.wait_for(600)
    assert w.ledger.check(w.pg2).lost == ()


def test_the_report_proves_each_line_of_the_manual_procedure(lab):
    w = watched(lab)
    w.pg1.kill9_postmaster()
    w.wait_until_failed_over()
    report = lab.monitor.failoverd("report").stdout
    for words in (
        "pg1 is fenced",
        "standby.signal",
        "pg_promote",
        "received promote request",
        "selected new timeline ID: 2",
        "archive recovery complete",
        "ready to accept connections",
        "committed",
        "the WAL of pg2 reaches",
        "redirect: not configured",
    ):
        assert words in report, words
    document = json.loads(lab.monitor.failoverd("report", "--json").stdout)
    runs = json.dumps(document)
    assert '"duration_s"' in runs
    history = lab.monitor.failoverd("history").stdout
    assert "pg2" in history
    files = [file.name for file in (lab.monitor.state / "reports").glob("main-1.*")]
    assert sorted(files) == ["main-1.json", "main-1.md", "main-1.svg"]
    assert "promoting" in lab.monitor.failoverd("report", "--svg").stdout


def test_where_the_role_may_not_promote_the_owner_of_the_data_directory_does(lab):
    w = watched(lab)
    w.pg1.sql("revoke execute on function pg_promote(boolean, integer) from failoverd")
    w.pg1.sql("revoke execute on function pg_promote(boolean, integer) from public")
    w.pg1.kill9_postmaster()
    w.wait_until_failed_over()
    assert "permission denied for function pg_promote" in lab.monitor.failoverd("report").stdout
    w.ledger.wait_for(600)
    assert w.ledger.check(w.pg2).lost == ()


def test_the_old_primary_started_again_by_hand_is_read_only(lab):
    w = watched(lab)
    w.pg1.kill9_postmaster()
    w.wait_until_failed_over()
    w.pg1.start()
    assert w.pg1.in_recovery
    w.wait(lambda: w.status()["nodes"]["pg1"]["role"] == "standby", 10, "pg1 is seen")
    assert w.status()["state"] == "watching"
    assert not w.pg2.in_recovery


def test_a_primary_that_answers_again_before_the_threshold_is_left_alone(lab):
    w = watched(lab)
    w.pg1.sigstop_all()
    lab.monitor.wait_for_state("suspect", 10)
    w.pg1.sigcont_all()
    lab.monitor.wait_for_state("watching", 10)
    lab.monitor.wait_until(
        lambda: lab.monitor.metric("failoverd_consecutive_failures") == 0, 5, "it is heard"
    )
    w.ledger.wait_for(600)
    assert w.failovers_begun() == 0
    assert w.pg2.in_recovery
    assert not (w.pg1.data / "standby.signal").exists()
    assert w.ledger.check(w.pg1).lost == ()
    alarm, *_ = json.loads(lab.monitor.failoverd("history", "--json").stdout)
    assert alarm["outcome"] == "false_alarm"
    report = lab.monitor.failoverd("report", alarm["id"]).stdout
    assert report.startswith(f"# False alarm {alarm['id']} of cluster main")
    assert "timed_out" in report


def test_a_primary_that_only_the_monitor_cannot_reach_is_left_alone(lab):
    w = watched(lab)
    lab.part(lab.monitor, w.pg1)
    w.wait(lambda: w.status()["diagnosis"] == "partitioned", 15, "it is partitioned")
    assert w.status()["nodes"]["pg2"]["receiver"] == "streaming"
    w.ledger.wait_for(2000, 60)
    assert w.failovers_begun() == 0
    assert w.status()["diagnosis"] == "partitioned"
    lab.heal()
    lab.monitor.wait_for_state("watching", 15)
    assert w.ledger.check(w.pg1).lost == ()


def test_with_nobody_to_take_over_the_primary_is_not_touched(lab):
    w = watched(lab, synchronous=False)
    w.pg2.pg_ctl_stop("immediate")
    w.wait(lambda: not w.status()["nodes"]["pg2"]["up"], 10, "pg2 is down")
    w.pg1.kill9_postmaster()
    w.wait(
        lambda: (
            (s := w.status())["state"] == "blocked" and s["blocked"]["reason"] == "no_candidate"
        ),
        15,
        "nobody can take over",
    )
    assert not (w.pg1.data / "standby.signal").exists()
    w.pg2.start()
    w.wait_until_failed_over()
    assert not w.pg2.in_recovery


def test_a_second_failover_waits_for_the_cooldown_unless_it_is_acknowledged(lab):
    w = watched(lab)
    w.pg1.kill9_postmaster()
    w.wait_until_failed_over()
    status = w.status()
    assert 0 < status["cooldown_remaining_s"] <= 600
    assert any("cooldown" in obstacle for obstacle in status["outlook"]["obstacles"])
    lab.monitor.failoverd("ack")
    assert w.status()["cooldown_remaining_s"] == 0
