"""What makes a daemon act, and what does not: evidence, not time-outs."""

from __future__ import annotations

from dataclasses import replace

import pytest

from failoverd.core.diagnosis import Diagnosis
from failoverd.core.effects import Fence, ReadSettings, StopMode
from failoverd.core.events import Observed, OperatorAdopts
from failoverd.core.model import Lsn, Outcome, Timeline
from failoverd.core.policy import Mode
from failoverd.core.states import Blocked, BlockReason, Fencing, Starting, Suspect, Watching
from tests.unit.scenes import NEW_PRIMARY, QUIET
from tests.unit.vocabulary import (
    HERE,
    PAIR,
    PG1,
    PG2,
    TRIO,
    Daemon,
    cut_off,
    dead,
    gone,
    healthy,
    hung,
    says,
    streaming,
    view,
    watching,
)


def test_the_only_writable_node_is_the_primary_and_nobody_is_waited_for():
    assert Daemon().sees(dead(), streaming()).state == Starting()
    assert watching().machine.memory.primary == PG1
    assert isinstance(Daemon().sees(healthy(), healthy()).state, Blocked)


def on_timeline_two(name, at):
    """A standby that followed a later primary, which is out of sight."""
    seen = cut_off()(name, at)
    facts = replace(seen.host.facts, control_timeline=Timeline(2))
    return replace(seen, host=replace(seen.host, facts=facts))


def test_a_first_start_adopts_nobody_whose_timeline_another_node_has_left_behind():
    daemon = Daemon(TRIO).sees(healthy(), gone(), on_timeline_two)
    assert daemon.state.reason is BlockReason.DEMOTED
    assert "pg3 has seen timeline 2" in daemon.state.why
    for _ in range(3):
        daemon.sees(healthy(), gone(), on_timeline_two)
    assert (daemon.machine.memory.primary, daemon.asks) == (None, ())
    daemon.told(OperatorAdopts("ada", PG1))
    assert (daemon.state, daemon.machine.memory.primary) == (Watching(), PG1)


def test_a_crash_is_acted_on_at_the_second_look_200_ms_after_the_first_began():
    daemon = watching().sees(dead(), cut_off())
    assert isinstance(daemon.state, Suspect)
    assert isinstance(daemon.sees(dead(), cut_off(), after=0.19).state, Suspect)
    assert isinstance(daemon.sees(dead(), cut_off(), after=0.02).state, Fencing)
    epoch = daemon.machine.epoch
    fence = Fence(PG1, StopMode.DEAD_ONLY, epoch, wal_from=Lsn(HERE))
    assert daemon.asks == (fence, ReadSettings(PG2, epoch))


def test_one_look_seen_twice_is_one_look():
    daemon = watching().sees(dead(), cut_off())
    for _ in range(5):
        assert isinstance(daemon.wakes(0.2).state, Suspect)


def test_a_second_look_that_finds_something_else_begins_anew():
    daemon = watching().sees(dead(), cut_off()).sees(hung(), QUIET, after=0.25)
    assert isinstance(daemon.sees(dead(), cut_off(), after=0.25).state, Suspect)
    assert isinstance(daemon.sees(dead(), cut_off(), after=0.25).state, Fencing)


def test_without_the_fast_path_a_crash_waits_for_the_threshold():
    daemon = watching(replace(PAIR, fast_path=False))
    waited = 0
    while not isinstance(daemon.sees(dead(), cut_off()).state, Fencing):
        waited += 1
    assert waited == 3


def test_a_hang_of_an_idle_primary_is_acted_on_about_four_seconds_later():
    daemon = watching()
    began = daemon.at
    while not isinstance(daemon.state, Fencing):
        daemon.sees(hung(), QUIET)
        daemon.wakes(0.99)
        daemon.at -= 0.99
    assert daemon.at - began == pytest.approx(3, abs=1)
    assert daemon.state.mode is StopMode.IMMEDIATE


def test_a_primary_that_answers_again_before_the_threshold_is_left_alone():
    daemon = watching().sees(hung(), QUIET).sees(hung(), QUIET).sees(healthy(), streaming())
    assert daemon.state == Watching()
    assert isinstance(daemon.sees(hung(), QUIET).state, Suspect)
    assert isinstance(daemon.sees(hung(), QUIET).state, Suspect)


@pytest.mark.parametrize(
    ("primary", "standby"),
    [
        (gone(), streaming(age=-0.5)),
        (gone(), gone()),
        (says(Outcome.MISCONFIGURED), streaming()),
        (says(Outcome.TOO_MANY_CONNECTIONS), streaming()),
        (hung(), streaming(age=-0.5)),
        (dead(boot="another"), cut_off()),
        (hung(), gone()),
    ],
)
def test_what_does_not_call_for_it_never_leads_to_a_fence(primary, standby):
    daemon = watching()
    for _ in range(100):
        daemon.sees(primary, standby)
        assert not daemon.asked(Fence)


@pytest.mark.parametrize("mode", [Mode.MANUAL, Mode.OBSERVE])
def test_who_waits_for_an_operator_stays_suspect(mode):
    daemon = watching(replace(PAIR, mode=mode))
    for _ in range(10):
        daemon.sees(dead(), cut_off())
    assert isinstance(daemon.state, Suspect)


def test_blindness_is_no_news_of_the_primary():
    daemon = watching().sees(dead(), cut_off()).sees(gone(), gone())
    assert isinstance(daemon.state, Suspect)
    assert isinstance(daemon.sees(dead(), cut_off()).state, Fencing)


@pytest.mark.parametrize("reached", [True, False], ids=["our fault", "nothing is reached"])
@pytest.mark.parametrize("outcome", [Outcome.STARTING_UP, Outcome.SHUTTING_DOWN])
def test_what_was_seen_before_we_were_blind_for_long_and_after_it_did_not_last_all_the_time(
    outcome, reached
):
    """It was restarted for a moment, and is again: between the two it may have been well."""

    def blind(after):
        daemon.at += after
        seen = view(says(outcome), cut_off(), at=daemon.at)
        nothing = view(gone(), gone(), at=daemon.at)
        dark = replace(seen, our_network_down=True) if reached else nothing
        daemon.happens(Observed(dark))
        assert daemon.machine.diagnosis is Diagnosis.BLIND

    daemon = watching()
    for _ in range(2):
        daemon.sees(says(outcome), cut_off())
    assert isinstance(daemon.state, Suspect)
    for _ in range(4):
        blind(after=PAIR.recovery_limit_s / 3)
    for _ in range(3):
        daemon.sees(says(outcome), cut_off())
        assert isinstance(daemon.state, Suspect)
    if reached:  # a moment of ours in between is no break
        blind(after=1)
    for _ in range(int(PAIR.recovery_limit_s) - 2):
        daemon.sees(says(outcome), cut_off())
    assert isinstance(daemon.state, Fencing)


def test_somebody_elses_promotion_is_adopted_and_a_lower_timeline_never():
    daemon = watching().sees(dead(), NEW_PRIMARY).sees(dead(), NEW_PRIMARY)
    assert daemon.state == Watching()
    assert daemon.machine.memory.primary == PG2
    daemon.sees(healthy(timeline=1), gone()).sees(healthy(timeline=1), gone())
    assert daemon.machine.memory.primary == PG2
    assert daemon.machine.memory.timeline == 2
