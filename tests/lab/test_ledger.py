"""Every acknowledged commit, failover after failover, with standbys that are far behind."""

from __future__ import annotations

import sys
from collections.abc import Sequence

import pytest

from tests.lab.cluster import would_work
from tests.lab.held_back import (
    fill,
    hold_back,
    hold_back_by_filter,
    rebuild,
    release,
    switch_point,
    true_end,
)
from tests.lab.lab import Lab, make_synchronous
from tests.lab.ledger import Account
from tests.lab.server import DatabaseHost

pytestmark = pytest.mark.lab

LAG_MB = 50
CRASH, HANG, STOP = "crash", "hang", "stop"
FAULTS = {
    CRASH: lambda host: host.kill9_all(),
    HANG: lambda host: host.sigstop_all(),
    STOP: lambda host: host.pg_ctl_stop("fast", 40),
}
ASYNC, SYNC = "asynchronous", "synchronous"
Round = tuple[str, str]


def cluster(lab: Lab, standbys: int, **failover: object) -> None:
    """pg1 and its standbys, watched; nothing waits for a cooldown."""
    first = lab.database_host("pg1", "192.0.2.11")
    first.initdb_primary()
    for number in range(2, standbys + 2):
        lab.database_host(f"pg{number}", f"192.0.2.1{number}").clone_from(first, slot=f"pg{number}")
    lab.monitor.write_config(lab.servers, rejoin="manual", failover=failover)
    lab.monitor.start_daemon()
    lab.monitor.wait_ready()


def primary_of(lab: Lab) -> DatabaseHost:
    name = lab.monitor.status()["primary"]
    return next(server for server in lab.servers if server.name == name)


def failover(lab: Lab, fault: str, replication: str) -> tuple[Account, DatabaseHost]:
    """One of them, from a cluster that is whole; what the application was promised, and the old."""
    old = primary_of(lab)
    others = [server for server in lab.servers if server is not old]
    lab.monitor.failoverd("ack")
    if replication == SYNC:
        make_synchronous(old, f"ANY 1 ({', '.join(server.name for server in others)})")
    lab.monitor.wait_until(lambda: would_work(lab), 20, "a failover would work")
    ledger = lab.app.start_ledger(lab.servers)
    ledger.wait_for(200, 30)
    if replication == ASYNC:
        if fault == STOP:
            hold_back_by_filter(lab, old, others)
        else:
            hold_back(old, *others)
        fill(old, LAG_MB)
        ledger.wait_for(200, 30)
    FAULTS[fault](old)
    lab.monitor.wait_until(
        lambda: (
            lab.monitor.status().get("primary") != old.name
            and lab.monitor.status()["state"] == "watching"
        ),
        60,
        f"another primary than {old.name}",
    )
    new = primary_of(lab)
    ledger.wait_for_node(new.name, 20)
    ledger.wait_for(200, 30)
    return ledger.check(new, enough=300), old


def what_was_lost(old: DatabaseHost, new: DatabaseHost) -> int:
    """In bytes, by the disk of the one and the history of the other."""
    return max(0, true_end(old, new.timeline - 1) - switch_point(new))


def whole_again(lab: Lab) -> None:
    release(lab)
    new = primary_of(lab)
    new.sql("drop table if exists filling; checkpoint")
    for server in lab.servers:
        if server is not new:
            rebuild(server, new)


def campaign(lab: Lab, standbys: int, rounds: Sequence[Round]) -> None:
    cluster(lab, standbys)
    for number, (fault, replication) in enumerate(rounds, 1):
        if number > 1:
            whole_again(lab)
        which = f"round {number}: {fault}, {replication}"
        account, old = failover(lab, fault, replication)
        new = primary_of(lab)
        assert account.lost == (), which
        assert what_was_lost(old, new) == 0, which
        assert lab.monitor.metric("failoverd_wal_lost_bytes") == 0, which
        assert lab.monitor.metric("failoverd_wal_lost_exact") == 1, which
        sys.stdout.write(
            f"{standbys} standbys, {which}: {account.acknowledged} commits, none lost;"
            f" nobody wrote for {account.outage_ms:.0f} ms\n"
        )


def rounds_of(count: int) -> list[Round]:
    """Every fault with either replication, in turn."""
    kinds = [(f, r) for r in (ASYNC, SYNC) for f in (CRASH, HANG, STOP)]
    return [kinds[number % len(kinds)] for number in range(count)]


def test_nothing_acknowledged_is_lost_with_one_standby(lab):
    campaign(lab, 1, [(CRASH, ASYNC), (HANG, ASYNC), (STOP, SYNC)])
    assert lab.monitor.metric("failoverd_wal_salvaged_bytes_total") > 2 * LAG_MB * 1000 * 1000


def test_nothing_acknowledged_is_lost_with_two_standbys(lab):
    campaign(lab, 2, [(STOP, ASYNC), (CRASH, SYNC)])


@pytest.mark.campaign
@pytest.mark.timeout(3600)
@pytest.mark.parametrize(("standbys", "count"), [(1, 24), (2, 14), (3, 12)])
def test_nothing_acknowledged_is_lost_in_fifty_failovers(lab, standbys, count):
    campaign(lab, standbys, rounds_of(count))


def test_without_salvage_the_same_crash_loses_commits_and_the_loss_is_told_to_the_byte(lab):
    cluster(lab, 1, salvage=False, max_data_loss="1GB")
    account, old = failover(lab, CRASH, ASYNC)
    new = primary_of(lab)
    assert account.lost != ()
    lost = what_was_lost(old, new)
    assert lost > LAG_MB * 1000 * 1000
    assert lab.monitor.metric("failoverd_wal_lost_bytes") == lost
    assert lab.monitor.metric("failoverd_wal_lost_exact") == 1
