"""A daemon that gets next to no processor time, and answers nobody: beside the table."""

from __future__ import annotations

import json

import pytest

from tests.lab.cluster import watched, would_work
from tests.lab.detection.overload import Overload

pytestmark = [pytest.mark.lab, pytest.mark.timeout(240)]


def diagnosed(w):
    lines = [json.loads(line) for line in w.daemon.log_text.splitlines() if line.startswith("{")]
    return {line["diagnosis"] for line in lines if line.get("diagnosis")}


def test_a_starved_daemon_holds_nothing_against_the_primary(lab):
    w = watched(lab, synchronous=False, rate=50)
    overload = Overload(nice=19)
    overload.begin(w)
    w.ledger.wait_for(50 * 20, 120)
    overload.end(w)
    w.wait(lambda: w.status().get("diagnosis") == "healthy", 30, "the primary is healthy")
    w.wait(lambda: would_work(lab), 30, "a failover would work")
    assert diagnosed(w) <= {"healthy", "blind"}
    assert w.failovers_begun() == 0
    assert w.pg2.in_recovery
    assert not (w.pg1.data / "standby.signal").exists()
