"""A daemon that was killed goes on where its journal left it, once it has looked at every node."""

from __future__ import annotations

from dataclasses import replace

import pytest

from failoverd.core.effects import Confirm, ReadSettings, Redirect, Thaw, Unguard
from failoverd.core.events import OperatorPause
from failoverd.core.model import Lsn
from failoverd.core.operator import refusal
from failoverd.core.policy import Mode
from failoverd.core.states import (
    Blocked,
    Electing,
    Fencing,
    Promoting,
    Reverting,
    Settling,
    Watching,
)
from tests.unit.scenes import (
    CONFIRMED,
    NEW_PRIMARY,
    blocked_without_proof,
    confirming,
    electing,
    promoting,
    salvaging,
)
from tests.unit.vocabulary import (
    FAILED,
    HERE,
    PG1,
    PG2,
    crashed,
    cut_off,
    dead,
    gone,
    healthy,
    streaming,
    watching,
)


@pytest.mark.parametrize("cut_short", [crashed, electing, salvaging, blocked_without_proof])
def test_an_incident_that_was_cut_short_proves_its_fence_again(cut_short):
    daemon = cut_short().restarted()
    epoch = daemon.machine.epoch
    assert daemon.asks == ()
    daemon.sees(dead(), cut_off())
    assert isinstance(daemon.state, Fencing)
    assert (daemon.machine.epoch, daemon.state.incident.epoch) == (epoch, epoch)
    daemon.fenced()
    assert isinstance(daemon.state, Electing)


@pytest.mark.parametrize("cut_short", [promoting, confirming])
def test_a_promotion_that_was_asked_for_goes_on_with_whom_was_asked(cut_short):
    daemon = cut_short().restarted().sees(dead(), NEW_PRIMARY)
    assert isinstance(daemon.state, Fencing)
    daemon.fenced()
    assert isinstance(daemon.state, Promoting)
    assert daemon.state.candidate == PG2


def test_a_daemon_killed_twice_still_knows_whom_it_asked():
    daemon = promoting().restarted().restarted()
    assert daemon.machine.asked == {PG2}
    assert isinstance(daemon.sees(dead(), cut_off()).state, Fencing)


def test_an_incident_is_over_if_the_primary_is_well_when_it_is_taken_up():
    daemon = salvaging().restarted().sees(healthy(), cut_off())
    assert isinstance(daemon.state, Reverting)
    assert {type(e) for e in daemon.asks} == {Thaw, Unguard}


def test_nothing_is_fenced_on_resuming_what_a_standby_still_hears():
    daemon = crashed().restarted().sees(gone(), streaming(age=-0.5))
    assert isinstance(daemon.state, Reverting)
    daemon = crashed().restarted().sees(gone(), gone())
    assert isinstance(daemon.state, Blocked)
    assert daemon.asks == ()


def test_a_way_back_that_was_cut_short_is_judged_anew():
    daemon = electing().answered(ReadSettings, FAILED)
    assert isinstance(daemon.restarted().sees(dead(), cut_off()).state, Fencing)


def test_applications_are_still_sent_over_after_a_restart():
    daemon = confirming().answered(Confirm, CONFIRMED).restarted()
    last, count = daemon.machine.last_confirmed, len(daemon.machine.failovers)
    daemon.sees(dead(), NEW_PRIMARY, after=5)
    assert isinstance(daemon.state, Settling)
    assert daemon.asked(Redirect)
    assert (daemon.machine.last_confirmed, len(daemon.machine.failovers)) == (last, count)


def test_a_pause_right_after_a_restart_does_not_lose_the_redirect():
    daemon = confirming().answered(Confirm, CONFIRMED).restarted()
    assert "settling" in (refusal(daemon.machine, OperatorPause("me"), daemon.policy) or "")
    daemon.sees(dead(), NEW_PRIMARY)
    assert daemon.asked(Redirect)


def test_an_observer_that_is_started_while_they_are_sent_over_watches_on_all_the_same():
    daemon = confirming().answered(Confirm, CONFIRMED).restarted()
    daemon.policy = replace(daemon.policy, mode=Mode.OBSERVE)
    daemon.sees(dead(), NEW_PRIMARY, after=5)
    assert isinstance(daemon.state, Settling)
    assert daemon.asks == ()
    assert daemon.last.wake_at is not None
    daemon.wakes(daemon.last.wake_at - daemon.at)
    assert daemon.state == Watching()


def test_a_restart_forgets_how_long_it_was_silent_and_not_how_far_the_primary_was():
    before = watching()
    seen_at = before.machine.memory.primary_lsn_at
    memory = before.restarted().machine.memory
    assert (memory.last_alive_at, memory.failed_rounds) == (None, 0)
    assert (memory.primary_lsn, memory.primary_lsn_at) == (Lsn(HERE), seen_at)
    assert memory.primary == PG1
