"""A failover from a primary with a dead-man: who is frozen for it, and what it proves."""

from __future__ import annotations

from dataclasses import replace

import pytest

from failoverd.core.arming import renewed
from failoverd.core.dead_man import FIRED
from failoverd.core.diagnosis import Diagnosis
from failoverd.core.effects import (
    ArmDeadMan,
    DisarmDeadMan,
    Fence,
    Freeze,
    ReadSettings,
    StopMode,
    Thaw,
    Unfence,
    Unguard,
)
from failoverd.core.events import (
    DEAD_MAN_VOID,
    DeadManDisarmed,
    EffectFailed,
    FrozenAt,
    OperatorFailover,
    OperatorVouches,
    Replied,
    SettingsRead,
    StillAlive,
    Trigger,
)
from failoverd.core.model import Evidence, Frozen, Guard, Lsn, Outcome, ProofKind, Timeline
from failoverd.core.states import Blocked, Electing, Fencing, Reverting, Suspect
from tests.unit.armed import BOTH, armed, watched, well
from tests.unit.vocabulary import (
    FAILED,
    HERE,
    OWN,
    PG1,
    PG2,
    WORDS,
    crashed,
    cut_off,
    dead,
    gone,
    host,
    streaming,
)


def cut(policy=BOTH):
    """Armed, and neither the primary nor its host answers any more: it is being fenced."""
    daemon = armed(policy)
    for _ in range(5):
        daemon.sees(gone(), cut_off(reach=Outcome.TIMED_OUT))
    assert isinstance(daemon.state, Fencing)
    return daemon


def test_a_living_primary_is_not_stopped_before_it_is_disarmed():
    daemon = armed().told(OperatorFailover(Trigger.COMMAND, "dba"))
    assert daemon.state.mode is StopMode.FAST
    assert daemon.asked(Fence) == []
    daemon.answered(DisarmDeadMan, DeadManDisarmed(WORDS))
    assert len(daemon.asked(Fence)) == 1
    daemon.sees(well(), streaming())
    assert daemon.asked(ArmDeadMan) == []


def test_that_it_cannot_be_disarmed_does_not_hold_a_failover_up_for_ever():
    daemon = armed().told(OperatorFailover(Trigger.COMMAND, "dba"))
    daemon.answered(DisarmDeadMan, FAILED)
    assert len(daemon.asked(Fence)) == 1


def test_the_standbys_of_a_primary_out_of_reach_are_frozen_before_any_proof():
    daemon = cut()
    assert daemon.state.mode is StopMode.IMMEDIATE
    assert renewed(daemon.machine) is None
    daemon.answered(ReadSettings, SettingsRead(OWN, WORDS))
    assert [effect.node for effect in daemon.asked(Freeze)] == [PG2]


def test_those_of_any_other_primary_are_not():
    daemon = watched()
    for _ in range(5):
        daemon.sees(gone(), cut_off(reach=Outcome.TIMED_OUT))
    daemon.answered(ReadSettings, SettingsRead(OWN, WORDS))
    assert isinstance(daemon.state, Fencing)
    assert daemon.asked(Freeze) == []


def test_without_a_proof_the_standbys_are_thawed_while_it_is_blocked_and_frozen_again():
    daemon = cut().froze({PG2: HERE})
    daemon.answered(Fence, FAILED)
    assert isinstance(daemon.state, Blocked)
    assert [effect.node for effect in daemon.asked(Thaw)] == [PG2]
    daemon.sees(gone(), cut_off(reach=Outcome.TIMED_OUT), after=2.0)
    assert isinstance(daemon.state, Fencing)
    assert [effect.node for effect in daemon.asked(Freeze)] == [PG2]


def test_a_freeze_that_was_thawed_before_its_answer_came_is_done_anew():
    daemon = cut()
    daemon.answered(ReadSettings, SettingsRead(OWN, WORDS))
    freeze, visit = daemon.asked(Freeze)[0], daemon.machine.visit
    daemon.answered(Fence, FAILED)
    assert [effect.node for effect in daemon.asked(Thaw)] == [PG2]
    daemon.sees(gone(), cut_off(reach=Outcome.TIMED_OUT), after=2.0)
    assert isinstance(daemon.state, Fencing)
    frozen = FrozenAt(Frozen(PG2, Lsn(HERE), Timeline(1), OWN), WORDS)
    daemon.happens(Replied(visit, freeze, frozen))
    assert daemon.asked(Freeze) == [freeze]


