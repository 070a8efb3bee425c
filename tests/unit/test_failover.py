"""What happens when a primary dies, step by step."""

from __future__ import annotations

from dataclasses import replace

import pytest

from failoverd.core.effects import (
    Confirm,
    Fence,
    Promote,
    ReadSettings,
    Redirect,
    Salvage,
    StopMode,
)
from failoverd.core.events import Fenced, OperatorFailover, Promoted, Replied, Trigger
from failoverd.core.jobs import Job
from failoverd.core.model import ControlState, Lsn, WalLoss
from failoverd.core.states import (
    Blocked,
    Confirming,
    Fencing,
    Promoting,
    Reverting,
    Salvaging,
    Settling,
    Watching,
)
from failoverd.core.wal_answers import Salvaged
from tests.unit.scenes import (
    CONFIRMED,
    NEW_PRIMARY,
    NOTHING,
    QUIET,
    confirming,
    electing,
    failed_over,
    promoting,
    salvaging,
)
from tests.unit.vocabulary import (
    FAILED,
    HERE,
    PG1,
    PG2,
    WORDS,
    crashed,
    cut_off,
    dead,
    healthy,
    hung,
    proof,
    streaming,
    watching,
)


def test_the_whole_way_from_a_crash_to_the_new_primary():
    daemon = electing()
    assert daemon.asks == (ReadSettings(PG2, daemon.machine.epoch),)
    daemon = salvaging()
    assert isinstance(daemon.state, Salvaging)
    daemon.answered(Salvage, NOTHING)
    assert isinstance(daemon.state, Promoting)
    daemon.answered(Promote, Promoted(WORDS)).answered(Confirm, CONFIRMED)
    assert isinstance(daemon.state, Settling)
    daemon.answered(Redirect, NOTHING)
    machine = daemon.machine
    assert daemon.state == Watching()
    assert (machine.memory.primary, machine.memory.timeline) == (PG2, 2)
    assert (machine.incident, machine.asked) == (None, frozenset())
    assert machine.jobs[PG1].job is Job.QUARANTINED
    assert len(machine.failovers) == 1


def fence_proof(daemon, **spoilt):
    return Fenced(proof(daemon.at, **{"epoch": daemon.machine.epoch, **spoilt}))


@pytest.mark.parametrize("spoilt", [{"node": PG2}, {"epoch": 99}])
def test_a_proof_of_another_node_or_another_epoch_is_none(spoilt):
    daemon = crashed()
    attempt = daemon.state.attempt
    daemon.answered(Fence, fence_proof(daemon, **spoilt))
    assert isinstance(daemon.state, Fencing)
    assert daemon.state.attempt == attempt + 1


def test_a_proof_that_comes_when_it_is_too_old_is_none():
    daemon = crashed()
    attempt, found = daemon.state.attempt, fence_proof(daemon)
    daemon.at += 31
    daemon.answered(Fence, found)
    assert isinstance(daemon.state, Fencing)
    assert daemon.state.attempt == attempt + 1


def test_a_proof_lasts_half_a_minute():
    daemon = electing()
    assert not isinstance(daemon.wakes(30).state, Fencing)
    assert isinstance(daemon.wakes(0.1).state, Fencing)


def test_what_is_carried_longer_than_a_proof_lasts_is_not_cut_off_and_proved_anew():
    daemon = salvaging().wakes(45)
    assert isinstance(daemon.state, Salvaging)
    daemon.answered(Salvage, Salvaged(WalLoss(0, True, "nothing"), WORDS))
    assert isinstance(daemon.state, Fencing)


def test_a_late_answer_of_an_earlier_visit_is_dropped():
    daemon = crashed()
    asked, visit, found = daemon.asks[0], daemon.machine.visit, fence_proof(daemon)
    daemon.answered(Fence, FAILED)
    assert isinstance(daemon.state, Blocked)
    daemon.happens(Replied(visit, asked, found))
    assert isinstance(daemon.state, Blocked)


def test_an_old_primary_seen_writable_voids_the_proof():
    for daemon in (electing(), salvaging(), promoting()):
        daemon.sees(healthy(), cut_off())
        assert isinstance(daemon.state, Fencing)
        assert daemon.state.mode is StopMode.IMMEDIATE


def test_applications_wait_for_a_confirmed_primary():
    daemon = confirming().answered(Confirm, FAILED)
    assert isinstance(daemon.state, Blocked)
    assert not daemon.asked(Redirect)
    daemon.sees(dead(), NEW_PRIMARY)
    assert isinstance(daemon.state, Confirming)


def test_a_look_from_before_the_promotion_is_no_news_of_the_new_primary():
    daemon = failed_over()
    daemon.sees(dead(), cut_off(), after=-0.5)
    assert daemon.state == Watching()
    daemon.sees(dead(), NEW_PRIMARY)
    assert daemon.state == Watching()


def test_a_crash_of_the_new_primary_is_a_failover_of_its_own():
    daemon = failed_over()
    second = daemon.machine.epoch + 1
    standby = streaming(upstream="192.0.2.12", timeline=2)
    for _ in range(3):
        daemon.sees(standby, NEW_PRIMARY)
    daemon.at += 1000
    daemon.sees(standby, NEW_PRIMARY)
    ended = cut_off(timeline=2)
    daemon.sees(ended, dead()).sees(ended, dead())
    assert isinstance(daemon.state, Fencing)
    assert (daemon.state.primary, daemon.machine.epoch) == (PG2, second)
    assert daemon.machine.jobs[PG2].job is Job.OWED_UNGUARD


def test_an_operators_failover_of_a_well_primary_is_a_clean_stop_or_nothing():
    daemon = watching().told(OperatorFailover(Trigger.SIGNAL, "SIGUSR1"))
    assert daemon.asks[0] == Fence(PG1, StopMode.FAST, daemon.machine.epoch, 0, Lsn(HERE))
    lossless = replace(daemon, machine=daemon.machine)
    lossless.fenced(control=ControlState.SHUT_DOWN, checkpoint=HERE).froze({PG2: HERE + 1})
    assert isinstance(lossless.state, Salvaging)
    daemon.fenced(control=ControlState.SHUT_DOWN, checkpoint=HERE).froze({PG2: HERE})
    daemon.answered(Salvage, NOTHING)
    assert isinstance(daemon.state, Reverting)
    assert daemon.state.restart


def test_an_operators_failover_of_an_ill_primary_waits_for_no_threshold():
    daemon = watching().sees(hung(), QUIET)
    daemon.told(OperatorFailover(Trigger.COMMAND, "me"))
    assert isinstance(daemon.state, Fencing)
    assert daemon.state.mode is StopMode.IMMEDIATE
