"""What is our own fault, or another node's, is never held against the primary."""

from __future__ import annotations

import signal

import pytest

from tests.lab.cluster import watched

pytestmark = pytest.mark.lab


def looks(lab, node):
    count = lab.monitor.metric("failoverd_probe_duration_seconds_count", node=node, kind="fresh")
    return count or 0


def test_a_hung_standby_never_delays_the_looks_at_the_primary(lab):
    w = watched(lab, synchronous=False)
    before = looks(lab, "pg1"), looks(lab, "pg2")
    w.pg2.sigstop_all()
    w.wait(lambda: looks(lab, "pg2") >= before[1] + 4, 30, "pg2 was looked at in vain, four times")
    assert looks(lab, "pg1") >= before[0] + 3
    assert w.status()["diagnosis"] == "healthy"
    assert w.failovers_begun() == 0


def test_a_daemon_that_was_frozen_beyond_the_threshold_leaves_a_healthy_primary_alone(lab):
    w = watched(lab)
    w.daemon.signal(signal.SIGSTOP)
    w.ledger.wait_for(4000, 60)
    w.daemon.signal(signal.SIGCONT)
    w.wait(
        lambda: "event loop" in w.daemon.log_text or lab.monitor.status(), 15, "it is back"
    )  # fmt: skip
    seen = looks(lab, "pg1")
    w.wait(lambda: looks(lab, "pg1") >= seen + 4, 20, "it looked four times again")
    assert w.failovers_begun() == 0
    assert w.status()["state"] == "watching"
    assert not (w.pg1.data / "standby.signal").exists()
    assert w.ledger.check(w.pg1).lost == ()


@pytest.mark.campaign
@pytest.mark.timeout(300)
def test_readiness_does_not_flap_on_a_machine_that_is_busy(lab):
    watched(lab, synchronous=False, rate=20)

    def ready():
        return lab.monitor.metric("failoverd_ready")

    lab.monitor.wait_until(lambda: ready() == 1, 60, "it is ready")
    before, seen = looks(lab, "pg1"), []
    busy = [lab.monitor.spawn(["sh", "-c", "while :; do :; done"]) for _ in range(8)]
    lab.monitor.wait_until(
        lambda: seen.append(ready()) or looks(lab, "pg1") >= before + 60, 200, "60 looks at pg1"
    )
    lab.monitor.run(["pkill", "-KILL", "-f", "while :"])
    for one in busy:
        one.communicate(timeout=20)
    assert set(seen) == {1}


def test_a_wrong_password_is_misconfigured_and_no_failover(lab):
    w = watched(lab)
    w.pg1.sql("alter role failoverd password 'changed'")
    w.wait(lambda: w.status()["diagnosis"] == "misconfigured", 15, "it is misconfigured")
    w.ledger.wait_for(2000, 60)
    assert w.failovers_begun() == 0
    assert w.pg2.in_recovery
    assert w.ledger.check(w.pg1).lost == ()