def test_who_was_being_thawed_when_somebody_vouched_is_frozen_anew():
    daemon = cut().froze({PG2: HERE})
    daemon.answered(Fence, FAILED)
    assert [effect.node for effect in daemon.asked(Thaw)] == [PG2]
    daemon.told(OperatorVouches("me", PG1, "unplugged"))
    assert isinstance(daemon.state, Electing)
    assert [effect.node for effect in daemon.asked(Freeze)] == [PG2]


def test_what_can_be_no_proof_any_more_is_not_counted_on_again():
    daemon = cut()
    daemon.answered(Fence, EffectFailed(DEAD_MAN_VOID, Evidence("its time is over")))
    daemon.sees(gone(), cut_off(reach=Outcome.TIMED_OUT), after=2.0)
    assert isinstance(daemon.state, Fencing)
    daemon.answered(ReadSettings, SettingsRead(OWN, WORDS))
    assert daemon.asked(Freeze) == []


def test_its_proof_leaves_a_guard_owed():
    daemon = cut().froze({PG2: HERE}).fenced(kind=ProofKind.DEAD_MAN_EXPIRED)
    assert isinstance(daemon.state, Electing)
    assert daemon.asked(DisarmDeadMan) == []


def test_it_is_disarmed_before_what_was_fenced_is_started_again():
    daemon = crashed(BOTH)
    daemon = armed()
    daemon.sees(dead(), cut_off()).sees(dead(), cut_off(), after=0.21)
    assert isinstance(daemon.state, Fencing)
    daemon.answered(Fence, StillAlive(Evidence("a postmaster runs")))
    assert isinstance(daemon.state, Reverting)
    assert daemon.asked(DisarmDeadMan) != []
    assert daemon.asked(Unguard) + daemon.asked(Unfence) == []
    daemon.answered(DisarmDeadMan, EffectFailed(FIRED, Evidence("it has fired")))
    assert daemon.machine.dead_man is None
    assert len(daemon.asked(Unguard)) == 1


def fired(*, started=False):
    """Its dead-man has ended it; `started` again since, by whoever, as a standby of nobody."""

    def node(name, at):
        found = dead(guard=Guard.OURS)(name, at)
        if started:
            found = cut_off()(name, at)
            found = replace(found, host=host(at, guard=Guard.OURS))
        facts = replace(found.host.facts, dead_man=FIRED)
        return replace(found, host=replace(found.host, facts=facts))

    return node


@pytest.mark.parametrize("started", [False, True])
def test_what_it_has_ended_is_failed_over_from_as_after_a_crash(started):
    daemon = armed()
    for _ in range(2):
        daemon.sees(fired(started=started), cut_off(), after=0.3)
    assert daemon.machine.diagnosis is Diagnosis.CRASHED
    assert isinstance(daemon.state, Fencing)
    assert daemon.state.mode is StopMode.DEAD_ONLY


def test_what_it_has_ended_is_started_again_where_nobody_can_take_over():
    daemon = armed()
    paused = cut_off(replay_paused=True)
    for _ in range(2):
        daemon.sees(fired(), paused)
    assert isinstance(daemon.state, Blocked)
    daemon.sees(fired(), paused)
    assert isinstance(daemon.state, Reverting)
    assert daemon.state.restart
    daemon.answered(DisarmDeadMan, EffectFailed(FIRED, Evidence("it has fired")))
    assert len(daemon.asked(Unfence)) == 1


def test_but_not_beside_a_standby_that_is_out_of_sight():
    daemon = armed()
    for _ in range(6):
        daemon.sees(fired(), gone())
    assert isinstance(daemon.state, Blocked)
    assert daemon.asked(Unfence) + daemon.asked(Unguard) == []


def test_suspected_it_is_still_renewed():
    daemon = armed().sees(gone(), cut_off(reach=Outcome.TIMED_OUT))
    assert isinstance(daemon.state, Suspect)
    assert renewed(daemon.machine) is not None


def test_started_under_its_guard_it_is_failed_over_from_as_soon_as_somebody_can_take_over():
    daemon = armed()
    for _ in range(4):
        daemon.sees(fired(started=True), gone())
    assert isinstance(daemon.state, Blocked)
    for _ in range(2):
        daemon.sees(fired(started=True), cut_off())
    assert isinstance(daemon.state, Fencing)
