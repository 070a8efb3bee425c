"""Members of etcd die, or stand still: with a majority all goes on, and without one nobody acts."""

from __future__ import annotations

import pytest

from tests.lab.several import LEASE_S, several

pytestmark = [pytest.mark.lab, pytest.mark.campaign, pytest.mark.timeout(300)]


def test_with_one_member_of_etcd_killed_everything_goes_on(lab):
    w = several(lab)
    leader = w.leader()
    w.members[0].kill()
    w.crash()
    w.wait_until_failed_over(w.leader())
    assert w.leader() is leader
    w.nothing_is_lost()


def test_with_one_member_of_etcd_stopped_everything_goes_on(lab):
    w = several(lab)
    w.members[0].pause()
    w.wait(lambda: sum(map(w.leads, w.monitors)) == 1, 30, "one leads, the same or another")
    w.crash()
    w.wait_until_failed_over(w.monitors[0])
    w.members[0].wake()
    w.nothing_is_lost()


def test_without_etcd_the_cluster_goes_on_nobody_acts_and_when_it_is_back_it_is_failed_over(lab):
    w = several(lab)
    for member in w.members:
        member.kill()
    w.wait(lambda: not any(map(w.leads, w.monitors)), LEASE_S + 10, "all hold back")
    for one in w.monitors:
        sentence = one.status()["leadership"]["sentence"]
        assert "etcd cannot be used" in sentence
        assert "the cluster goes on" in sentence
        assert one.metric("failoverd_leader") == 0
        assert one.fetch("/readyz")[0] == 200
        refused = one.failoverd("failover", "--yes", check=False)
        assert refused.returncode == 1
        assert "etcd cannot be used" in refused.stdout + refused.stderr
    before = len(w.ledger.acknowledgements())
    w.wait(lambda: len(w.ledger.acknowledgements()) > before + 100, 30, "the application writes")
    w.crash()
    w.wait(
        lambda: all(one.status().get("diagnosis") == "crashed" for one in w.monitors),
        30, "all see it",
    )  # fmt: skip
    for _ in range(100):
        assert w.pg2.in_recovery
    assert w.fenced_by() == []
    for member in w.members:
        member.begin(w.members)
    w.wait_until_failed_over(w.leader())
    w.nothing_is_lost()
