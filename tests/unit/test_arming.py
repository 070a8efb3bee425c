"""When a dead-man is armed, when it is let go, and whom it makes the daemon freeze."""

from __future__ import annotations

from dataclasses import replace

import pytest

from failoverd.core.arming import changed, renewed, why_not
from failoverd.core.asked import asks
from failoverd.core.dead_man import FIRED, ArmedFor, Phase, Reading
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
    DaemonStops,
    DeadManArmed,
    DeadManDisarmed,
    DeadManLost,
    EffectFailed,
    OperatorFailover,
    OperatorPause,
    OperatorResume,
    Replied,
    SettingsRead,
    StillAlive,
    Trigger,
)
from failoverd.core.incident import EntryKind, describe
from failoverd.core.model import Evidence, Guard, Instant, Outcome, ProofKind
from failoverd.core.policy import DeadManPolicy, Mode
from failoverd.core.states import Blocked, Electing, Fencing, Paused, Reverting, Suspect, Watching
from failoverd.record.codec import decode, encode
from tests.unit.vocabulary import (
    FAILED,
    HERE,
    OWN,
    PAIR,
    PG1,
    PG2,
    PG3,
    TRIO,
    WORDS,
    Daemon,
    crashed,
    cut_off,
    dead,
    gone,
    healthy,
    host,
    sender,
    streaming,
    watching,
)

ON = DeadManPolicy(5.0)
BOTH = replace(PAIR, dead_man=ON)
THREE = replace(TRIO, dead_man=ON)
STARTED = "1700000000"
LIFE = ArmedFor("boot", 10, STARTED)
READING = Reading("boot", 1000.0, Instant(100.0), Instant(100.1))


def well(*standbys, **more):
    return healthy(senders=tuple(sender(node) for node in standbys or (PG2,)), **more)


def armed_by(name="first", life=LIFE):
    return DeadManArmed(name, life, READING, WORDS)


def watched(policy=BOTH, *standbys):
    return watching(policy, primary=well(*standbys))


def armed(policy=BOTH, *standbys):
    return watched(policy, *standbys).answered(ArmDeadMan, armed_by())


def cut(policy=BOTH):
    """Armed, and neither the primary nor its host answers any more: it is being fenced."""
    daemon = armed(policy)
    for _ in range(5):
        daemon.sees(gone(), cut_off(reach=Outcome.TIMED_OUT))
    assert isinstance(daemon.state, Fencing)
    return daemon


def test_off_by_default():
    daemon = watching()
    assert daemon.asked(ArmDeadMan) == []
    assert daemon.machine.dead_man is None
    assert why_not(daemon.machine, daemon.now, daemon.policy) == "fencing.ladder has no dead_man"


def test_it_is_armed_for_a_primary_that_is_watched_and_well():
    daemon = watched()
    (ask,) = daemon.asked(ArmDeadMan)
    assert (ask.node, ask.standbys, ask.ttl_s) == (PG1, frozenset({PG2}), 5.0)
    assert ask.epoch == daemon.machine.epoch > 0
    assert renewed(daemon.machine) is None
    daemon.answered(ArmDeadMan, armed_by())
    assert renewed(daemon.machine) is not None
    assert daemon.asked(ArmDeadMan) == []
    assert why_not(daemon.machine, daemon.now, daemon.policy) == ""


def test_what_is_journaled_of_it_is_read_back():
    machine = armed().machine
    assert decode(type(machine.dead_man), encode(machine.dead_man)) == machine.dead_man


def test_only_standbys_that_stream_from_it_are_named():
    daemon = watched(THREE, PG3)
    assert daemon.asked(ArmDeadMan)[0].standbys == {PG3}


def test_of_those_that_the_configuration_lists():
    listed = replace(TRIO, dead_man=DeadManPolicy(5.0, frozenset({PG2})))
    assert watched(listed, PG2, PG3).asked(ArmDeadMan)[0].standbys == {PG2}


def test_who_may_never_take_over_is_named_only_if_it_is_listed():
    never = {**TRIO.nodes, PG3: replace(TRIO.nodes[PG3], never=True)}
    by_default = replace(THREE, nodes=never)
    assert watched(by_default, PG2, PG3).asked(ArmDeadMan)[0].standbys == {PG2}
    listed = replace(by_default, dead_man=DeadManPolicy(5.0, frozenset({PG2, PG3})))
    assert watched(listed, PG2, PG3).asked(ArmDeadMan)[0].standbys == {PG2, PG3}


