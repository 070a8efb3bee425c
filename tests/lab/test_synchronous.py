"""`synchronous: managed` on real servers: dropped, restored, and what a crash then loses."""

from __future__ import annotations

import contextlib
import json
import sqlite3

import pytest

from tests.lab.test_repoint import new_primary, wait_until_all_follow, watched_with

pytestmark = pytest.mark.lab
NAMES = "show synchronous_standby_names"


def journaled(lab):
    """What was written down, in its order."""
    path = lab.monitor.state / "journal.sqlite3"
    with contextlib.closing(sqlite3.connect(f"file:{path}?mode=ro", uri=True)) as journal:
        entries = journal.execute("select entry from records order by id").fetchall()
    return [json.loads(entry)["sentence"] for (entry,) in entries]


def test_a_lost_standby_is_dropped_and_restored_and_a_crash_then_loses_nothing(lab):
    pg1, _, (pg3,), ledger = watched_with(lab, 2, synchronous_mode="managed")
    pg1.wait_for_sql(NAMES, 'ANY 1 ("pg2", "pg3")', 20)
    pg3.pg_ctl_stop("immediate")
    pg1.wait_for_sql(NAMES, 'ANY 1 ("pg2")', 20)
    decided, done = (
        'synchronous replication is lowered: commits are to wait for ANY 1 ("pg2")',
        "pg1: synchronous_standby_names = 'ANY 1 (\"pg2\")'",
    )
    lab.monitor.wait_until(lambda: done in journaled(lab), 10, "the answer is journaled")
    written = journaled(lab)
    first = next(n for n, sentence in enumerate(written) if sentence.startswith(decided))
    assert first < written.index(done)
    ledger.wait_for(20, 30)
    pg3.start()
    pg1.wait_for_sql(NAMES, 'ANY 1 ("pg2", "pg3")', 30)
    pg1.kill9_postmaster()
    primary = new_primary(lab)
    ledger.wait_for_node(primary.name, 15)
    wait_until_all_follow(lab, primary)
    other = "pg3" if primary.name == "pg2" else "pg2"
    primary.wait_for_sql(NAMES, f'ANY 1 ("{other}")', 20)
    ledger.wait_for(20, 30)
    assert ledger.check(primary, enough=100).lost == ()


def crashed_while_lowered(lab, *, max_data_loss):
    """The primary went on alone, and is gone; its standby is back, and lacks that."""
    failover = {"max_data_loss": max_data_loss, "salvage": False}
    pg1, pg2, _, ledger = watched_with(lab, 1, synchronous_mode="managed", failover=failover)
    pg1.wait_for_sql(NAMES, 'ANY 1 ("pg2")', 20)
    pg2.pg_ctl_stop("fast")
    pg1.wait_for_sql(NAMES, "", 40)
    ledger.wait_for(20, 30)
    pg1.kill9_postmaster()
    pg2.start()
    return pg1, pg2, ledger


@pytest.mark.campaign
def test_a_crash_while_it_is_lowered_promotes_within_the_loss_that_is_configured_and_says_so(lab):
    _, pg2, ledger = crashed_while_lowered(lab, max_data_loss="16MB")
    assert new_primary(lab, 60) is pg2
    ledger.wait_for_node("pg2", 15)
    report = lab.monitor.failoverd("report").stdout
    assert "acknowledged commits may be missing" in report
    assert 0 < lab.monitor.metric("failoverd_wal_lost_bytes") < 16 << 20
    assert ledger.check(pg2, enough=40).lost != ()


@pytest.mark.campaign
def test_a_crash_while_it_is_lowered_promotes_nobody_unless_an_operator_accepts_the_loss(lab):
    pg1, pg2, ledger = crashed_while_lowered(lab, max_data_loss="0")
    lab.monitor.wait_until(
        lambda: (
            (s := lab.monitor.status())["state"] == "blocked"
            and "max_data_loss is 0" in s["blocked"]["why"]
        ),
        60,
        "nobody may take over",
    )
    assert pg2.in_recovery
    assert not (pg1.data / "standby.signal").exists()
    lab.monitor.failoverd("failover", "--accept-loss", "1GB", "--yes")
    assert new_primary(lab) is pg2
    ledger.wait_for_node("pg2", 15)
    assert "acknowledged commits may be missing" in lab.monitor.failoverd("report").stdout
    assert ledger.check(pg2, enough=40).lost != ()
