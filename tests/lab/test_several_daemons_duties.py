"""What a leader owes beside a failover, when it dies: the next one sees to it."""

from __future__ import annotations

import pytest

from tests.lab.planned import REPLICATION, is_over
from tests.lab.server import REPLICATION_PASSWORD
from tests.lab.several import several

pytestmark = [pytest.mark.lab, pytest.mark.campaign, pytest.mark.timeout(300)]

LADDER = {"ladder": ["stop", {"dead_man": {"ttl": "5s"}}]}


def planned(lab):
    def secrets(monitor):
        monitor.private_file("replication", REPLICATION_PASSWORD + "\n")

    return several(lab, prepare=secrets, replication=REPLICATION, rejoin_delay="0s")


def armed(monitor):
    told = monitor.status().get("dead_man") or {}
    return bool(told.get("armed")) and told["node"] == "pg1"


def test_a_dead_man_is_armed_anew_by_the_next_leader_and_ends_an_isolated_primary(lab):
    w = several(lab, fencing=LADDER)
    leader = w.leader()
    w.wait(lambda: armed(leader), 30, "a dead-man is armed")
    assert not any(armed(one) for one in w.others(leader))
    w.daemon_of(leader).kill()
    next_leader = w.leader(w.others(leader))
    w.wait(lambda: armed(next_leader), 40, "the next leader has armed it anew")
    w.ledger.wait_for(100)
    assert w.writable() == [w.pg1]
    lab.link_down(w.pg1)
    w.wait_until_failed_over(next_leader)
    assert w.pg1.processes("postgres") == []
    assert "dead_man_expired" in next_leader.failoverd("report").stdout
    w.nothing_is_lost()


def test_an_old_primary_that_is_on_its_way_back_is_brought_back_by_the_next_leader(lab):
    w = planned(lab)
    leader = w.leader()
    daemon = w.daemon_of(leader)
    w.pg1.kill9_postmaster()
    w.wait(
        lambda: "rejoining" in str(leader.status()["nodes"]["pg1"]["job"]), 60, "it is under way"
    )
    daemon.kill()
    next_leader = w.leader(w.others(leader))

    def streams():
        status = next_leader.status()
        node = status["nodes"]["pg1"]
        return is_over(status) and node["job"] == "ok" and node["receiver"] == "streaming"

    w.wait(streams, 120, "pg1 streams from pg2")
    w.nothing_is_lost()


@pytest.mark.parametrize("step", ["fencing", "promoting"])
def test_a_switchover_whose_leader_is_killed_ends_with_one_primary_and_nothing_lost(lab, step):
    w = planned(lab)
    leader = w.leader()
    daemon = w.daemon_of(leader)
    asked = leader.failoverd("switchover", "--yes", "--timeout", "1", check=False)
    assert "refused" not in asked.stdout + asked.stderr, asked.stderr
    w.until(daemon, step)
    daemon.kill()
    next_leader = w.leader(w.others(leader))
    w.wait(lambda: len(w.writable()) == 1 and is_over(next_leader.status()), 90, "it is over")
    w.ledger.wait_for(100)
    (primary,) = w.writable()
    assert w.ledger.check(primary, enough=100).lost == ()


def test_a_pause_that_one_leader_was_told_holds_for_the_next(lab):
    w = several(lab)
    leader = w.leader()
    leader.failoverd("pause")
    w.wait(lambda: all(one.status()["state"] == "paused" for one in w.monitors), 15, "all show it")
    w.daemon_of(leader).kill()
    next_leader = w.leader(w.others(leader))
    w.wait(lambda: next_leader.status()["state"] == "paused", 20, "it is paused still")
    w.pg1.kill9_postmaster()
    w.wait(lambda: next_leader.status()["diagnosis"] == "crashed", 20, "it sees the crash")
    assert w.pg2.in_recovery
    next_leader.failoverd("resume")
    w.wait_until_failed_over(next_leader)
    w.nothing_is_lost()
