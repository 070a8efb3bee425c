"""Daemons and members of etcd meet three troubles at random moments of a failover."""

from __future__ import annotations

import random
import signal
import time

import pytest

from tests.lab.several import LEASE_S, several

pytestmark = [pytest.mark.lab, pytest.mark.campaign, pytest.mark.timeout(300)]
TROUBLES = ("kill", "pause", "cut", "blind", "member killed", "member paused", "store killed")


@pytest.mark.timeout(400)
@pytest.mark.parametrize("seed", range(1, 11))
def test_whatever_befalls_daemons_and_store_in_a_failover_one_finishes_it(lab, seed):
    """Three troubles at random moments from the crash on; then all is healed."""
    chance = random.Random(seed)
    w = several(lab, standbys=2)
    troubles = [(chance.choice(TROUBLES), chance.uniform(0.0, 1.5)) for _ in range(3)]
    w.crash()
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
