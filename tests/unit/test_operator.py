"""What an operator may ask for, and when it is refused."""

from __future__ import annotations

from dataclasses import replace

import pytest

from failoverd.core.effects import Confirm, Fence
from failoverd.core.events import (
    OperatorAcknowledges,
    OperatorFailover,
    OperatorPause,
    OperatorResume,
    OperatorVouches,
    Trigger,
)
from failoverd.core.model import Outcome, ProofKind, WallTime
from failoverd.core.operator import in_procedure, refusal
from failoverd.core.policy import Mode
from failoverd.core.states import Blocked, Electing, Fencing, Paused, Starting, Suspect, Watching
from tests.unit.scenes import CONFIRMED, confirming, electing, promoting, salvaging
from tests.unit.vocabulary import (
    FAILED,
    PAIR,
    PG1,
    PG2,
    PG3,
    Daemon,
    crashed,
    cut_off,
    dead,
    gone,
    healthy,
    says,
    streaming,
    watching,
)

FAILOVER = OperatorFailover(Trigger.COMMAND, "me")
PAUSE = OperatorPause("me")
VOUCH = OperatorVouches("me", PG1, "unplugged")


def refused(daemon, command):
    before = daemon.machine
    why = refusal(daemon.machine, command, daemon.policy)
    if why is not None:
        daemon.told(command)
        assert (daemon.state, daemon.machine.visit) == (before.state, before.visit)
        assert daemon.machine.paused_by == before.paused_by
    return why


@pytest.mark.parametrize("stage", [crashed, electing, salvaging, promoting, confirming])
def test_nothing_interrupts_a_failover(stage):
    daemon = stage()
    assert in_procedure(daemon.machine)
    assert "pause after it" in (refused(daemon, PAUSE) or "")
    assert "under way" in (refused(daemon, FAILOVER) or "")
    daemon.restarted()
    assert in_procedure(daemon.machine)
    assert refused(daemon, PAUSE) is not None


def test_nothing_interrupts_the_end_of_a_failover():
    daemon = confirming().answered(Confirm, CONFIRMED)
    assert not in_procedure(daemon.machine)
    assert "settling" in (refused(daemon, PAUSE) or "")
    assert "settling" in (refused(daemon, FAILOVER) or "")


def test_a_block_in_the_middle_is_still_the_failover():
    daemon = crashed().answered(Fence, FAILED)
    assert in_procedure(daemon.machine)
    assert refused(daemon, PAUSE) is not None
    assert not in_procedure(watching().sees(dead(), gone()).machine)


def test_a_pause_watches_and_acts_on_nothing():
    daemon = watching().told(PAUSE)
    assert daemon.state == Paused("me")
    for _ in range(10):
        daemon.sees(dead(), cut_off())
    assert daemon.state == Paused("me")
    assert daemon.asks == ()
    assert "paused already" in (refused(daemon, PAUSE) or "")
    assert "resume first" in (refused(daemon, FAILOVER) or "")
    daemon.told(OperatorResume("me"))
    assert (daemon.state, daemon.machine.paused_by) == (Watching(), None)
    assert refused(daemon, OperatorResume("me")) is not None


def test_a_pause_outlives_a_restart():
    daemon = watching().told(PAUSE)
    daemon.restarted()
    assert daemon.sees(healthy(), streaming()).state == Paused("me")


def test_a_pause_for_a_time_ends_by_itself_and_leaves_no_deadline():
    daemon = watching()
    daemon.told(OperatorPause("me", WallTime(daemon.now.wall + 5)))
    assert daemon.last is not None
    assert daemon.last.wake_at == daemon.at + 5
    daemon.wakes(5)
    assert (daemon.state, daemon.machine.paused_until) == (Watching(), None)
    assert daemon.last.wake_at is None


def test_whoever_pauses_before_the_primary_is_known_starts_over_on_resuming():
    daemon = Daemon().told(PAUSE).sees(healthy(), streaming()).told(OperatorResume("me"))
    assert daemon.state == Starting()
    assert daemon.sees(healthy(), streaming()).state == Watching()


@pytest.mark.parametrize(
    ("primary", "standby"),
    [
        (gone(), streaming(age=-0.5)),
        (gone(), gone()),
        (says(Outcome.MISCONFIGURED), streaming()),
        (dead(boot="another"), cut_off()),
        (dead(), gone()),
        (healthy(), gone()),
    ],
)
def test_an_override_never_goes_against_a_veto_blindness_or_an_election(primary, standby):
    assert refused(watching().sees(primary, standby), FAILOVER) is not None


def test_an_order_must_make_sense():
    daemon = watching()
    assert "no node is called" in (refused(daemon, replace(FAILOVER, to=PG3)) or "")
    assert "is the primary" in (refused(daemon, replace(FAILOVER, to=PG1)) or "")
    assert refused(daemon, replace(FAILOVER, to=PG2)) is None
    assert "not known" in (refused(Daemon(), FAILOVER) or "")
    observing = watching(replace(PAIR, mode=Mode.OBSERVE))
    assert "observe" in (refused(observing, FAILOVER) or "")


def test_an_override_skips_mode_and_cooldown():
    daemon = watching(replace(PAIR, mode=Mode.MANUAL))
    daemon.machine = replace(daemon.machine, last_confirmed=daemon.now.wall)
    assert isinstance(daemon.told(FAILOVER).state, Fencing)
    assert daemon.state.incident.by == "me"


def test_a_vouched_fence_is_a_proof_by_name():
    daemon = crashed().answered(Fence, FAILED).told(VOUCH)
    assert isinstance(daemon.state, Electing)
    proof = daemon.state.proof
    assert (proof.kind, proof.node) == (ProofKind.VOUCHED, PG1)
    assert (proof.epoch, proof.proved_at) == (daemon.machine.epoch, daemon.at)
    assert proof.evidence.sentence == "me vouches that pg1 is fenced: unplugged"


def test_nobodys_word_stands_against_a_primary_that_is_heard():
    blocked = crashed().answered(Fence, FAILED)
    assert refused(blocked, replace(VOUCH, node=PG2)) is not None
    assert refused(watching(), VOUCH) is not None
    blocked.sees(says(Outcome.STARTING_UP), cut_off())
    assert isinstance(blocked.state, Blocked)
    assert "recovering" in (refused(blocked, VOUCH) or "")
    unseen = crashed().answered(Fence, FAILED).sees(gone(), gone())
    assert "blind" in (refused(unseen, VOUCH) or "")


def test_an_acknowledgement_begins_cooldown_and_day_anew():
    daemon = watching()
    daemon.machine = replace(
        daemon.machine, last_confirmed=daemon.now.wall, failovers=(daemon.now.wall,) * 3
    )
    daemon.sees(dead(), cut_off()).sees(dead(), cut_off())
    assert isinstance(daemon.state, Blocked)
    daemon.told(OperatorAcknowledges("me"))
    assert (daemon.machine.last_confirmed, daemon.machine.failovers) == (None, ())
    assert isinstance(daemon.sees(dead(), cut_off()).state, Suspect)


def test_an_acknowledgement_of_two_primaries_at_the_start_chooses_neither():
    daemon = Daemon().sees(healthy(), healthy()).told(OperatorAcknowledges("me"))
    daemon.sees(healthy(), healthy())
    assert isinstance(daemon.state, Blocked)
    assert daemon.machine.memory.primary is None
