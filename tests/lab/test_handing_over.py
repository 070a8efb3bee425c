"""A candidate that was asked to promote and does not: it is stopped, and the next one is asked."""

from __future__ import annotations

import pytest

from tests.lab.test_repoint import new_primary, watched_with

pytestmark = pytest.mark.lab


def test_a_candidate_that_hangs_is_stopped_and_the_next_one_takes_over(lab):
    pg1, pg2, (pg3,), ledger = watched_with(
        lab, 2, synchronous="ANY 2 (pg2, pg3)", limits={"promote": "2s"}
    )
    pg2.sigstop_replay()
    pg1.kill9_postmaster()
    assert new_primary(lab, 60) is pg3
    assert pg2.processes("postgres") == []
    assert (pg2.data / "standby.signal").exists()
    pg2.start()
    report = lab.monitor.failoverd("report").stdout
    assert "giving pg2 up, which must be stopped before another is asked" in report
    assert "pg2 is stopped, starts as a standby only, and was not promoted" in report
    ledger.wait_for_node("pg3", 15)
    ledger.wait_for(20, 30)
    assert ledger.check(pg3, enough=60).lost == ()
    pg2.wait_for_sql(
        "select status || ' ' || received_tli || ' ' || sender_host from pg_stat_wal_receiver",
        f"streaming 2 {pg3.address}",
        40,
    )
