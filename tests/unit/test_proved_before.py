"""What salvage had proved of a candidate, where that one or another has to be asked again."""

from __future__ import annotations

from dataclasses import replace

import pytest

from failoverd.core.effects import Fence, Freeze, Promote, Salvage
from failoverd.core.events import EffectFailed, Fenced, FrozenAt, NotConfigured
from failoverd.core.lsn import Lsn
from failoverd.core.model import Frozen, Instant, ProofKind, Timeline
from failoverd.core.restart import restored
from failoverd.core.states import Blocked, Promoting
from tests.unit.lagging import END, WHOLE, replied, salvaging
from tests.unit.vocabulary import (
    ALIVE,
    FAILED,
    HERE,
    PAIR,
    PG2,
    PG3,
    TRIO,
    WORDS,
    cut_off,
    dead,
    gone,
    healthy,
    proof,
)


def asked_in_vain():
    """It was given all that the old primary's disk had, and did not answer."""
    daemon = salvaging(lag=4096).answered(Salvage, WHOLE).answered(Promote, FAILED)
    assert isinstance(daemon.state, Blocked)
    return daemon


def fenced_again(daemon, end=None, **of_proof):
    while isinstance(daemon.state, Blocked):
        daemon.sees(dead(), cut_off(lag=4096), after=31)
    found = proof(daemon.at, epoch=daemon.machine.epoch, **of_proof)
    daemon.answered(Fence, Fenced(replace(found, wal_end=end)))
    assert isinstance(daemon.state, Promoting)
    return daemon.state


@pytest.mark.parametrize("end", [None, END])
def test_what_salvage_had_proved_stands_while_the_old_primary_stands_still(end):
    again = fenced_again(asked_in_vain(), end)
    assert (again.loss.lost_bytes, again.loss.proven) == (0, True)
    assert again.end == END


def test_its_disk_is_read_again_with_the_fence_that_is_proved_again():
    daemon = asked_in_vain()
    while isinstance(daemon.state, Blocked):
        daemon.sees(dead(), cut_off(lag=4096), after=31)
    fence = daemon.asked(Fence)[0]
    assert fence.wal_from == Lsn(HERE - 4096)


def test_a_disk_that_has_gone_on_since_is_a_loss():
    further = replace(END, end=Lsn(HERE + 512))
    again = fenced_again(asked_in_vain(), further)
    assert again.loss.lost_bytes >= 512
    assert again.end == further


def test_an_old_primary_that_answered_in_between_may_have_written():
    daemon = asked_in_vain()
    while isinstance(daemon.state, Blocked):
        daemon.sees(dead(), cut_off(lag=4096), after=31)
    again = fenced_again(daemon.answered(Fence, ALIVE))
    assert not again.loss.nothing


def test_so_may_one_that_was_seen_writable():
    daemon = asked_in_vain().sees(healthy(HERE + 512), cut_off(lag=4096))
    again = fenced_again(daemon)
    assert again.loss.lost_bytes >= 512


def test_what_was_turned_off_has_no_guard_and_may_have_been_turned_on_again():
    daemon = salvaging(replace(PAIR, max_data_loss_bytes=1 << 40), kind=ProofKind.POWERED_OFF)
    daemon.answered(Salvage, NotConfigured(WORDS)).answered(Promote, FAILED)
    assert daemon.machine.asked_loss is None


def test_what_was_proved_of_one_candidate_is_not_said_of_the_next():
    """pg2 had all of it and was never asked; pg3 lacks some, and that disk is read no more."""
    policy = replace(TRIO, max_data_loss_bytes=1 << 40)
    daemon = salvaging(policy, lag=4096).answered(Salvage, WHOLE)
    assert daemon.state.candidate == PG2
    daemon.answered(Promote, EffectFailed("refused", WORDS))
    assert daemon.machine.asked == frozenset()
    while isinstance(daemon.state, Blocked):
        daemon.sees(dead(), gone(), cut_off(lag=8192), after=31)
    daemon.fenced(kind=ProofKind.POWERED_OFF).answered(Freeze, FAILED)
    freeze = daemon.asked(Freeze)[0]
    frozen = Frozen(PG3, Lsn(HERE - 8192), Timeline(0), freeze.saved)
    daemon.happens(replied(daemon, freeze, FrozenAt(frozen, WORDS)))
    daemon.answered(Salvage, NotConfigured(WORDS))
    assert daemon.machine.asked == {PG3}
    daemon.answered(Promote, FAILED)
    while isinstance(daemon.state, Blocked):
        daemon.sees(dead(), gone(), cut_off(lag=8192), after=31)
    daemon.fenced(kind=ProofKind.POWERED_OFF)
    assert isinstance(daemon.state, Promoting)
    assert not daemon.state.loss.nothing


def test_what_another_process_had_proved_is_not_taken_over():
    machine = restored(asked_in_vain().machine, Instant(0.0))
    assert machine.asked == {PG2}
    assert machine.asked_loss is None
