"""What is owed to a node is done in the end, and nothing else is."""

from __future__ import annotations

from dataclasses import replace

import pytest

from failoverd.core.effects import Fence, Redirect, StopMode, Thaw, Unguard
from failoverd.core.events import Confirmed, Replied, Thawed, Unguarded
from failoverd.core.model import Epoch, Lsn, Timeline
from failoverd.core.policy import Mode
from failoverd.core.situation import Job, NodeJob, restored
from failoverd.core.states import Reverting, Watching
from tests.unit.test_machine import NEW_PRIMARY, NOTHING, failed_over
from tests.unit.vocabulary import (
    ALIVE,
    FAILED,
    HERE,
    HOSTS,
    OWN,
    PAIR,
    PG1,
    PG2,
    PG3,
    TRIO,
    WORDS,
    crashed,
    cut_off,
    dead,
    gone,
    healthy,
    streaming,
    watching,
)

FOLLOWS = streaming(upstream=HOSTS[PG2], timeline=2)


def three_failed_over():
    from failoverd.core.effects import Confirm, Promote, Salvage  # noqa: PLC0415
    from failoverd.core.events import Promoted  # noqa: PLC0415

    confirmed = Confirmed(Timeline(2), Lsn(HERE + 100), False, (), "", WORDS)
    daemon = crashed(TRIO).fenced().froze({PG2: HERE, PG3: HERE - 10})
    daemon.answered(Salvage, NOTHING).answered(Promote, Promoted(WORDS))
    return daemon.answered(Confirm, confirmed).answered(Redirect, NOTHING)


def with_job(kind, node=PG1, **changes):
    daemon = watching(replace(PAIR, **changes))
    job = NodeJob(kind, Epoch(3))
    daemon.machine = replace(daemon.machine, jobs={node: job}, epoch=Epoch(5))
    return daemon


def test_the_new_primary_gets_its_own_settings_back_and_the_others_stay_detached():
    daemon = three_failed_over()
    assert daemon.state == Watching()
    assert daemon.asks == (Thaw(PG2, daemon.machine.epoch, OWN),)
    assert daemon.machine.jobs[PG3].job is Job.DETACHED
    daemon.answered(Thaw, Thawed(WORDS))
    assert (daemon.asks, daemon.machine.saved) == ((), {PG3: OWN})


def test_an_answer_to_an_earlier_visit_pays_a_debt_too():
    daemon = failed_over()
    daemon.answered(Thaw, Thawed(WORDS), visit=daemon.machine.visit - 1)
    assert daemon.machine.saved == {}


def test_a_thaw_answered_in_the_middle_of_a_freeze_pays_nothing():
    daemon = crashed().fenced().froze({PG2: HERE})
    late = Thaw(PG2, daemon.machine.epoch, OWN)
    daemon.happens(Replied(daemon.machine.visit - 1, late, Thawed(WORDS)))
    assert daemon.machine.saved == {PG2: OWN}


def test_what_could_not_be_thawed_is_asked_again_ten_seconds_later_with_another_number():
    daemon = failed_over()
    first = daemon.asks[0]
    daemon.answered(Thaw, FAILED)
    assert daemon.asks == ()
    assert daemon.last is not None
    assert daemon.last.wake_at == daemon.at + 10
    daemon.wakes(10)
    assert isinstance(daemon.asks[0], Thaw)
    assert daemon.asks[0] != first
    daemon.answered(Thaw, Thawed(WORDS))
    assert (daemon.machine.saved, PG2 in daemon.machine.jobs) == ({}, False)


def test_a_guard_laid_is_a_guard_owed_until_it_is_gone():
    daemon = crashed().answered(Fence, ALIVE)
    while isinstance(daemon.state, Reverting):
        daemon.answered(Unguard, FAILED)
        daemon.wakes(31)
    assert daemon.state == Watching()
    for _ in range(3):
        daemon.wakes(10)
        assert [type(e) for e in daemon.asks] == [Unguard]
        daemon.answered(Unguard, FAILED)
    daemon.machine = restored(daemon.machine, daemon.now.monotonic)
    daemon.sees(healthy(), streaming())
    daemon.answered(Unguard, Unguarded(WORDS))
    assert (daemon.asks, daemon.machine.jobs) == ((), {})


def test_an_answer_about_an_earlier_guard_does_not_pay_for_the_present_one():
    daemon = with_job(Job.OWED_UNGUARD)
    daemon.happens(Replied(daemon.machine.visit, Unguard(PG1, Epoch(2)), Unguarded(WORDS)))
    assert daemon.machine.jobs[PG1].job is Job.OWED_UNGUARD


@pytest.mark.parametrize("job", [Job.OWED_UNGUARD, Job.OWED_THAW, Job.QUARANTINED])
def test_nothing_is_done_in_observe_mode(job):
    daemon = with_job(job, mode=Mode.OBSERVE)
    daemon.machine = replace(daemon.machine, saved={PG2: OWN})
    daemon.sees(healthy(), streaming())
    assert daemon.last is not None
    assert daemon.last.effects == ()


def test_an_old_primary_that_comes_back_writable_is_fenced_again_however_often():
    daemon = failed_over().answered(Thaw, Thawed(WORDS))
    numbers = set()
    for _ in range(3):
        daemon.sees(healthy(), NEW_PRIMARY)
        asked = [e for e in daemon.asks if isinstance(e, Fence)]
        assert [(e.node, e.mode, e.epoch) for e in asked] == [
            (PG1, StopMode.FAST, daemon.machine.epoch)
        ]
        numbers.add(asked[0].attempt)
        daemon.fenced(node=PG1)
        assert not [e for e in daemon.asks if isinstance(e, Fence)]
        daemon.sees(dead(), NEW_PRIMARY, after=10)
        assert daemon.state == Watching()
    assert len(numbers) == 3


def test_a_second_writable_node_that_we_never_fenced_is_not_touched():
    daemon = watching().sees(healthy(), healthy(timeline=2))
    assert daemon.asks == ()


def test_whoever_follows_the_new_primary_is_owed_nothing_any_more():
    daemon = three_failed_over().answered(Thaw, Thawed(WORDS))
    daemon.sees(gone(), NEW_PRIMARY, FOLLOWS)
    assert set(daemon.machine.jobs) == {PG1}
    assert daemon.machine.saved == {}
    daemon.sees(FOLLOWS, NEW_PRIMARY, FOLLOWS)
    assert daemon.machine.jobs == {}


def test_a_view_from_before_the_failover_is_no_sign_of_following():
    daemon = three_failed_over().sees(gone(), NEW_PRIMARY, streaming())
    assert daemon.machine.jobs[PG3].job is Job.DETACHED


def test_a_detached_standby_stays_so_when_a_later_failover_goes_back():
    daemon = three_failed_over().answered(Thaw, Thawed(WORDS))
    stands = cut_off(timeline=1)
    for _ in range(3):
        daemon.sees(gone(), NEW_PRIMARY, stands)
    daemon.at += 1000
    daemon.sees(gone(), dead(), stands).sees(gone(), dead(), stands)
    assert daemon.machine.saved == {PG3: OWN}
    assert not [e for e in daemon.asks if isinstance(e, Thaw)]
