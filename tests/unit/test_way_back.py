"""A failover that comes to nothing leaves everything as it was."""

from __future__ import annotations

from failoverd.core.effects import Fence, ReadSettings, Salvage, Thaw, Unfence, Unguard
from failoverd.core.events import Replied, Thawed, Unfenced, Unguarded
from failoverd.core.jobs import Job
from failoverd.core.model import ControlState, Lsn, Timeline, WalEnd
from failoverd.core.states import Blocked, BlockReason, Fencing, Reverting, Watching
from failoverd.core.wal_answers import NotSalvaged
from tests.unit.scenes import NEW_PRIMARY, electing, salvaging
from tests.unit.vocabulary import (
    ALIVE,
    FAILED,
    HERE,
    OWN,
    PG1,
    PG2,
    TRIO,
    WORDS,
    crashed,
    cut_off,
    dead,
    healthy,
    held_down,
    streaming,
)

FAR_END = WalEnd(Timeline(1), Lsn(HERE), Lsn(HERE + (1 << 40)))


def test_a_primary_found_alive_by_the_last_look_is_left_alone():
    daemon = crashed().answered(Fence, ALIVE)
    assert isinstance(daemon.state, Reverting)
    assert daemon.asks == (Unguard(PG1, daemon.machine.epoch),)
    daemon.answered(Unguard, Unguarded(WORDS))
    assert daemon.state == Watching()
    assert daemon.machine.incident is None
    assert daemon.machine.jobs == {}
    assert daemon.machine.memory.failed_rounds == 0


def test_no_candidate_after_the_fence_goes_all_the_way_back_at_once():
    daemon = electing().answered(ReadSettings, FAILED)
    assert isinstance(daemon.state, Reverting)
    daemon.answered(Unfence, Unfenced(WORDS))
    assert isinstance(daemon.state, Blocked)
    assert daemon.state.reason is BlockReason.NO_CANDIDATE
    assert daemon.sees(healthy(), streaming()).state == Watching()


def test_going_back_ends_with_the_last_thing_owed_and_needs_no_other_event():
    daemon = salvaging()
    daemon.answered(Salvage, NotSalvaged(WORDS, FAR_END))
    assert isinstance(daemon.state, Reverting)
    assert {type(e) for e in daemon.asks} == {Thaw, Unfence}
    daemon.answered(Unfence, Unfenced(WORDS))
    assert isinstance(daemon.state, Reverting)
    daemon.answered(Thaw, Thawed(WORDS))
    assert isinstance(daemon.state, Blocked)
    assert daemon.state.reason is BlockReason.LOSS_TOO_LARGE
    assert daemon.machine.saved == {}


def test_what_cannot_be_thawed_is_left_to_upkeep_and_not_forgotten():
    daemon = salvaging()
    daemon.answered(Salvage, NotSalvaged(WORDS, FAR_END))
    daemon.answered(Unfence, Unfenced(WORDS))
    while isinstance(daemon.state, Reverting):
        daemon.answered(Thaw, FAILED)
        daemon.wakes(31)
    assert isinstance(daemon.state, Blocked)
    assert daemon.machine.saved == {PG2: OWN}
    assert daemon.asked(Thaw)


def test_an_old_primary_that_cannot_be_started_again_is_replaced_if_somebody_can():
    daemon = electing().answered(ReadSettings, FAILED)
    while isinstance(daemon.state, Reverting):
        daemon.answered(Unfence, FAILED)
        daemon.wakes(31)
    assert isinstance(daemon.state, Blocked)
    assert isinstance(daemon.state.returns_to, Fencing)
    daemon.sees(dead(), cut_off())
    daemon.sees(dead(), cut_off(), after=31)
    assert isinstance(daemon.state, Fencing)


def test_an_old_primary_that_our_guard_holds_down_is_started_again_on_the_way_back():
    daemon = crashed().answered(Fence, ALIVE).sees(held_down, cut_off())
    assert isinstance(daemon.state, Reverting)
    assert daemon.asked(Unfence)


def test_nothing_is_started_beside_a_node_that_takes_writes():
    daemon = electing().answered(ReadSettings, FAILED)
    daemon.sees(dead(), NEW_PRIMARY)
    assert not daemon.asked(Unfence)
    assert daemon.machine.jobs[PG1].job is Job.QUARANTINED


def test_a_way_back_that_somebody_bars_is_said_and_not_waited_for():
    daemon = crashed(TRIO).fenced()
    for ask in daemon.asks:
        daemon.happens(Replied(daemon.machine.visit, ask, FAILED))
    for _ in range(200):
        daemon.sees(dead(), cut_off(), healthy(HERE + 99))
    assert isinstance(daemon.state, Blocked)
    assert "somebody else writes or is being promoted" in daemon.state.why


def test_a_guard_is_not_taken_back_beside_a_new_primary():
    daemon = crashed().answered(Fence, ALIVE)
    while isinstance(daemon.state, Reverting):
        daemon.answered(Unguard, FAILED).wakes(31)
    daemon.restarted().sees(dead(ControlState.SHUT_DOWN_IN_RECOVERY), NEW_PRIMARY)
    assert daemon.asked(Unguard) == []
