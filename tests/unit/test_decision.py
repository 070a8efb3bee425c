"""What is asked before anything is touched."""

from __future__ import annotations

from dataclasses import replace

import pytest

from failoverd.core.decision import begin, cooldown_remaining_s, retry_at, stop_mode, terms_of
from failoverd.core.diagnosis import Diagnosis
from failoverd.core.effects import StopMode
from failoverd.core.events import Now, Trigger
from failoverd.core.model import Epoch, Instant, Outcome, ProofKind, WallTime
from failoverd.core.states import Blocked, BlockReason, Fencing, Incident
from tests.unit.vocabulary import (
    PAIR,
    PG1,
    PG2,
    PG3,
    TRIO,
    Daemon,
    cut_off,
    dead,
    gone,
    healthy,
    look,
    proof,
    streaming,
    watching,
)

NOW = Now(Instant(200), WallTime(1_700_000_000))
CRASH = Incident(Epoch(1), Trigger.AUTOMATIC, Diagnosis.CRASHED)
ORDER = replace(CRASH, trigger=Trigger.COMMAND)


def suspicious(**changes):
    daemon = watching().sees(dead(), cut_off())
    return replace(daemon.machine, **changes)


def begun(machine, incident=CRASH, policy=PAIR):
    state = begin(incident, machine, NOW, policy)
    return state.reason if isinstance(state, Blocked) else type(state)


def test_it_fences_if_somebody_could_take_over():
    state = begin(CRASH, suspicious(), NOW, PAIR)
    assert isinstance(state, Fencing)
    assert (state.primary, state.standbys, state.mode) == (PG1, (PG2,), StopMode.DEAD_ONLY)
    assert "pg2" in state.why


def test_nobody_to_take_over_means_that_the_primary_is_not_touched():
    daemon = watching().sees(dead(), gone())
    assert begun(daemon.machine) is BlockReason.NO_CANDIDATE
    assert begun(daemon.machine, ORDER) is BlockReason.NO_CANDIDATE


def test_a_primary_never_seen_healthy_is_failed_over_by_order_only():
    machine = suspicious()
    machine = replace(machine, memory=replace(machine.memory, seen_healthy=False))
    assert begun(machine) is BlockReason.NEVER_SEEN_HEALTHY
    assert begun(machine, ORDER) is Fencing


def test_a_primary_on_which_no_write_ever_worked_was_never_seen_healthy():
    """It was full before this daemon first saw it: somebody knows, and may be at it."""

    def full(name, at):
        return replace(healthy()(name, at), write=look(Outcome.FAILING, at))

    daemon = Daemon()
    for _ in range(3):
        daemon.sees(full, streaming())
    assert not daemon.machine.memory.seen_healthy
    assert daemon.sees(healthy(), streaming()).machine.memory.seen_healthy


def test_the_cooldown_holds_back_what_is_automatic():
    machine = suspicious(last_confirmed=WallTime(NOW.wall - 599))
    state = begin(CRASH, machine, NOW, PAIR)
    assert isinstance(state, Blocked)
    assert (state.reason, state.advice) == (BlockReason.COOLDOWN, "failoverd ack")
    assert state.retry_at == NOW.monotonic + 1
    assert begun(machine, ORDER) is Fencing
    assert begun(suspicious(last_confirmed=WallTime(NOW.wall - 600))) is Fencing


def test_a_clock_that_went_backwards_leaves_the_cooldown_whole():
    machine = suspicious(last_confirmed=WallTime(NOW.wall + 5000))
    assert cooldown_remaining_s(machine, NOW, PAIR) == PAIR.cooldown_s


def test_a_day_has_room_for_so_many_and_no_more():
    days = [WallTime(NOW.wall - hours * 3600) for hours in (1, 5, 23)]
    assert begun(suspicious(failovers=tuple(days))) is BlockReason.TOO_MANY_FAILOVERS
    days[2] = WallTime(NOW.wall - 25 * 3600)
    assert begun(suspicious(failovers=tuple(days))) is Fencing


@pytest.mark.parametrize(
    ("diagnosis", "mode"),
    [
        (Diagnosis.CRASHED, StopMode.DEAD_ONLY),
        (Diagnosis.STOPPED, StopMode.DEAD_ONLY),
        (Diagnosis.HUNG, StopMode.IMMEDIATE),
        (Diagnosis.HALF_HUNG, StopMode.IMMEDIATE),
        (Diagnosis.UNREACHABLE, StopMode.IMMEDIATE),
        (Diagnosis.HEALTHY, StopMode.FAST),
        (Diagnosis.UNWRITABLE, StopMode.FAST),
    ],
)
def test_it_is_stopped_no_harder_than_what_was_diagnosed(diagnosis, mode):
    assert stop_mode(replace(CRASH, diagnosis=diagnosis)) is mode


def test_an_accepted_loss_raises_the_limit_and_never_lowers_it():
    more = replace(ORDER, accept_loss_bytes=1 << 40)
    assert terms_of(more, PAIR, None, None).max_loss_bytes == 1 << 40
    less = terms_of(replace(ORDER, accept_loss_bytes=1), PAIR, None, None)
    assert less.max_loss_bytes == PAIR.max_data_loss_bytes
    assert less.loss_accepted


def test_a_primary_that_was_well_is_left_without_loss_or_not_at_all():
    well = replace(ORDER, diagnosis=Diagnosis.HEALTHY)
    assert terms_of(well, PAIR, None, None).max_loss_bytes == PAIR.max_data_loss_bytes
    assert terms_of(well, PAIR, proof(1), None).max_loss_bytes == 0
    vouched = replace(proof(1), kind=ProofKind.VOUCHED)
    assert terms_of(well, PAIR, vouched, None).max_loss_bytes == PAIR.max_data_loss_bytes


def test_whoever_does_not_answer_is_not_waited_for():
    daemon = watching(TRIO).sees(dead(), cut_off(), gone())
    state = begin(CRASH, daemon.machine, NOW, TRIO)
    assert isinstance(state, Fencing)
    assert state.standbys == (PG2,)
    assert PG3 not in state.standbys


def test_back_off_doubles_up_to_half_a_minute_for_ever():
    waits = [retry_at(NOW, attempt) - NOW.monotonic for attempt in (0, 1, 4, 5, 5000)]
    assert waits == [1, 2, 16, 30, 30]
