"""What was promised to commits holds until another promise is seen in force."""

from __future__ import annotations

from dataclasses import replace

from failoverd.core.states import Blocked, Fencing
from tests.unit.vocabulary import (
    PG2,
    PG3,
    TRIO,
    Daemon,
    cut_off,
    dead,
    gone,
    healthy,
    sender,
    streaming,
)

MEGABYTE = 1_000_000


def test_standbys_of_one_name_are_not_one_standby():
    both = (
        sender(PG2, "sync", name="walreceiver"),
        sender(PG3, "potential", name="walreceiver"),
    )
    daemon = Daemon(replace(TRIO, salvage=False))
    for _ in range(3):
        daemon.sees(healthy(sync="*", senders=both), streaming(), streaming(lag=1000))
    for _ in range(2):
        daemon.sees(dead(), gone(), cut_off(lag=1000))
    assert isinstance(daemon.state, Blocked)


def test_a_promise_never_seen_in_force_excuses_no_loss():
    lag = 30 * MEGABYTE
    in_force = healthy(sync="pg2", senders=(sender(PG2, "sync"),))
    changed = healthy(sync="pg3", senders=(sender(PG3),))
    daemon = Daemon(replace(TRIO, salvage=False))
    for _ in range(3):
        daemon.sees(in_force, streaming(), streaming(lag=lag))
    daemon.sees(changed, gone(), streaming(lag=lag))
    for _ in range(2):
        daemon.sees(dead(), gone(), cut_off(lag=lag))
    assert isinstance(daemon.state, Blocked)


def test_a_promise_is_the_new_one_as_soon_as_it_is_seen_in_force():
    daemon = Daemon(TRIO)
    for _ in range(3):
        before = healthy(sync="pg2", senders=(sender(PG2, "sync"),))
        daemon.sees(before, streaming(), streaming())
    daemon.sees(healthy(sync="pg3", senders=(sender(PG3, "sync"),)), gone(), streaming())
    for _ in range(2):
        daemon.sees(dead(), gone(), cut_off())
    assert isinstance(daemon.state, Fencing)
