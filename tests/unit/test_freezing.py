"""Standbys stand still beside the fence, and are told of nothing that was not read before."""

from __future__ import annotations

from dataclasses import replace

from failoverd.core.effects import Confirm, Fence, Freeze, Promote, ReadSettings, Redirect, Thaw
from failoverd.core.events import (
    EffectFailed,
    FrozenAt,
    OperatorFailover,
    Promoted,
    Replied,
    SettingsRead,
    StillAlive,
    Thawed,
    Trigger,
)
from failoverd.core.model import Frozen, Lsn, Outcome, Timeline
from failoverd.core.states import Electing, Fencing, Reverting, Salvaging
from tests.unit.scenes import CONFIRMED, NEW_PRIMARY, NOTHING, QUIET, electing, three_promoting
from tests.unit.vocabulary import (
    ALIVE,
    FAILED,
    HERE,
    HOSTS,
    OWN,
    PG1,
    PG2,
    PG3,
    TRIO,
    WORDS,
    crashed,
    cut_off,
    dead,
    healthy,
    hung,
    says,
    sender,
    streaming,
    watching,
)


def freezes_while_fencing(daemon):
    """What is asked of pg2 once its settings are known, while the fence is under way."""
    daemon.answered(ReadSettings, SettingsRead(OWN, WORDS))
    assert isinstance(daemon.state, Fencing)
    return daemon.asked(Freeze)


def test_the_standbys_of_a_dead_primary_are_frozen_beside_the_fence():
    daemon = crashed()
    (freeze,) = freezes_while_fencing(daemon)
    frozen = Frozen(PG2, Lsn(HERE), Timeline(1), OWN)
    daemon.happens(Replied(daemon.machine.visit, freeze, FrozenAt(frozen, WORDS)))
    daemon.fenced()
    assert isinstance(daemon.state, Electing)
    assert daemon.asks == ()
    assert daemon.last.wake_at == daemon.at
    assert isinstance(daemon.wakes(0).state, Salvaging)


def test_a_standby_frozen_beside_the_fence_counts_when_the_proof_came_first():
    daemon = crashed()
    (freeze,) = freezes_while_fencing(daemon)
    asked_at = daemon.machine.visit
    daemon.fenced()
    frozen = Frozen(PG2, Lsn(HERE), Timeline(1), OWN)
    daemon.happens(Replied(asked_at, freeze, FrozenAt(frozen, WORDS)))
    assert isinstance(daemon.state, Salvaging)


def test_a_freeze_of_an_earlier_incident_counts_for_nothing():
    daemon = crashed()
    (freeze,) = freezes_while_fencing(daemon)
    daemon.fenced()
    frozen = Frozen(PG2, Lsn(HERE), Timeline(1), OWN)
    old = replace(freeze, epoch=daemon.machine.epoch - 1)
    daemon.happens(Replied(daemon.machine.visit - 1, old, FrozenAt(frozen, WORDS)))
    assert isinstance(daemon.state, Electing)


def test_a_primary_that_may_be_alive_keeps_its_standbys_until_it_is_fenced():
    daemon = watching().sees(hung(), QUIET)
    daemon.told(OperatorFailover(Trigger.COMMAND, "me"))
    assert freezes_while_fencing(daemon) == []


def test_what_was_frozen_beside_a_fence_that_found_it_alive_is_thawed():
    daemon = crashed()
    assert freezes_while_fencing(daemon)
    daemon.answered(Fence, StillAlive(WORDS))
    assert isinstance(daemon.state, Reverting)
    assert [effect.node for effect in daemon.asked(Thaw)] == [PG2]


def test_a_freeze_that_ends_too_late_is_thawed_again():
    daemon = crashed(TRIO).fenced()
    daemon.froze({PG2: HERE})
    visit = daemon.machine.visit
    late = Freeze(PG3, daemon.machine.epoch, OWN)
    daemon.sees(healthy(), cut_off(), cut_off()).answered(Fence, ALIVE)
    frozen = FrozenAt(Frozen(PG3, Lsn(HERE), Timeline(1), OWN), WORDS)
    daemon.happens(Replied(visit, late, frozen))
    assert {e.node for e in daemon.asked(Thaw)} == {PG2, PG3}


def test_settings_are_remembered_before_they_are_changed():
    daemon = electing()
    assert daemon.asked(Freeze) == []
    daemon.answered(ReadSettings, SettingsRead(OWN, WORDS))
    assert daemon.machine.saved == {PG2: OWN}
    assert daemon.asks == (Freeze(PG2, daemon.machine.epoch, OWN),)


def test_the_first_reading_of_a_standbys_settings_stands():
    daemon = crashed()
    ask = daemon.asked(ReadSettings)[0]
    written_by_a_freeze = replace(OWN, values=(("primary_conninfo", ""),))
    for read in (OWN, written_by_a_freeze):
        daemon.happens(Replied(daemon.machine.visit, ask, SettingsRead(read, WORDS)))
    assert daemon.machine.saved[ask.node] == OWN


def test_a_standby_attached_elsewhere_meanwhile_is_read_anew():
    daemon = three_promoting()
    daemon.answered(Promote, Promoted(WORDS)).answered(Confirm, CONFIRMED)
    daemon.answered(Redirect, NOTHING).answered(Thaw, Thawed(WORDS))
    first = streaming(upstream=HOSTS[PG2], timeline=2, senders=(sender(PG3),))
    cascaded = streaming(upstream=HOSTS[PG1], timeline=2)
    for _ in range(3):
        daemon.sees(first, NEW_PRIMARY, cascaded)
    daemon.sees(first, NEW_PRIMARY, cascaded, after=1000)
    ended = cut_off(timeline=2)
    daemon.sees(ended, dead(), ended).sees(ended, dead(), ended)
    assert {effect.node for effect in daemon.asked(ReadSettings)} == {PG1, PG3}


def test_a_standby_is_not_kept_from_a_primary_that_speaks_again():
    daemon = crashed()
    daemon.answered(ReadSettings, EffectFailed("late", WORDS))
    daemon.machine = replace(daemon.machine, saved={PG2: OWN})
    frozen = Frozen(PG2, Lsn(HERE), Timeline(1), OWN)
    epoch = daemon.machine.epoch
    daemon.happens(Replied(daemon.machine.visit, Freeze(PG2, epoch, OWN), FrozenAt(frozen, WORDS)))
    daemon.answered(Fence, FAILED)
    daemon.sees(says(Outcome.TOO_MANY_CONNECTIONS), cut_off())
    assert daemon.asked(Thaw)
    daemon.answered(Thaw, Thawed(WORDS))
    assert (daemon.machine.saved, daemon.machine.frozen) == ({}, {})
