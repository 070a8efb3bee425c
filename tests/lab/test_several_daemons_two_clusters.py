"""Three daemons over two clusters: each has its leader, and what befalls one spares the other."""

from __future__ import annotations

import signal

import pytest

from tests.lab.lab import make_synchronous
from tests.lab.several import LEASE_S, of_cluster, several

pytestmark = [pytest.mark.lab, pytest.mark.campaign, pytest.mark.timeout(300)]


@pytest.fixture
def both(lab):
    """`main` (pg1, pg2) and `shop` (db1, db2), each with an application that writes."""
    shop = lab.database_host("db1", "192.0.2.21"), lab.database_host("db2", "192.0.2.22")
    shop[0].initdb_primary()
    shop[1].clone_from(shop[0], slot="db2")
    make_synchronous(shop[0], "db2")
    main = several(lab, more={"shop": shop})
    second = of_cluster(main, "shop", shop)
    leader = second.leader()
    second.wait(
        lambda: second.status(leader)["outlook"]["obstacles"] == [], 30, "a failover would work"
    )
    return main, second


def is_watched(w, monitors):
    """By whoever leads there, and shown by the others."""
    leader = w.leader(monitors)
    w.wait(lambda: w.status(leader)["state"] == "watching", 20, "it is watched")
    assert w.status(leader)["diagnosis"] == "healthy"
    name = w.status(leader)["primary"]
    for one in monitors:
        w.wait(
            lambda one=one: w.status(one)["primary"] == name and one.metric(
                "failoverd_primary", cluster=w.cluster, node=name
            ) == 1, 20, f"{one.name} shows it",
        )  # fmt: skip
    return leader


def test_a_leader_killed_during_the_failover_of_one_cluster_leaves_both_to_others(both):
    main, shop = both
    leader = main.leader()
    main.crash_and_wait_until(leader, "fencing").kill()
    left = main.others(leader)
    next_leader = main.next_leader_fails_over(leader)
    assert main.status(next_leader)["epoch"] == 1
    is_watched(main, left)
    of_shop = is_watched(shop, left)
    assert shop.fenced_by() == []
    assert shop.status(of_shop)["epoch"] == 0
    assert shop.writable() == [shop.pg1]
    main.nothing_is_lost()
    # And the other one is as well off as before.
    shop.crash()
    shop.wait_until_failed_over(of_shop)
    shop.nothing_is_lost()
    assert len(main.fenced_by()) <= 2


def test_where_both_primaries_crash_and_the_leader_dies_both_are_failed_over_once(both):
    main, shop = both
    leader = main.leader()
    daemon = main.daemon_of(leader)
    shop.crash()
    main.crash()
    main.until(daemon, "fencing")
    daemon.kill()
    left = main.others(leader)
    for w in both:
        finished = w.leader(left)
        w.wait_until_failed_over(finished)
        assert w.status(finished)["epoch"] == 1
        account = w.nothing_is_lost()
        assert account.outage_ms < (2 * LEASE_S + 20) * 1000


def test_a_leader_stopped_for_longer_than_its_lease_acts_on_neither_cluster_when_it_wakes(both):
    main, shop = both
    leader = main.leader()
    sleeper = main.crash_and_stop_at(leader, "fencing")
    next_leader = main.next_leader_fails_over(leader)
    is_watched(shop, main.others(leader))
    sleeper.signal(signal.SIGCONT)
    main.follows(leader, next_leader)
    for w in both:
        is_watched(w, w.monitors)
    assert shop.fenced_by() == []
    main.nothing_is_lost()
    assert shop.ledger.check(shop.pg1, enough=100).lost == ()
