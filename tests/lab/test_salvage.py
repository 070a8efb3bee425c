"""Salvage over SSH when something comes in between: whatever it is, the loss is known or none."""

from __future__ import annotations

import pytest

from tests.lab.cluster import Watched, watched
from tests.lab.held_back import fill, hold_back, switch_point, true_end
from tests.lab.lab import Lab

pytestmark = [pytest.mark.lab, pytest.mark.campaign]


def behind(lab: Lab, megabytes: int, **failover: object) -> Watched:
    """A watched pair without synchronous replication, whose standby is so far behind."""
    w = watched(lab, synchronous=False, rate=100, failover=failover)
    hold_back(w.pg1, w.pg2)
    fill(w.pg1, megabytes)
    w.ledger.wait_for(100, 20)
    return w


def nothing_lost(w: Watched) -> None:
    w.wait_until_failed_over(60)
    w.ledger.wait_for(100, 30)
    assert w.ledger.check(w.pg2, enough=200).lost == ()
    assert switch_point(w.pg2) == true_end(w.pg1, 1)


def some_has_arrived(w: Watched) -> bool:
    return w.status()["state"] == "salvaging" and "have arrived" in w.status()["sentence"]


def test_a_daemon_that_is_killed_in_the_middle_goes_on_behind_what_has_arrived(lab):
    w = behind(lab, 60, salvage_rate="12MB")
    w.pg1.kill9_all()
    w.wait(lambda: some_has_arrived(w), 30, "some of it has arrived")
    w.daemon.kill()
    w.restart()
    nothing_lost(w)
    assert lab.monitor.metric("failoverd_wal_salvaged_bytes_total") < 50 * 1024 * 1024


def test_a_connection_that_is_cut_in_the_middle_is_made_anew(lab):
    w = behind(lab, 60, salvage_rate="12MB")
    w.pg1.kill9_all()
    w.wait(lambda: some_has_arrived(w), 30, "some of it has arrived")
    lab.network.cut_sessions(lab.monitor, w.pg2, 22)
    nothing_lost(w)
    assert "lacks WAL up to" in lab.monitor.failoverd("report").stdout


def test_what_is_lost_is_measured_when_the_disk_can_be_read_again(lab):
    w = behind(lab, 3)
    wal, away = w.pg1.data / "pg_wal", w.pg1.data / "pg_wal.away"
    w.wait(lambda: w.status()["nodes"]["pg2"]["lag_bytes"] > 3_000_000, 10, "the lag is seen")
    wal.rename(away)
    w.pg1.kill9_all()
    w.wait_until_failed_over(30)
    assert lab.monitor.metric("failoverd_wal_lost_exact") == 0
    estimated = lab.monitor.metric("failoverd_wal_lost_bytes")
    report = lab.monitor.failoverd("report").stdout
    assert "Estimated, in bytes of WAL" in report
    assert "could not be read" in report
    away.rename(wal)
    w.wait(lambda: lab.monitor.metric("failoverd_wal_lost_exact") == 1, 40, "it is measured")
    lost = true_end(w.pg1, 1) - switch_point(w.pg2)
    assert 3_000_000 < lost <= estimated
    assert lab.monitor.metric("failoverd_wal_lost_bytes") == lost
    told = lab.monitor.failoverd("report", "1").stdout
    assert f"Proven, in bytes of WAL, which are not commits: {lost} bytes" in told


def test_zero_is_proof_or_no_promotion(lab):
    w = behind(lab, 1, max_data_loss="0")
    (w.pg1.data / "pg_wal").rename(w.pg1.data / "pg_wal.away")
    w.pg1.kill9_all()
    w.wait(
        lambda: (
            (s := w.status())["state"] == "blocked"
            and s["blocked"]["reason"] in ("loss_too_large", "no_candidate", "no_fence_proof")
        ),
        40,
        "nothing is promoted",
    )
    assert w.pg2.in_recovery
    (w.pg1.data / "pg_wal.away").rename(w.pg1.data / "pg_wal")
    w.wait(lambda: w.status()["state"] == "watching", 60, "somebody is the primary")
    account = w.ledger
    account.wait_for(50, 30)
    primary = w.pg1 if w.pg2.in_recovery else w.pg2
    assert account.check(primary, enough=100).lost == ()
