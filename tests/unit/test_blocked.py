"""Blocked: nothing goes forward; what is said meanwhile, and what ends it."""

from __future__ import annotations

from dataclasses import replace

import pytest

from failoverd.core.effects import Fence, StopMode, Unguard
from failoverd.core.events import OperatorAcknowledges
from failoverd.core.model import ControlState, Outcome
from failoverd.core.policy import Choice
from failoverd.core.states import Blocked, BlockReason, Fencing, Reverting
from tests.unit.scenes import QUIET, blocked_without_proof
from tests.unit.vocabulary import (
    FAILED,
    PAIR,
    PG1,
    Daemon,
    cut_off,
    dead,
    gone,
    healthy,
    held_down,
    hung,
    look,
    says,
    streaming,
    watching,
)


def test_without_a_proof_it_says_what_a_human_can_do_and_tries_again():
    daemon = blocked_without_proof()
    assert daemon.state.advice == "do it by hand"
    assert daemon.asks == ()
    daemon.sees(dead(), cut_off())
    assert isinstance(daemon.state, Fencing)


def test_a_primary_that_is_well_again_is_unguarded():
    daemon = blocked_without_proof().sees(healthy(), streaming())
    assert isinstance(daemon.state, Reverting)
    assert daemon.asks == (Unguard(PG1, daemon.machine.epoch),)


def test_a_look_from_before_it_was_blocked_is_no_news():
    daemon = blocked_without_proof()
    daemon.sees(healthy(), streaming(), after=-0.5)
    assert isinstance(daemon.state, Blocked)


@pytest.mark.parametrize(
    ("primary", "standby", "after"),
    [
        (gone(), streaming(age=-0.5), Reverting),
        (gone(), gone(), Blocked),
        (says(Outcome.MISCONFIGURED), streaming(), Blocked),
        (says(Outcome.SHUTTING_DOWN), streaming(), Blocked),
        (says(Outcome.STARTING_UP), streaming(), Blocked),
        (dead(boot="another"), cut_off(), Blocked),
        (hung(), QUIET, Fencing),
        (dead(ControlState.SHUT_DOWN), cut_off(), Fencing),
        (held_down, cut_off(), Fencing),
    ],
)
def test_it_fences_again_only_if_what_is_seen_now_still_calls_for_it(primary, standby, after):
    daemon = blocked_without_proof().sees(primary, standby, after=5)
    assert isinstance(daemon.state, after)


def test_it_does_not_fence_again_where_nobody_could_take_over_any_more():
    daemon = watching()
    while not isinstance(daemon.state, Fencing):
        daemon.sees(hung(), QUIET)
    daemon.answered(Fence, FAILED).sees(hung(), gone(), after=5)
    assert isinstance(daemon.state, Blocked)
    for _ in range(60):
        if isinstance(daemon.state, Blocked):
            daemon.sees(hung(), QUIET)
    assert isinstance(daemon.state, Fencing)


def full(name, at):
    return replace(healthy()(name, at), write=look(Outcome.FAILING, at))


def not_fenced_though_it_answers():
    """It cannot be written, which is reason enough here, and could not be fenced."""
    daemon = watching(replace(PAIR, on_unwritable=Choice.FAILOVER))
    while not isinstance(daemon.state, Fencing):
        daemon.sees(full, streaming())
    assert daemon.state.mode is StopMode.FAST
    return daemon.answered(Fence, FAILED)


def test_a_primary_that_answers_is_looked_at_once_more_before_it_is_fenced_again():
    daemon = not_fenced_though_it_answers().sees(full, streaming(), after=0.5).wakes(1)
    assert isinstance(daemon.state, Blocked)
    assert daemon.last.wake_at is None  # the next look wakes it
    daemon.sees(healthy(), streaming(), after=0.1)
    assert isinstance(daemon.state, Reverting)


def test_a_primary_that_answers_and_is_no_better_is_fenced_again_by_the_next_look():
    daemon = not_fenced_though_it_answers().wakes(1).sees(full, streaming(), after=0.1)
    assert isinstance(daemon.state, Fencing)
    assert daemon.state.attempt == 1


def test_no_deadline_lies_in_the_past_while_it_waits():
    daemons = (
        blocked_without_proof().sees(gone(), gone(), after=60),
        watching()
        .sees(healthy(), healthy(timeline=2))
        .sees(healthy(), healthy(timeline=2), after=60),
        Daemon().sees(healthy(), healthy()).sees(healthy(), healthy(), after=60),
        watching().sees(dead(), gone()).sees(dead(), gone(), after=60).wakes(60),
    )
    for daemon in daemons:
        assert isinstance(daemon.state, Blocked)
        assert daemon.last is not None
        assert daemon.last.wake_at is None or daemon.last.wake_at > daemon.at


def test_it_stays_blocked_without_flapping_until_somebody_can_take_over():
    daemon = watching().sees(dead(), gone()).sees(dead(), gone())
    since, visit = daemon.state.since, daemon.machine.visit
    for _ in range(10):
        daemon.sees(dead(), gone())
    daemon.sees(dead(), gone(), after=30)
    assert isinstance(daemon.state, Blocked)
    assert daemon.state.since == since
    assert daemon.machine.visit <= visit + 2
    daemon.sees(dead(), cut_off())
    assert isinstance(daemon.sees(dead(), cut_off()).state, Fencing)


def test_recovery_has_its_whole_budget_however_long_it_was_blocked_before():
    daemon = watching().sees(dead(), gone()).sees(dead(), gone()).sees(dead(), gone(), after=400)
    daemon.sees(says(Outcome.STARTING_UP), streaming())
    assert isinstance(daemon.state, Blocked)
    daemon.sees(says(Outcome.STARTING_UP), streaming(), after=PAIR.recovery_limit_s - 1)
    assert isinstance(daemon.state, Blocked)
    daemon.sees(says(Outcome.STARTING_UP), streaming(), after=2)
    daemon.sees(says(Outcome.STARTING_UP), streaming(), after=2)
    assert isinstance(daemon.state, Fencing)


def test_the_cooldown_ends_by_itself_or_by_an_operators_word():
    daemon = watching()
    daemon.machine = replace(daemon.machine, last_confirmed=daemon.now.wall)
    daemon.sees(dead(), cut_off()).sees(dead(), cut_off())
    assert isinstance(daemon.state, Blocked)
    assert daemon.state.reason is BlockReason.COOLDOWN
    waiting = replace(daemon, machine=daemon.machine)
    assert isinstance(waiting.sees(dead(), cut_off(), after=600).state, Fencing)
    daemon.told(OperatorAcknowledges("me")).sees(dead(), cut_off()).sees(dead(), cut_off())
    assert isinstance(daemon.state, Fencing)


def test_a_wall_clock_set_back_begins_the_cooldown_anew_once():
    daemon = watching()
    daemon.machine = replace(daemon.machine, last_confirmed=daemon.now.wall)
    daemon.wall_ahead -= 100_000
    daemon.sees(healthy(), streaming())
    assert daemon.machine.last_confirmed == daemon.now.wall
    daemon.sees(healthy(), streaming(), after=300)
    assert daemon.now.wall - daemon.machine.last_confirmed == pytest.approx(300)
