"""Whoever was asked to promote is the only one who is, until it is proved stopped."""

from __future__ import annotations

from dataclasses import replace

from failoverd.core.effects import (
    Confirm,
    Fence,
    Freeze,
    Promote,
    ReadSettings,
    Retire,
    Salvage,
    StopMode,
    Thaw,
    Unfence,
)
from failoverd.core.events import (
    REPLAYING,
    EffectFailed,
    OperatorVouches,
    Promoted,
    Retired,
    Thawed,
    Unfenced,
)
from failoverd.core.jobs import Job
from failoverd.core.model import Lsn
from failoverd.core.operator import refusal
from failoverd.core.sentences import state_sentence
from failoverd.core.states import (
    Blocked,
    BlockReason,
    Confirming,
    Electing,
    Fencing,
    Promoting,
    Reverting,
    Salvaging,
    Watching,
)
from tests.unit.scenes import (
    CONFIRMED,
    NEW_PRIMARY,
    NOTHING,
    asked_in_vain,
    confirming,
    promoting,
    three_promoting,
)
from tests.unit.vocabulary import (
    ALIVE,
    FAILED,
    HERE,
    PG1,
    PG2,
    PG3,
    WORDS,
    crashed,
    cut_off,
    dead,
    gone,
    healthy,
    server,
    streaming,
)


def test_a_promotion_that_was_asked_for_and_finds_the_old_primary_alive_fences_it():
    daemon = promoting().answered(Promote, FAILED)
    daemon.sees(dead(), cut_off(), after=31).fenced().answered(Promote, ALIVE)
    daemon.sees(dead(), cut_off(), after=31).answered(Fence, ALIVE)
    assert isinstance(daemon.state, Fencing)
    assert daemon.state.mode is StopMode.FAST
    daemon.fenced()
    assert isinstance(daemon.state, Promoting)


def test_whoever_was_asked_goes_on_and_nobody_else_is_asked():
    daemon = three_promoting().answered(Promote, FAILED)
    assert isinstance(daemon.state, Blocked)
    assert daemon.state.reason is BlockReason.PROMOTION_PENDING
    for _ in range(4):
        while isinstance(daemon.state, Blocked):
            daemon.sees(dead(), gone(), gone(), after=31)
        daemon.fenced()
        assert isinstance(daemon.state, Promoting)
        assert (daemon.state.candidate, daemon.state.position) == (PG2, Lsn(HERE))
        assert daemon.machine.asked == {PG2}
        daemon.answered(Promote, FAILED)


def test_a_vouched_fence_goes_on_with_whom_was_asked():
    daemon = promoting().answered(Promote, FAILED).sees(dead(), cut_off(), after=5)
    daemon.answered(Fence, FAILED)
    daemon.told(OperatorVouches("me", PG1, "unplugged"))
    assert isinstance(daemon.state, Promoting)
    assert daemon.machine.asked == {PG2}


def test_a_primary_that_is_well_again_ends_nothing_once_somebody_was_asked():
    daemon = promoting().answered(Promote, FAILED)
    daemon.sees(healthy(), cut_off())
    assert isinstance(daemon.state, Fencing)


def test_an_old_primary_that_takes_writes_before_the_new_one_is_confirmed_is_fenced_again():
    for daemon in (confirming(), confirming().answered(Confirm, FAILED)):
        daemon.sees(healthy(), NEW_PRIMARY, after=0.5)
        assert isinstance(daemon.state, Fencing)
        assert len(daemon.asked(Fence)) == 1
        daemon.fenced().answered(Promote, Promoted(WORDS))
        assert isinstance(daemon.state, Confirming)
        assert daemon.state.candidate == PG2


def test_nor_is_it_left_to_itself_until_a_back_off_is_over():
    daemon = promoting()
    for _ in range(5):
        daemon.answered(Promote, FAILED)
        while isinstance(daemon.state, Blocked):
            daemon.sees(dead(), cut_off(), after=31)
        daemon.fenced()
    daemon.answered(Promote, FAILED).sees(dead(), cut_off())
    assert isinstance(daemon.state, Blocked)
    assert isinstance(daemon.sees(healthy(), cut_off()).state, Fencing)


def test_a_promotion_that_its_own_guard_refused_was_not_asked_for():
    daemon = promoting().answered(Promote, EffectFailed("refused", WORDS))
    assert isinstance(daemon.state, Blocked)
    daemon.sees(dead(), cut_off(), after=31).fenced()
    assert isinstance(daemon.state, Electing)
    assert [type(effect) for effect in daemon.asks] == [Freeze]


