"""Observe mode: it watches, acts on nothing, and tells what it would have done and when."""

from __future__ import annotations

import json

import pytest

from tests.lab.cluster import watched

pytestmark = pytest.mark.lab


def entries_of(lab):
    told = json.loads(lab.monitor.failoverd("history", "--json").stdout)
    return [one for one in told if one["outcome"] == "observed"]


def test_beside_another_tool_it_says_what_it_would_have_done_and_follows_what_was_done(lab):
    w = watched(lab, synchronous=False, failover={"mode": "observe"})
    w.pg1.kill9_postmaster()
    (would,) = lab.monitor.wait_until(
        lambda: entries_of(lab), 15, "it says what it would have done"
    )
    report = lab.monitor.failoverd("report", would["id"]).stdout
    assert "it would fence pg1" in report
    assert would["diagnosis"] == "crashed"
    assert "it would fence pg1" in would["sentence"]
    assert "pg2" in would["sentence"]
    assert w.failovers_begun() == 0
    assert not (w.pg1.data / "standby.signal").exists()
    assert w.pg2.in_recovery
    assert lab.monitor.status()["would"]
    counted = lab.monitor.metric(
        "failoverd_failovers_total", trigger="automatic", outcome="observed"
    )
    assert counted == 1
    w.pg2.sql("select pg_promote()")
    w.wait_until_failed_over()
    assert w.failovers_begun() == 0
    assert len(entries_of(lab)) == 1
