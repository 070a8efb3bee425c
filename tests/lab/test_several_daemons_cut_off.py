"""The leader is cut off: from etcd, the primary, every database host; or its disk is full."""

from __future__ import annotations

import pytest

from tests.lab.host import UNPRIVILEGED_ID
from tests.lab.monitor import STATE_DIR
from tests.lab.several import several

pytestmark = [pytest.mark.lab, pytest.mark.campaign, pytest.mark.timeout(300)]


def test_a_leader_that_is_cut_from_etcd_hands_over_and_the_next_one_fails_over(lab):
    w = several(lab)
    leader = w.leader()
    w.cut_from_etcd(leader)
    next_leader = w.leader(w.others(leader))
    assert "etcd cannot be used" in leader.status()["leadership"]["sentence"]
    w.crash()
    w.wait_until_failed_over(next_leader)
    assert leader.name not in w.fenced_by()
    w.nothing_is_lost()
    lab.heal()
    w.wait(lambda: leader.status()["primary"] == "pg2", 20, "healed, it sees the new primary")


@pytest.mark.parametrize("step", ["fencing", "promoting"])
def test_a_leader_that_is_cut_from_etcd_in_the_middle_goes_no_step_further(lab, step):
    w = several(lab)
    leader = w.leader()
    w.crash_and_wait_until(leader, step)
    w.cut_from_etcd(leader)
    w.next_leader_fails_over(leader)
    w.nothing_is_lost()


def test_a_primary_that_only_the_leader_cannot_reach_is_partitioned_and_stays(lab):
    w = several(lab)
    leader = w.leader()
    lab.part(leader, w.pg1)
    w.wait(lambda: leader.status().get("diagnosis") == "partitioned", 20, "it is partitioned")
    w.ledger.wait_for(500)
    assert leader.status().get("diagnosis") == "partitioned"
    assert w.leader() is leader
    assert w.fenced_by() == []
    assert w.pg2.in_recovery


def test_a_leader_that_is_cut_from_every_database_host_hands_over_and_nothing_is_failed_over(lab):
    w = several(lab)
    leader = w.leader()
    for server in w.servers:
        lab.part(leader, server)
    next_leader = w.leader(w.others(leader))
    w.ledger.wait_for(200)
    assert w.fenced_by() == []
    assert w.pg2.in_recovery
    assert not w.leads(leader)
    w.crash()
    w.wait_until_failed_over(next_leader)
    w.nothing_is_lost()


def test_where_nobody_but_another_daemon_reaches_the_primary_nothing_is_done(lab):
    """The leader and both hosts of standbys are cut from it; one daemon is not."""
    w = several(lab, fencing={"ladder": ["stop"]})
    leader = w.leader()
    first, second = w.others(leader)
    lab.part(leader, w.pg1)
    lab.part(w.pg2, w.pg1)
    lab.part(second, w.pg1)
    w.wait(lambda: leader.status().get("diagnosis") == "partitioned", 30, "it is partitioned")
    seen = " ".join(str(leader.status()) for _ in range(50))
    assert '"unreachable"' not in seen
    assert w.fenced_by() == []
    # Now nobody reaches it: the diagnosis is another one, and without a proof nothing is promoted.
    lab.part(first, w.pg1)
    w.wait(lambda: leader.status().get("diagnosis") == "unreachable", 60, "it is unreachable")
    lab.heal()
    w.wait(lambda: leader.status().get("diagnosis") == "healthy", 60, "it is healthy")
    assert w.pg2.in_recovery


def test_a_leader_whose_disk_is_full_hands_over_in_the_middle_of_a_crash(lab):
    def small(monitor):
        options = f"size=8m,mode=750,uid={UNPRIVILEGED_ID},gid={UNPRIVILEGED_ID}"
        monitor.run(["mount", "-t", "tmpfs", "-o", options, "state", STATE_DIR])

    w = several(lab, prepare=small)
    leader = w.leader()
    leader.run(["dd", "if=/dev/zero", f"of={STATE_DIR}/fill", "bs=4k"], check=False)
    w.crash()
    w.next_leader_fails_over(leader)
    assert "the journal failed" in w.daemon_of(leader).log_text
    assert leader.name not in w.fenced_by()
    w.nothing_is_lost()