def test_whoever_shares_its_name_with_somebody_who_is_not_frozen_is_not_named():
    never = {**TRIO.nodes, PG3: replace(TRIO.nodes[PG3], never=True)}
    primary = healthy(
        senders=tuple(replace(sender(n), application_name="walreceiver") for n in (PG2, PG3))
    )
    daemon = watching(replace(THREE, nodes=never), primary=primary)
    assert daemon.asked(ArmDeadMan) == []
    assert "application_name" in why_not(daemon.machine, daemon.now, daemon.policy)
    both = watching(THREE, primary=primary)
    assert both.asked(ArmDeadMan)[0].standbys == {PG2, PG3}


@pytest.mark.parametrize("mode", [Mode.OBSERVE, Mode.MANUAL])
def test_never_where_nobody_would_fail_over_by_itself(mode):
    daemon = watched(replace(BOTH, mode=mode))
    assert daemon.asked(ArmDeadMan) == []
    assert f"mode is {mode}" in why_not(daemon.machine, daemon.now, daemon.policy)


def test_without_a_standby_that_streams_it_is_not_armed():
    daemon = watching(BOTH)
    assert daemon.asked(ArmDeadMan) == []
    assert "no standby" in why_not(daemon.machine, daemon.now, daemon.policy)


def test_it_is_not_armed_where_the_loss_until_then_would_forbid_the_promotion():
    writes = iter(range(HERE, HERE + 100_000_000, 10_000_000))
    daemon = Daemon(BOTH)
    for lsn in writes:
        daemon.sees(well(lsn=lsn), streaming(HERE - lsn))
    assert daemon.asked(ArmDeadMan) == []
    assert len(daemon.asked(DisarmDeadMan)) == 1
    assert "may be too much" in why_not(daemon.machine, daemon.now, daemon.policy)


def test_it_is_disarmed_once_nobody_could_take_over_and_armed_again_when_somebody_can():
    daemon = armed()
    daemon.sees(healthy(), gone())
    assert daemon.asked(DisarmDeadMan) == []
    for _ in range(5):
        daemon.sees(healthy(), gone())
    assert renewed(daemon.machine) is None
    daemon.answered(DisarmDeadMan, DeadManDisarmed(WORDS))
    assert daemon.machine.dead_man is None
    daemon.sees(well(), streaming())
    first = watched().asked(ArmDeadMan)[0]
    (again,) = daemon.asked(ArmDeadMan)
    assert again != first, "the same visit does not ask for the same twice"


def test_a_standby_that_is_back_at_once_changes_nothing():
    daemon = armed()
    for _ in range(10):
        daemon.sees(healthy(), gone()).sees(well(), streaming())
    assert daemon.asked(DisarmDeadMan) == []
    assert renewed(daemon.machine) is not None


def test_when_other_standbys_can_answer_it_is_armed_anew_with_them():
    daemon = armed(THREE, PG2)
    for _ in range(6):
        daemon.sees(well(PG2, PG3), streaming(), streaming())
    assert daemon.asked(ArmDeadMan)[0].standbys == {PG2, PG3}


def test_a_server_that_was_started_anew_is_armed_for_at_once():
    daemon = armed()
    daemon.sees(well(postmaster_started="1700000500"), streaming())
    assert len(daemon.asked(ArmDeadMan)) == 1
    daemon.answered(ArmDeadMan, armed_by("second", ArmedFor("boot", 70, "1700000500")))
    daemon.sees(well(postmaster_started="1700000500"), streaming())
    assert daemon.asked(ArmDeadMan) == []


def test_what_was_lost_is_armed_anew_after_a_moment():
    daemon = armed().told(DeadManLost("first", "its process 7 has ended"))
    assert renewed(daemon.machine) is None
    assert daemon.asked(ArmDeadMan) == []
    assert daemon.machine.dead_man.name == ""
    assert "has ended" in why_not(daemon.machine, daemon.now, daemon.policy)
    for _ in range(6):
        daemon.sees(well(), streaming())
    assert len(daemon.asked(ArmDeadMan)) == 1