def test_a_refusal_proves_nothing_about_an_earlier_request():
    daemon = promoting().answered(Promote, FAILED)
    daemon.sees(dead(), cut_off(), after=31).fenced()
    daemon.answered(Promote, EffectFailed("refused", WORDS))
    assert daemon.machine.asked == {PG2}


def test_a_last_look_that_saw_the_old_primary_alive_asked_nobody():
    daemon = promoting().answered(Promote, ALIVE)
    assert daemon.machine.asked == frozenset()
    daemon.answered(Fence, ALIVE)
    assert isinstance(daemon.state, Reverting)


def test_a_candidate_that_fails_is_proved_stopped_before_the_next_one_is_asked():
    daemon = asked_in_vain()
    epoch = daemon.machine.epoch
    assert [(type(e), e.node, e.epoch) for e in daemon.asks] == [(Retire, PG2, epoch)]
    assert daemon.machine.asked == {PG2}
    daemon.answered(Retire, Retired(WORDS))
    assert daemon.machine.asked == frozenset()
    daemon.fenced()
    assert isinstance(daemon.state, Electing)
    daemon.wakes(0)
    assert isinstance(daemon.state, Salvaging)
    assert daemon.state.candidate == PG3
    daemon.answered(Salvage, NOTHING)
    assert daemon.machine.asked == {PG3}


def test_whom_an_operator_named_is_the_only_one_until_it_is_proved_stopped():
    daemon = asked_in_vain()
    machine = daemon.machine
    named = replace(machine.incident, wanted=PG2)
    state = replace(daemon.state, incident=named)
    daemon.machine = replace(machine, incident=named, state=state)
    unproved = replace(daemon).answered(Retire, FAILED)
    assert unproved.machine.asked == {PG2}
    while isinstance(unproved.state, Blocked):
        unproved.sees(dead(), gone(), cut_off(), after=31)
    assert unproved.fenced().state.candidate == PG2
    daemon.answered(Retire, Retired(WORDS)).fenced().wakes(0)
    assert daemon.state.candidate == PG3, "rather than nobody"


def test_a_candidate_that_is_not_proved_stopped_goes_on_being_the_one_that_is_asked():
    daemon = asked_in_vain().answered(Retire, FAILED)
    assert isinstance(daemon.state, Blocked)
    assert daemon.state.reason is BlockReason.PROMOTION_PENDING
    assert daemon.machine.asked == {PG2}
    while isinstance(daemon.state, Blocked):
        daemon.sees(dead(), gone(), cut_off(), after=31)
    daemon.fenced()
    assert isinstance(daemon.state, Promoting)
    assert daemon.state.candidate == PG2


def test_a_candidate_that_promotes_at_last_is_not_given_up():
    daemon = asked_in_vain().sees(dead(), healthy(timeline=2), cut_off())
    assert isinstance(daemon.state, Fencing)
    assert daemon.state.gives_up is None
    daemon.fenced()
    assert isinstance(daemon.state, Promoting)
    assert daemon.state.candidate == PG2


def test_a_candidate_that_gets_on_with_its_replay_is_waited_for():
    replays = EffectFailed(REPLAYING, WORDS)
    daemon = three_promoting()
    for _ in range(4):
        daemon.answered(Promote, replays)
        while isinstance(daemon.state, Blocked):
            daemon.sees(dead(), cut_off(), cut_off(), after=31)
        daemon.fenced()
        assert isinstance(daemon.state, Promoting)


def test_what_a_candidate_has_still_to_replay_is_shown_with_how_long_it_takes():
    mib = 1 << 20
    daemon = crashed().fenced().froze({PG2: HERE}).answered(Salvage, NOTHING)
    assert isinstance(daemon.state, Promoting)
    assert "to be replayed" not in state_sentence(daemon.machine)
    daemon.sees(dead(), cut_off(replayed_lsn=Lsn(HERE - 90 * mib)))
    assert f"{90 * mib} bytes are still to be replayed, at an unknown rate" in state_sentence(
        daemon.machine
    )
    daemon.sees(dead(), cut_off(replayed_lsn=Lsn(HERE - 80 * mib)), after=2)
    assert (
        f"{80 * mib} bytes are still to be replayed, about 16 s at its last rate"
        in state_sentence(daemon.machine)
    )


