"""Three daemons over one pair of servers, with an etcd of three members: one acts, one finishes."""

from __future__ import annotations

import time

import pytest

from tests.lab.server import DATA_DIR
from tests.lab.several import LEASE_S, another, is_not_over, leadership_of, several, store_of

pytestmark = [pytest.mark.lab, pytest.mark.timeout(240)]


def test_a_leader_that_is_killed_in_the_middle_of_a_failover_is_followed_by_one_that_finishes_it(
    lab,
):
    w = several(lab)
    leader = w.leader()
    follower = w.others(leader)[0]
    told = follower.failoverd("switchover", "--yes", check=False)
    assert told.returncode == 1
    assert f"{leader.name} (http://{leader.name}.example:9187) leads" in told.stdout + told.stderr
    assert [one.metric("failoverd_leader") for one in w.others(leader)] == [0, 0]
    assert leader.metric("failoverd_leader") == 1

    daemon = w.crash_and_wait_until(leader, "fencing")
    daemon.kill()
    is_not_over(daemon)

    next_leader = w.next_leader_fails_over(leader)
    account = w.nothing_is_lost()
    assert account.outage_ms < (LEASE_S + 15) * 1000
    assert w.fenced_by().count(next_leader.name) <= 1
    assert next_leader.status()["epoch"] == 1
    report = next_leader.failoverd("report", "1").stdout
    assert "`watching -> suspect`" in report, "it begins where the incident was taken up"
    assert "`suspect -> fencing`" in report
    assert "succeeded" in report.splitlines()[0]
    # Whoever only watched sees the same.
    (third,) = [one for one in w.others(leader) if one is not next_leader]
    w.wait(lambda: third.status()["primary"] == "pg2", 10, "the third one sees it")
    assert third.metric("failoverd_primary", node="pg2") == 1
    assert [third.fetch(f"/primary/{node}")[0] for node in ("pg1", "pg2")] == [503, 200]


@pytest.mark.campaign
def test_daemons_that_are_restarted_one_after_the_other_hand_over_at_once_and_fence_nobody(lab):
    w = several(lab)
    for one in w.monitors:
        leader = w.leader()
        began = time.monotonic()
        assert w.daemon_of(one).stop() == 0
        next_leader = w.leader(w.others(one))
        if one is leader:
            assert next_leader is not leader
            assert time.monotonic() - began < LEASE_S, "it waited for the lease to end"
        one.start_daemon()
        one.wait_ready()
    assert w.fenced_by() == []
    assert w.writable() == [w.pg1]


@pytest.mark.campaign
def test_from_one_daemon_to_two_and_back_what_was_owed_is_still_done(lab):
    """Its last failover is over, and the old primary is down: its duties are owed to hosts."""
    pg1, _ = lab.pair()
    first = lab.monitor
    more = {"failover": {"cooldown": "0s"}, "fencing": {"ladder": ["stop"]}}
    first.write_config(lab.servers, **more)
    daemon = first.start_daemon()
    first.wait_ready()
    pg1.kill9_postmaster()
    first.wait_until(lambda: first.status().get("primary") == "pg2", 30, "pg2 is the primary")
    first.wait_for_state("watching", 30)
    assert daemon.stop() == 0

    members = store_of(lab)
    second = another(lab, 2)
    for one in (first, second):
        shared = {"leadership": leadership_of(one, members)}
        one.write_config(lab.servers, daemon=shared, **more)
        one.start_daemon()
        one.wait_ready()
        if one is first:
            first.wait_until(lambda: first.metric("failoverd_leader") == 1, 20, "it leads")
    second.wait_until(lambda: second.status()["primary"] == "pg2", 20, "it knows the primary")
    first.daemons[-1].kill()
    second.wait_until(lambda: second.metric("failoverd_leader") == 1, 20, "the second leads")

    def quarantined(monitor):
        """Somebody starts the old primary, without its guard: it is fenced again."""
        pg1.run(["rm", "-f", f"{DATA_DIR}/standby.signal"], user="postgres")
        pg1.pg_ctl("start", "-w")
        monitor.wait_until(lambda: pg1.postmaster is None, 30, "it is fenced again")

    quarantined(second)
    assert second.daemons[-1].stop() == 0
    second.write_config(lab.servers, **more)
    second.start_daemon()
    second.wait_ready()
    assert second.status()["leadership"]["kind"] == "none"
    quarantined(second)
    assert second.status()["primary"] == "pg2"
    refused = [one for one in second.daemons if "taken on this host by another" in one.log_text]
    assert refused == []
