"""Three daemons over one pair of servers, with an etcd of three members: one acts, one finishes."""

from __future__ import annotations

import random
import signal
import time

import pytest

from tests.lab.host import UNPRIVILEGED_ID
from tests.lab.monitor import STATE_DIR
from tests.lab.server import DATA_DIR
from tests.lab.several import LEASE_S, another, leadership_of, several, store_of

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

    daemon = w.daemon_of(leader)
    w.pg1.kill9_postmaster()
    w.wait(lambda: '"state": "fencing"' in daemon.log_text, 20, "it is fencing", interval_s=0.001)
    daemon.kill()
    assert '"state": "watching"' not in daemon.log_text.rpartition('"fencing"')[2]

    next_leader = w.leader(w.others(leader))
    w.wait_until_failed_over(next_leader)
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


def stopped_at(w, daemon, step):
    """Its process stands still, at that step or right after it."""
    w.wait(lambda: f'"state": "{step}"' in daemon.log_text, 20, f"it is {step}", 0.001)
    daemon.signal(signal.SIGSTOP)
    over = '"state": "watching"' in daemon.log_text.rpartition('"fencing"')[2]
    assert not over, "the failover was over before the daemon could be stopped"


@pytest.mark.campaign
@pytest.mark.parametrize("step", ["fencing", "electing", "promoting"])
def test_a_leader_that_sleeps_beyond_its_lease_finishes_nothing_when_it_wakes(lab, step):
    w = several(lab)
    leader = w.leader()
    sleeper = w.daemon_of(leader)
    w.pg1.kill9_postmaster()
    stopped_at(w, sleeper, step)
    next_leader = w.leader(w.others(leader))
    w.wait_until_failed_over(next_leader)
    before = len(sleeper.log_text)
    sleeper.signal(signal.SIGCONT)
    w.wait(lambda: w.leadership(leader).get("leader") == next_leader.name, 20, "it follows")
    w.wait(lambda: leader.status()["primary"] == "pg2", 20, "it sees the new primary")
    woken = sleeper.log_text[before:]
    assert "promoting" not in woken
    assert "fencing pg1" not in woken
    w.nothing_is_lost()


@pytest.mark.campaign
@pytest.mark.parametrize("step", ["fencing", "promoting"])
def test_a_leader_that_wakes_while_another_one_finishes_does_not_act_beside_it(lab, step):
    w = several(lab)
    leader = w.leader()
    sleeper = w.daemon_of(leader)
    w.pg1.kill9_postmaster()
    stopped_at(w, sleeper, step)
    next_leader = w.leader(w.others(leader))
    sleeper.signal(signal.SIGCONT)
    w.wait_until_failed_over(next_leader)
    w.wait(lambda: w.leadership(leader).get("leader") == next_leader.name, 20, "it follows")
    w.nothing_is_lost()


@pytest.mark.campaign
def test_a_leader_that_is_cut_from_etcd_hands_over_and_the_next_one_fails_over(lab):
    w = several(lab)
    leader = w.leader()
    for member in w.members:
        lab.part(leader, member)
    w.wait(lambda: not w.leads(leader), LEASE_S + 5, "it has stopped by itself")
    next_leader = w.leader(w.others(leader))
    assert "etcd cannot be used" in leader.status()["leadership"]["sentence"]
    w.pg1.kill9_postmaster()
    w.wait_until_failed_over(next_leader)
    assert leader.name not in w.fenced_by()
    w.nothing_is_lost()
    lab.heal()
    w.wait(lambda: leader.status()["primary"] == "pg2", 20, "healed, it sees the new primary")


@pytest.mark.campaign
@pytest.mark.parametrize("step", ["fencing", "promoting"])
def test_a_leader_that_is_cut_from_etcd_in_the_middle_goes_no_step_further(lab, step):
    w = several(lab)
    leader = w.leader()
    daemon = w.daemon_of(leader)
    w.pg1.kill9_postmaster()
    w.wait(lambda: f'"state": "{step}"' in daemon.log_text, 20, f"it is {step}", 0.001)
    for member in w.members:
        lab.part(leader, member)
    w.wait(lambda: not w.leads(leader), LEASE_S + 5, "it has stopped by itself")
    next_leader = w.leader(w.others(leader))
    w.wait_until_failed_over(next_leader)
    w.nothing_is_lost()


@pytest.mark.campaign
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


