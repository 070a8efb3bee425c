"""Two primaries of one origin, really: seen, alerted, counted to the commit, fenced by right."""

from __future__ import annotations

import json

import pytest

from tests.lab.cluster import watched

pytestmark = [pytest.mark.lab, pytest.mark.timeout(240)]

LOST = 23
PATIENT = {"failures": 1000}
"""Who is cut off is not fenced before somebody has promoted another."""


def looked_at(lab, w, *, times):
    """pg1 is looked at so many times more."""

    def looks():
        return lab.monitor.metric(
            "failoverd_probe_duration_seconds_count", node="pg1", kind="fresh"
        )

    seen = looks()
    w.wait(lambda: looks() >= seen + times, 20, f"it was looked at {times} times more")


def parted(lab, **sections):
    """pg1 is cut off and goes on; pg2 was promoted by hand beside it and is followed."""
    w = watched(lab, synchronous=False, rate=50, detection=PATIENT, **sections)
    w.ledger.check(w.pg1, enough=5)
    for host in (w.pg1, w.pg2):
        # Its own commits would be counted, too.
        host.sql("alter system set autovacuum = off")
        host.sql("select pg_reload_conf()")
    lab.link_down(w.pg1)
    w.pg2.pg_ctl("promote", "-w")
    w.wait(
        lambda: (s := w.status())["primary"] == "pg2" and s["state"] == "watching",
        30,
        "pg2 is followed",
    )
    assert w.status()["nodes"]["pg1"]["job"] == "superseded"
    return w


def commits(host, count):
    for number in range(count):
        host.sql(f"insert into ledger values ({-1 - number})")


def commits_beyond_the_fork(w):
    """As the harness itself finds them, by the rows that only pg1 has."""
    there = set(w.pg1.sql("select id from ledger").split())
    return there - set(w.pg2.sql("select id from ledger").split())


def the_report(lab):
    text = lab.monitor.failoverd("report").stdout
    return text, json.loads(lab.monitor.failoverd("report", "--json").stdout)


def test_an_isolated_primary_that_comes_back_is_alerted_and_its_own_commits_are_counted(lab):
    w = parted(lab)
    commits(w.pg1, LOST)
    w.wait(lambda: w.status()["nodes"]["pg1"]["up"] is False, 10, "pg1 is out of sight")
    only_there = commits_beyond_the_fork(w)
    assert len(only_there) >= LOST
    rounds = w.status()["nodes"]["pg1"]
    assert rounds["role"] == "unknown"
    lab.heal()
    status = lab.monitor.wait_for_state("blocked", 20)
    assert status["blocked"]["reason"] == "split_brain"
    assert status["blocked"]["advice"] == "failoverd fence pg1"
    assert status["diagnosis"] == "split_brain"
    assert lab.monitor.metric("failoverd_blocked", reason="split_brain") == 1
    assert lab.monitor.metric("failoverd_diagnosis", diagnosis="split_brain") == 1
    assert lab.monitor.metric("failoverd_split_brains_total") == 1
    said = [line for line in w.daemon.log_text.splitlines() if '"level": "error"' in line]
    assert any("pg1 (timeline 1) and pg2 (timeline 2) take writes" in line for line in said)
    found = w.wait(lambda: w.status()["nodes"]["pg1"]["divergence"], 20, "it is counted")
    assert found["commits"] == len(only_there)
    assert found["complete"]
    assert found["running"]
    assert found["wal_bytes"] > 0
    assert lab.monitor.metric("failoverd_diverged_commits", node="pg1") == len(only_there)
    text, document = the_report(lab)
    assert document["outcome"] == "split_brain"
    assert f"pg1 has {len(only_there)} transactions" in text
    (command,) = found["commands"]
    assert command in text
    shown = w.pg1.run(["sh", "-c", command], user="postgres", check=False).stdout
    assert shown.count("desc: COMMIT ") == len(only_there)
    # Alert is what was asked for: nobody is touched, for as many polls as there may be.
    looked_at(lab, w, times=4)
    assert w.pg1.postmaster is not None
    assert not w.pg1.in_recovery
    lab.monitor.failoverd("fence", "pg1", "--yes")
    w.wait(lambda: w.status()["nodes"]["pg1"]["job"] == "quarantined", 20, "pg1 is fenced")
    w.wait(lambda: w.status()["state"] == "watching", 20, "pg2 is watched")
    final = w.wait(
        lambda: (d := w.status()["nodes"]["pg1"]["divergence"]) and not d["running"] and d,
        30,
        "it is counted once more",
    )
    assert final["commits"] == len(only_there)
    assert w.pg2.postmaster is not None


@pytest.mark.campaign
def test_with_fence_the_superseded_one_is_fenced_within_seconds_and_counted_afterwards(lab):
    """Rule 9: the journal records it as superseded."""
    w = parted(lab, failover={"on_split_brain": "fence"})
    commits(w.pg1, LOST)
    only_there = commits_beyond_the_fork(w)
    lab.heal()
    w.wait(lambda: w.status()["nodes"]["pg1"]["job"] == "quarantined", 20, "pg1 is fenced")
    assert w.pg1.postmaster is None
    assert (w.pg1.data / "failoverd.guard").exists()
    assert not w.pg2.in_recovery
    final = w.wait(
        lambda: (d := w.status()["nodes"]["pg1"]["divergence"]) and not d["running"] and d,
        40,
        "it is counted when it is over",
    )
    assert final["commits"] == len(only_there)
    w.wait(lambda: w.status()["state"] == "watching", 20, "pg2 is watched")
    text, document = the_report(lab)
    assert document["outcome"] == "split_brain"
    assert f"pg1 has {len(only_there)} transactions" in text


def test_with_fence_of_two_that_the_journal_does_not_know_neither_is_touched(lab):
    """Rule 9: never by its timeline number alone."""
    w = watched(lab, synchronous=False, rate=50, failover={"on_split_brain": "fence"})
    w.pg2.pg_ctl("promote", "-w")
    status = lab.monitor.wait_for_state("blocked", 10)
    assert status["blocked"]["reason"] == "split_brain"
    w.wait(lambda: w.status()["nodes"]["pg1"]["divergence"], 20, "it is counted")
    looked_at(lab, w, times=5)
    for host in (w.pg1, w.pg2):
        assert host.postmaster is not None
        assert not host.in_recovery
        assert not (host.data / "failoverd.guard").exists()


@pytest.mark.campaign
def test_a_fenced_one_whose_guard_somebody_took_away_is_fenced_again_by_any_policy(lab):
    """Rule 9: the journal records it as fenced."""
    w = watched(lab, rate=50)
    w.pg1.kill9_postmaster()
    w.wait_until_failed_over()
    for name in ("standby.signal", "failoverd.guard"):
        (w.pg1.data / name).unlink()
    w.pg1.start()
    w.wait(lambda: not w.pg1.processes("postgres"), 20, "pg1 is stopped again")
    w.wait((w.pg1.data / "failoverd.guard").exists, 10, "it is guarded again")
    w.wait(lambda: w.status()["state"] == "watching", 20, "pg2 is watched")
    assert w.status()["primary"] == "pg2"
    assert w.status()["nodes"]["pg1"]["job"] == "quarantined"
