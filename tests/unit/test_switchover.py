"""On purpose: asked in full before anything is touched, without loss, and back where it fails."""

from __future__ import annotations

from dataclasses import replace

import pytest

from failoverd.core.effects import (
    Checkpoint,
    Fence,
    Promote,
    Rejoin,
    Salvage,
    StopMode,
    Thaw,
    Unfence,
)
from failoverd.core.events import Replied, Thawed, Trigger, Unfenced
from failoverd.core.jobs import Job
from failoverd.core.model import ControlState, WallTime
from failoverd.core.schedule import (
    Checkpointed,
    OperatorCancels,
    OperatorRejoins,
    OperatorSwitchover,
    Rejoined,
)
from failoverd.core.sentences import state_sentence
from failoverd.core.states import (
    Fencing,
    Preparation,
    Promoting,
    Reverting,
    Salvaging,
    Starting,
    Watching,
)
from failoverd.core.switchover import obstacles
from tests.unit.vocabulary import (
    FAILED,
    HERE,
    PAIR,
    PG1,
    PG2,
    PG3,
    TRIO,
    WORDS,
    cut_off,
    dead,
    gone,
    healthy,
    streaming,
    watching,
)

READY = replace(PAIR, can_rejoin=True, rejoin_delay_s=60.0)
OF_THREE = replace(TRIO, can_rejoin=True)
NOW = OperatorSwitchover("ann")


def asked(policy=READY, command=NOW):
    return watching(policy).told(command)


def checkpointed(policy=READY, command=NOW):
    return asked(policy, command).answered(Checkpoint, Checkpointed(WORDS))


def clean(daemon):
    """Its stop was clean, and the standby has all of it."""
    return daemon.fenced(control=ControlState.SHUT_DOWN, checkpoint=HERE - 100)


def test_it_begins_with_a_checkpoint_while_the_primary_serves():
    daemon = asked()
    assert isinstance(daemon.state, Fencing)
    assert daemon.state.preparation is Preparation.CHECKPOINT
    assert daemon.state.incident.trigger is Trigger.SWITCHOVER
    assert not daemon.asked(Fence)
    daemon.answered(Checkpoint, Checkpointed(WORDS))
    fence = daemon.asked(Fence)[0]
    assert fence.mode is StopMode.FAST


@pytest.mark.parametrize(
    ("nodes", "why"),
    [
        ((healthy(), cut_off()), "does not stream"),
        ((healthy(), gone()), "does not answer"),
        ((healthy(HERE + 20_000_000), streaming()), "too far behind"),
        ((dead(), streaming()), "pg1 is"),
    ],
)
def test_what_is_not_ready_is_refused_with_its_reasons(nodes, why):
    daemon = watching(READY).sees(*nodes)
    found = obstacles(daemon.machine, None, READY)
    assert any(why in one for one in found) or "pg2" in found[0], found
    before = daemon.state
    assert type(daemon.told(NOW).state) is type(before)
    assert not daemon.asked(Fence)


def test_without_credentials_for_the_way_back_it_is_refused():
    assert "replication" in obstacles(watching().machine, None, PAIR)[0]
    assert isinstance(watching().told(NOW).state, Watching)


@pytest.mark.parametrize("disturbance", ["checkpoint fails", "primary dies", "standby is lost"])
def test_before_the_fence_whatever_disturbs_it_ends_it_and_nothing_was_touched(disturbance):
    daemon = asked()
    if disturbance == "checkpoint fails":
        daemon.answered(Checkpoint, FAILED)
    elif disturbance == "primary dies":
        daemon.sees(dead(), cut_off())
    else:
        daemon.sees(healthy(), gone())
    assert isinstance(daemon.state, Reverting)
    assert "the switchover is given up: " in state_sentence(daemon.machine)
    assert not daemon.state.restart
    assert not any(isinstance(effect, (Fence, Unfence)) for effect in daemon.asks)


def test_a_stop_that_was_not_clean_goes_back_to_the_old_primary():
    daemon = checkpointed().fenced(control=ControlState.IN_PRODUCTION)
    daemon.froze({PG2: HERE})
    if isinstance(daemon.state, Salvaging):  # whose disk does not prove it either
        daemon.answered(Salvage, FAILED)
    assert isinstance(daemon.state, Reverting)
    assert daemon.state.restart
    assert daemon.asked(Unfence)