def test_a_dead_candidate_with_nobody_beside_it_is_given_up_and_the_old_primary_started_again():
    daemon = crashed().fenced().froze({PG2: HERE}).answered(Salvage, NOTHING)
    daemon.answered(Promote, FAILED)
    for _ in range(2):
        while isinstance(daemon.state, Blocked):
            daemon.sees(dead(), dead(), after=31)
        if daemon.state.gives_up is None:
            daemon.fenced().answered(Promote, FAILED)
    daemon.answered(Retire, Retired(WORDS)).fenced()
    while isinstance(daemon.state, Electing):
        daemon.answered(ReadSettings if PG2 not in daemon.machine.saved else Freeze, FAILED)
    assert isinstance(daemon.state, Reverting)
    assert daemon.state.restart
    assert PG2 not in daemon.machine.asked
    daemon.answered(Unfence, Unfenced(WORDS))
    while isinstance(daemon.state, Reverting):
        daemon.answered(Thaw, FAILED).sees(healthy(), dead(), after=31)
    while isinstance(daemon.state, Blocked):
        daemon.sees(healthy(), dead(), after=31)
    assert isinstance(daemon.state, Watching)
    assert "did not, and was stopped" in daemon.machine.jobs[PG2].said
    assert "failoverd rejoin pg2" in daemon.machine.jobs[PG2].said
    daemon.sees(healthy(), cut_off(), after=11).answered(Thaw, Thawed(WORDS))
    assert PG2 not in daemon.machine.jobs


def test_after_another_one_took_over_whoever_was_asked_in_vain_is_said_to_be_stopped():
    daemon = asked_in_vain().answered(Retire, Retired(WORDS)).fenced().wakes(0)
    daemon.answered(Salvage, NOTHING).answered(Promote, Promoted(WORDS))
    daemon.answered(Confirm, CONFIRMED)
    assert daemon.machine.memory.primary == PG3
    assert "failoverd rejoin pg2" in daemon.machine.jobs[PG2].said


def test_whoever_was_promoted_and_is_down_is_not_given_up_and_must_be_started():
    """Its disk shows the promotion: it may hold commits that nobody else has."""
    daemon = three_promoting().answered(Promote, FAILED)
    for _ in range(4):
        while isinstance(daemon.state, Blocked):
            daemon.sees(dead(), dead(timeline=2), cut_off(), after=31)
        assert isinstance(daemon.state, Fencing)
        assert daemon.state.gives_up is None
        daemon.fenced().answered(Promote, FAILED)
        assert isinstance(daemon.state, Blocked)
        assert "pg2 was promoted" in daemon.state.why
        assert daemon.state.advice.startswith("start pg2")
    assert daemon.machine.asked == {PG2}
    while isinstance(daemon.state, Blocked):
        daemon.sees(dead(), healthy(timeline=2), cut_off(), after=31)
    daemon.fenced().answered(Promote, Promoted(WORDS)).answered(Confirm, CONFIRMED)
    assert daemon.machine.memory.primary == PG2


def test_whom_somebody_vouches_to_be_off_is_not_elected_for_where_it_stood():
    def off(name, at):
        return replace(gone()(name, at), last_server=server(at - 60, in_recovery=True))

    daemon = three_promoting().answered(Promote, FAILED)
    while isinstance(daemon.state, Blocked):
        daemon.sees(dead(), off, cut_off(), after=31)
    assert isinstance(daemon.state, Fencing)
    daemon.told(OperatorVouches("me", PG2, "it is off")).fenced().wakes(0)
    if isinstance(daemon.state, Electing):
        daemon.answered(Freeze, FAILED)
    assert isinstance(daemon.state, Salvaging)
    assert daemon.state.candidate == PG3


def test_an_operator_may_vouch_for_a_node_that_was_asked_and_is_lost():
    daemon = promoting().answered(Promote, FAILED)
    daemon.sees(dead(), streaming())
    vouch = OperatorVouches("me", PG2, "its disk is gone")
    assert refusal(daemon.machine, vouch, daemon.policy) == "pg2 answers: it is not off"
    daemon.sees(dead(), gone()).told(vouch)
    assert daemon.machine.asked == frozenset()
    assert daemon.machine.jobs[PG2].job is Job.OWED_GUARD
    daemon.sees(healthy(), gone(), after=31).answered(Fence, ALIVE)
    assert isinstance(daemon.state, Reverting)