@pytest.mark.campaign
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
    w.pg1.kill9_postmaster()
    w.wait_until_failed_over(next_leader)
    w.nothing_is_lost()


@pytest.mark.campaign
def test_a_leader_whose_disk_is_full_hands_over_in_the_middle_of_a_crash(lab):
    def small(monitor):
        options = f"size=8m,mode=750,uid={UNPRIVILEGED_ID},gid={UNPRIVILEGED_ID}"
        monitor.run(["mount", "-t", "tmpfs", "-o", options, "state", STATE_DIR])

    w = several(lab, prepare=small)
    leader = w.leader()
    leader.run(["dd", "if=/dev/zero", f"of={STATE_DIR}/fill", "bs=4k"], check=False)
    w.pg1.kill9_postmaster()
    next_leader = w.leader(w.others(leader))
    w.wait_until_failed_over(next_leader)
    assert "the journal failed" in w.daemon_of(leader).log_text
    assert leader.name not in w.fenced_by()
    w.nothing_is_lost()


@pytest.mark.campaign
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


@pytest.mark.campaign
def test_with_one_member_of_etcd_killed_everything_goes_on(lab):
    w = several(lab)
    leader = w.leader()
    w.members[0].kill()
    w.pg1.kill9_postmaster()
    w.wait_until_failed_over(w.leader())
    assert w.leader() is leader
    w.nothing_is_lost()


@pytest.mark.campaign
def test_with_one_member_of_etcd_stopped_everything_goes_on(lab):
    w = several(lab)
    w.members[0].pause()
    w.wait(lambda: sum(map(w.leads, w.monitors)) == 1, 30, "one leads, the same or another")
    w.pg1.kill9_postmaster()
    w.wait_until_failed_over(w.monitors[0])
    w.members[0].wake()
    w.nothing_is_lost()


@pytest.mark.campaign
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
    w.pg1.kill9_postmaster()
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
        one.wait_ready(30)
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
    first.wait_ready(30)
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
        one.wait_ready(30)
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
    second.wait_ready(30)
    assert second.status()["leadership"]["kind"] == "none"
    quarantined(second)
    assert second.status()["primary"] == "pg2"
    refused = [one for one in second.daemons if "taken on this host by another" in one.log_text]
    assert refused == []


TROUBLES = ("kill", "pause", "cut", "blind", "member killed", "member paused", "store killed")


@pytest.mark.campaign
@pytest.mark.timeout(400)
@pytest.mark.parametrize("seed", range(1, 11))
def test_whatever_befalls_daemons_and_store_in_a_failover_one_finishes_it(lab, seed):
    """Three troubles at random moments from the crash on; then all is healed."""
    chance = random.Random(seed)
    w = several(lab, standbys=2)
    troubles = [(chance.choice(TROUBLES), chance.uniform(0.0, 1.5)) for _ in range(3)]
    w.pg1.kill9_postmaster()
    for trouble, after_s in troubles:
        time.sleep(after_s)
        leading = [one for one in w.monitors if w.leads(one)]
        meet(w, trouble, (leading or [chance.choice(w.monitors)])[0], chance.choice(w.members))
    time.sleep(chance.uniform(0.0, LEASE_S + 3))
    lab.heal()
    for member in w.members:
        member.wake()
        if not member.runs:
            member.begin(w.members)
    for one in w.monitors:
        daemon = w.daemon_of(one)
        if daemon.exit_status is None:
            daemon.signal(signal.SIGCONT)
        else:
            one.start_daemon()
    w.wait(lambda: len(w.writable()) == 1, 90, "somebody was promoted")
    leader = w.leader()
    w.wait(
        lambda: (s := leader.status()).get("state") == "watching"
        and s["primary"] == w.writable()[0].name,
        60, "it is over",
    )  # fmt: skip
    w.nothing_is_lost()


def meet(w, trouble, monitor, member):
    daemon = w.daemon_of(monitor)
    alive = daemon.exit_status is None
    if trouble == "kill":
        daemon.kill()
    elif trouble == "pause" and alive:
        daemon.signal(signal.SIGSTOP)
    elif trouble == "cut":
        for one in w.members:
            w.lab.part(monitor, one)
    elif trouble == "blind":
        for server in w.servers:
            w.lab.part(monitor, server)
    elif trouble == "member killed":
        member.kill()
    elif trouble == "member paused":
        member.pause()
    elif trouble == "store killed":
        for one in w.members:
            one.kill()
