"""A standby that is of no use never harms the primary. Beside the table, whose trial asks pg2."""

from __future__ import annotations

import pytest

from tests.lab.cluster import watched, would_work

pytestmark = pytest.mark.lab

COMMITS = 450
"""At 50 a second: three thresholds."""


def hold(w, diagnosis):
    w.wait(lambda: w.status()["diagnosis"] == diagnosis, 30, f"the primary is {diagnosis}")
    w.ledger.wait_for(COMMITS, 60)
    status = w.status()
    assert status["diagnosis"] == diagnosis
    assert w.failovers_begun() == 0
    assert not (w.pg1.data / "standby.signal").exists()
    assert (w.pg2.data / "standby.signal").exists()


def be_well_again(w):
    w.lab.heal()
    w.wait(lambda: w.status()["diagnosis"] == "healthy", 30, "the primary is healthy")
    w.wait(lambda: would_work(w.lab), 60, "a failover would work again")


def test_a_standby_that_hangs(lab):
    w = watched(lab, synchronous=False, rate=50)
    w.pg2.sigstop_all()
    w.wait(lambda: not w.status()["nodes"]["pg2"]["up"], 15, "pg2 does not answer")
    hold(w, "healthy")
    w.pg2.sigcont_all()
    be_well_again(w)


def test_a_standby_that_is_down(lab):
    w = watched(lab, synchronous=False, rate=50)
    w.pg2.pg_ctl_stop("fast")
    w.wait(lambda: not w.status()["nodes"]["pg2"]["up"], 15, "pg2 does not answer")
    hold(w, "healthy")
    w.pg2.start()
    be_well_again(w)


def test_a_standby_that_is_down_while_we_are_cut_off_from_the_primary(lab):
    """The host of the standby still reaches the primary, and says so."""
    w = watched(lab, synchronous=False, rate=50)
    w.pg2.pg_ctl_stop("fast")
    lab.part(lab.monitor, w.pg1)
    hold(w, "partitioned")
    w.pg2.start()
    be_well_again(w)
