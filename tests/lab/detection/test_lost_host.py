"""The primary's host is gone from the network: without a proof nothing is promoted."""

from __future__ import annotations

import pytest

from tests.lab.cluster import watched

pytestmark = [pytest.mark.lab, pytest.mark.timeout(240)]


def test_a_host_that_is_gone_is_unreachable_and_nothing_is_promoted_without_a_proof(lab):
    w = watched(lab, synchronous=False, rate=50)
    lab.link_down(w.pg1)
    w.wait(lambda: w.status()["diagnosis"] == "unreachable", 30, "pg1 is unreachable")
    status = lab.monitor.wait_for_state("blocked", 60)
    assert status["blocked"]["reason"] == "no_fence_proof"
    assert "failoverd fenced pg1" in status["blocked"]["advice"]
    assert status["diagnosis"] == "unreachable"
    assert w.pg2.in_recovery
    assert not w.pg1.in_recovery
    assert not (w.pg1.data / "standby.signal").exists()


def test_when_it_comes_back_well_it_is_watched_again(lab):
    w = watched(lab, synchronous=False, rate=50)
    lab.link_down(w.pg1)
    lab.monitor.wait_for_state("blocked", 60)
    lab.heal()
    w.wait(
        lambda: (s := w.status())["state"] == "watching" and s["diagnosis"] == "healthy",
        60,
        "it is watched again",
    )
    assert w.status()["primary"] == "pg1"
    assert w.pg2.in_recovery
    assert not (w.pg1.data / "standby.signal").exists()
    assert w.pg2.sql("show primary_conninfo") != ""
    w.ledger.wait_for(100)
