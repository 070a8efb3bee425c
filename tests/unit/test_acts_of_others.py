"""Somebody else acted while the daemon was away, or beside it."""

from __future__ import annotations

from dataclasses import replace

from failoverd.core.effects import Confirm, Fence, Freeze, Promote, Redirect, Unguard
from failoverd.core.events import EffectFailed, Promoted
from failoverd.core.jobs import Job
from failoverd.core.model import ControlState, Guard, Outcome
from failoverd.core.states import Blocked, Confirming, Reverting, Starting
from tests.unit.scenes import (
    CONFIRMED,
    NEW_PRIMARY,
    blocked_without_proof,
    electing,
    promoting,
    three_promoting,
)
from tests.unit.vocabulary import (
    FAILED,
    HERE,
    PG1,
    PG2,
    TRIO,
    WORDS,
    crashed,
    cut_off,
    dead,
    gone,
    healthy,
    host,
    report,
    server,
    streaming,
    watching,
)


def test_somebody_elses_promotion_ends_an_incident_that_asked_nobody():
    for daemon in (crashed(), electing(), electing().restarted(), blocked_without_proof()):
        daemon.sees(dead(), NEW_PRIMARY)
        assert daemon.state == Starting()
        daemon.sees(dead(), NEW_PRIMARY)
        assert daemon.machine.memory.primary == PG2
        assert daemon.machine.jobs[PG1].job is Job.QUARANTINED


def test_whoever_put_the_cluster_right_by_hand_meanwhile_is_left_alone():
    daemon = promoting().restarted()
    daemon.sees(healthy(HERE + 500, timeline=3), streaming(timeline=3), after=86400)
    assert daemon.asked(Fence) == []
    for _ in range(3):
        if daemon.asked(Unguard):
            daemon.answered(Unguard, EffectFailed("no guard", WORDS))
        daemon.sees(healthy(HERE + 500, timeline=3), streaming(timeline=3), after=40)
        assert daemon.asked(Fence) == []
    assert daemon.machine.memory.primary == PG1


def test_an_old_primary_that_was_made_a_standby_of_whom_we_asked_is_left_alone():
    def standby_of_pg2(name, at):
        facts = server(at, in_recovery=True, timeline=2)
        return report(name, at, Outcome.OK, facts, host(at))

    daemon = promoting().restarted()
    daemon.sees(standby_of_pg2, NEW_PRIMARY, after=86400)
    daemon.sees(standby_of_pg2, NEW_PRIMARY)
    assert daemon.asked(Fence) == []
    assert daemon.machine.memory.primary == PG2


def test_nobody_is_promoted_beside_a_node_that_takes_writes():
    daemon = watching(TRIO)
    for _ in range(3):
        daemon.sees(dead(), cut_off(), healthy(HERE + 50))
        assert daemon.asked(Fence) + daemon.asked(Promote) == []
    assert isinstance(daemon.state, Blocked)
    assert "pg3 takes writes: nobody is promoted beside it" in daemon.state.why


def test_an_election_ends_where_somebody_else_takes_writes():
    daemon = crashed(TRIO).fenced()
    daemon.sees(dead(), cut_off(), healthy(HERE + 50))
    assert isinstance(daemon.state, Reverting)
    assert daemon.asked(Promote) == []


def test_an_unconfirmed_promotion_is_over_when_somebody_promotes_another():
    daemon = three_promoting()
    daemon.answered(Promote, Promoted(WORDS)).answered(Confirm, FAILED)
    daemon.sees(dead(), gone(), NEW_PRIMARY)
    assert daemon.state == Starting()


def test_applications_are_not_sent_to_one_of_two_that_write():
    daemon = three_promoting()
    daemon.answered(Promote, Promoted(WORDS))
    daemon.sees(dead(), NEW_PRIMARY, healthy(HERE + 50, timeline=1))
    assert isinstance(daemon.state, Confirming)
    daemon.answered(Confirm, CONFIRMED)
    assert isinstance(daemon.state, Blocked)
    assert "pg3 writes, too" in daemon.state.why
    assert daemon.asked(Redirect) == []


def test_a_superseded_primary_is_not_adopted_when_its_successor_is_out_of_sight():
    daemon = crashed().sees(dead(), NEW_PRIMARY).sees(healthy(), NEW_PRIMARY)
    daemon.sees(healthy(), gone(), after=3).sees(healthy(), gone())
    assert daemon.machine.memory.primary != PG1


def test_a_demoted_primary_that_its_operator_stops_is_not_failed_over_from():
    def a_standby(name, at):
        return report(name, at, Outcome.OK, server(at, in_recovery=True), host(at))

    def stopped(name, at):
        node = dead(ControlState.SHUT_DOWN_IN_RECOVERY)(name, at)
        facts = replace(node.host.facts, guard=Guard.FOREIGN)
        return replace(node, host=replace(node.host, facts=facts))

    daemon = watching().sees(a_standby, streaming())
    for _ in range(6):
        daemon.sees(stopped, cut_off())
        assert daemon.asked(Fence) + daemon.asked(Freeze) == []