def test_a_standby_that_lacks_the_shutdown_checkpoint_is_not_promoted():
    daemon = checkpointed().fenced(control=ControlState.SHUT_DOWN, checkpoint=HERE)
    daemon.froze({PG2: HERE})
    assert not isinstance(daemon.state, Promoting)
    assert not daemon.asked(Promote)


def test_whoever_was_asked_for_is_promoted():
    daemon = clean(checkpointed(OF_THREE, OperatorSwitchover("ann", PG3)))
    daemon.froze({PG2: HERE, PG3: HERE})
    assert daemon.state.candidate == PG3


def test_a_daemon_that_was_killed_before_the_fence_leaves_the_primary_alone():
    daemon = asked()
    daemon.restarted()
    daemon.sees(healthy(), streaming())
    assert isinstance(daemon.state, (Reverting, Watching))
    assert not daemon.asked(Fence)


def in_a_minute(daemon):
    return OperatorSwitchover("ann", None, WallTime(daemon.now.wall + 60))


def test_a_scheduled_one_begins_at_its_time_and_not_before():
    daemon = watching(READY)
    daemon.told(in_a_minute(daemon)).sees(healthy(), streaming())
    assert isinstance(daemon.state, Watching)
    daemon.sees(healthy(), streaming(), after=60)
    assert isinstance(daemon.state, Fencing)
    assert daemon.machine.scheduled is None


def test_a_scheduled_one_survives_a_restart_and_can_be_cancelled():
    daemon = watching(READY)
    daemon.told(in_a_minute(daemon))
    daemon.restarted()
    assert isinstance(daemon.state, Starting)
    daemon.sees(healthy(), streaming()).told(OperatorCancels("bob"))
    daemon.sees(healthy(), streaming(), after=61)
    assert isinstance(daemon.state, Watching)


def test_one_that_is_not_ready_when_it_is_due_is_refused_with_its_reasons():
    daemon = watching(READY)
    daemon.told(in_a_minute(daemon))
    for _ in range(3):
        daemon.sees(healthy(), gone(), after=45)
    assert daemon.machine.scheduled is None
    assert "was refused" in daemon.machine.plan_ended
    assert isinstance(daemon.state, Watching)


def test_a_second_one_is_refused_while_one_is_scheduled():
    daemon = watching(READY)
    daemon.told(in_a_minute(daemon))
    assert isinstance(daemon.told(NOW).state, Watching)


def test_an_old_primary_that_is_told_to_comes_back():
    daemon = watching(READY).sees(healthy(), gone())
    daemon.machine = replace(daemon.machine, jobs={})
    daemon.told(OperatorRejoins("ann", PG2))
    assert daemon.machine.jobs[PG2].job is Job.REJOINING
    ask = daemon.asked(Rejoin)[0]
    assert (ask.node, ask.primary) == (PG2, PG1)
    daemon.answered(Rejoin, Rejoined(WORDS))
    assert daemon.machine.jobs == {}


@pytest.mark.parametrize("node", ["pg1", "pg2"])
def test_the_primary_and_what_streams_are_not_brought_back(node):
    daemon = watching(READY).told(OperatorRejoins("ann", node))
    assert daemon.machine.jobs == {}


def test_a_stop_that_is_not_proved_is_taken_back_at_once():
    daemon = checkpointed().answered(Fence, FAILED)
    assert isinstance(daemon.state, Reverting)
    assert daemon.state.restart


def test_a_drill_ends_where_a_switchover_was_taken_back():
    daemon = checkpointed(command=OperatorSwitchover("ann", drill=True))
    assert daemon.machine.scheduled.home == PG1
    daemon.answered(Fence, FAILED)
    daemon.answered(Unfence, Unfenced(WORDS))
    for ask in daemon.asks:
        if isinstance(ask, Thaw):
            daemon.happens(Replied(daemon.machine.visit, ask, Thawed(WORDS)))
    assert isinstance(daemon.state, Watching)
    assert daemon.machine.scheduled is None
    assert "the drill ends here" in daemon.machine.plan_ended
