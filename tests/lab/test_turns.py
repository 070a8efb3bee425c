"""A cluster of three is turned round and round, by faults and on purpose, and nobody helps."""

from __future__ import annotations

import statistics
import sys

import pytest

from tests.lab import balancer, pooler
from tests.lab.cluster import Watched, wait_until_it_would_work
from tests.lab.ledger import Account
from tests.lab.planned import REPLICATION, of, wait_until_all_stream
from tests.lab.server import REPLICATION_PASSWORD
from tests.lab.ways import Way, all_lead_to

pytestmark = pytest.mark.lab

EXTRA = {"failover": {"cooldown": "0s", "max_per_day": 1000}, "rejoin_delay": "0s"}


def three_behind_both_ways(lab):
    """An application through HAProxy, and another one through PgBouncer."""
    lab.monitor  # noqa: B018 - its key opens the hosts: it comes first
    servers = lab.trio()
    for one in (balancer.Balancer(lab), pooler.Pooler(lab)):
        one.start()
    lab.monitor.private_file("replication", REPLICATION_PASSWORD + "\n")
    targets = [balancer.target(), pooler.target(lab)]
    lab.monitor.write_config(lab.servers, redirect=targets, replication=REPLICATION, **EXTRA)
    daemon = lab.monitor.start_daemon()
    wait_until_it_would_work(lab)
    lab.monitor.wait_until(lambda: all_lead_to(lab, "pg1"), 15, "every way leads to pg1")
    ledgers = [
        lab.app.start_ledger([Way(name, address)], rate=50)  # type: ignore[list-item]
        for name, address in (("proxy", balancer.ADDRESS), ("pooler", pooler.ADDRESS))
    ]
    return Watched(lab, servers[0], servers[1], daemon, ledgers[0]), ledgers


def tell(way: str, account: Account) -> None:
    """The figures of docs/verification.md, for whoever runs it with -s."""
    for kind, outages in (
        ("crashes", account.outages_ms[::2]),
        ("switchovers", account.outages_ms[1::2]),
    ):
        sys.stdout.write(
            f"{way}, {len(outages)} {kind}: nobody wrote for {statistics.median(outages):.0f} ms"
            f" (median), {max(outages):.0f} ms (longest); {account.acknowledged} commits in all\n"
        )


@pytest.mark.parametrize(
    "turns", [5, pytest.param(50, marks=[pytest.mark.campaign, pytest.mark.timeout(3600)])]
)
def test_turned_round_nothing_is_lost_and_everything_streams_again_each_time(lab, turns):
    w, ledgers = three_behind_both_ways(lab)
    for turn in range(turns):
        before = w.status()["primary"]
        w.wait(lambda: not w.status()["switchover_obstacles"], 60, "a switchover could begin")
        if turn % 2:
            lab.monitor.failoverd("switchover", "--yes", timeout_s=120)
        else:
            of(w, before).kill9_postmaster()
        w.wait(
            lambda before=before: (
                (s := w.status())["primary"] != before and s["state"] == "watching"
            ),
            60,
            f"turn {turn}: another primary than {before}",
        )
        wait_until_all_stream(w, 120)
        for ledger in ledgers:
            ledger.wait_for(20, 60)
    primary = of(w, w.status()["primary"])
    for way, ledger in zip(("HAProxy", "PgBouncer"), ledgers, strict=True):
        account = ledger.check(primary, enough=20 * turns)
        tell(way, account)
        assert account.lost == ()
        assert account.timelines == tuple(sorted(set(account.timelines)))
    assert w.status()["timeline"] == turns + 1