def test_a_host_that_was_booted_since_has_none():
    daemon = armed().sees(dead(boot="another"), streaming())
    assert renewed(daemon.machine) is None
    assert "booted" in why_not(daemon.machine, daemon.now, daemon.policy)
    for _ in range(5):
        daemon.sees(gone(), cut_off(reach=Outcome.TIMED_OUT))
    assert daemon.asked(Freeze) == []


def test_the_loss_of_an_earlier_arming_is_no_news():
    daemon = armed()
    before = daemon.machine.dead_man
    daemon.told(DeadManLost("zeroth", "taken over"))
    assert daemon.machine.dead_man == before


def test_what_failed_is_tried_again_later():
    daemon = watched().answered(ArmDeadMan, EffectFailed("not_armed", Evidence("no setsid")))
    assert daemon.asked(ArmDeadMan) == []
    assert "no setsid" in why_not(daemon.machine, daemon.now, daemon.policy)
    assert daemon.last.wake_at == daemon.at + 10
    daemon.wakes(10)
    assert len(daemon.asked(ArmDeadMan)) == 1


def test_paused_it_is_disarmed_first_of_all_and_armed_again_afterwards():
    daemon = armed().told(OperatorPause("dba"))
    assert isinstance(daemon.state, Paused)
    assert renewed(daemon.machine) is None
    assert len(daemon.asks) == 1
    daemon.answered(DisarmDeadMan, DeadManDisarmed(WORDS))
    assert daemon.asks == ()
    assert why_not(daemon.machine, daemon.now, daemon.policy) == "paused by dba"
    daemon.told(OperatorResume("dba")).sees(well(), streaming())
    assert len(daemon.asked(ArmDeadMan)) == 1


def test_paused_while_it_was_being_armed_it_is_disarmed_after_that():
    daemon = watched()
    ask, visit = daemon.asked(ArmDeadMan)[0], daemon.machine.visit
    daemon.told(OperatorPause("dba"))
    daemon.happens(Replied(visit, ask, armed_by()))
    assert daemon.machine.dead_man.phase is Phase.DISARMING
    assert len(daemon.asked(DisarmDeadMan)) == 1


@pytest.mark.parametrize("answer", [DeadManDisarmed(WORDS), FAILED])
def test_a_daemon_that_stops_disarms_it(answer):
    daemon = armed().told(DaemonStops())
    assert renewed(daemon.machine) is None
    daemon.answered(DisarmDeadMan, answer)
    assert daemon.machine.dead_man is None or daemon.machine.dead_man.failed == 1


@pytest.mark.parametrize("change", [{"dead_man": None}, {"mode": Mode.OBSERVE}])
def test_a_configuration_that_drops_it_disarms_it(change):
    daemon = armed()
    daemon.policy = replace(BOTH, **change)
    daemon.sees(well(), streaming())
    (ask,) = asks(daemon.machine, daemon.policy)
    assert isinstance(ask, DisarmDeadMan)


def test_another_ttl_is_armed_with_at_once():
    daemon = armed()
    daemon.policy = replace(PAIR, dead_man=DeadManPolicy(8.0))
    daemon.sees(well(), streaming())
    assert daemon.asked(ArmDeadMan)[0].ttl_s == 8.0


def test_after_a_restart_it_is_no_proof_and_is_armed_anew():
    daemon = armed()
    daemon.restarted()
    assert renewed(daemon.machine) is None
    daemon.sees(well(), streaming()).sees(well(), streaming())
    assert isinstance(daemon.state, Watching)
    assert len(daemon.asked(ArmDeadMan)) == 1


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
    for _ in range(3):
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


def test_each_change_is_journaled_and_said_and_nothing_else_is():
    daemon = watched()
    before = daemon.machine
    daemon.answered(ArmDeadMan, armed_by())
    said = changed(before, daemon.machine)
    assert said == "the dead-man on pg1 is armed (TTL 5 s, it asks pg2)"
    armed_machine = daemon.machine
    daemon.sees(well(), streaming())
    assert describe(armed_machine, _seen(daemon), daemon.machine, daemon.policy) is None
    lost = DeadManLost("first", "it is gone")
    daemon.told(lost)
    entry = describe(armed_machine, lost, daemon.machine, daemon.policy)
    assert entry.kind is EntryKind.DEAD_MAN
    assert "it is gone" in entry.sentence


def _seen(daemon):
    from failoverd.core.events import Observed  # noqa: PLC0415

    return Observed(daemon.machine.view)
