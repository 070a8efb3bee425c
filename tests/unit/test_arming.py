"""When a dead-man is armed, and when it is let go."""

from __future__ import annotations

from dataclasses import replace

import pytest

from failoverd.core.arming import changed, renewed, why_not
from failoverd.core.asked import asks
from failoverd.core.dead_man import ArmedFor, Phase
from failoverd.core.effects import ArmDeadMan, DisarmDeadMan, Freeze
from failoverd.core.events import (
    DaemonStops,
    DeadManDisarmed,
    DeadManLost,
    EffectFailed,
    Observed,
    OperatorPause,
    OperatorResume,
    Replied,
)
from failoverd.core.incident import EntryKind, describe
from failoverd.core.model import Evidence, Outcome
from failoverd.core.policy import DeadManPolicy, Mode
from failoverd.core.states import Paused, Watching
from failoverd.record.codec import decode, encode
from tests.unit.armed import BOTH, THREE, armed, armed_by, watched, well
from tests.unit.vocabulary import (
    FAILED,
    HERE,
    PAIR,
    PG1,
    PG2,
    PG3,
    TRIO,
    WORDS,
    Daemon,
    cut_off,
    dead,
    gone,
    healthy,
    sender,
    streaming,
    watching,
)


def test_no_dead_man_is_armed_by_default():
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


def test_each_change_is_journaled_and_said_and_nothing_else_is():
    daemon = watched()
    before = daemon.machine
    daemon.answered(ArmDeadMan, armed_by())
    said = changed(before, daemon.machine)
    assert said == "the dead-man on pg1 is armed (TTL 5 s, it asks pg2)"
    armed_machine = daemon.machine
    daemon.sees(well(), streaming())
    assert (
        describe(armed_machine, Observed(daemon.machine.view), daemon.machine, daemon.policy)
        is None
    )
    lost = DeadManLost("first", "it is gone")
    daemon.told(lost)
    entry = describe(armed_machine, lost, daemon.machine, daemon.policy)
    assert entry.kind is EntryKind.DEAD_MAN
    assert "it is gone" in entry.sentence
