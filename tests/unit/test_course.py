"""What of the effects that a machine wants is asked for, and how often."""

from __future__ import annotations

from dataclasses import replace

from failoverd.core.effects import Rejoin, SetSynchronous
from failoverd.core.events import REJOIN_FAILED, EffectFailed, Observed, Replied, SynchronousSet
from failoverd.core.jobs import Job, NodeJob
from failoverd.core.model import Epoch, Evidence
from failoverd.core.rejoin import TRIES
from failoverd.daemon.course import Ask, Course, Write, Written
from tests.unit.vocabulary import (
    PAIR,
    PG2,
    PG3,
    TRIO,
    WORDS,
    dead,
    gone,
    healthy,
    sender,
    streaming,
    view,
    watching,
)

MANAGED = replace(TRIO, synchronous_managed=True)
BOTH = 'ANY 1 ("pg2", "pg3")'
ONE = 'ANY 1 ("pg2")'


class Driven:
    """A course in one visit of `watching`; the journal always writes."""

    def __init__(self, daemon):
        self.daemon = daemon
        self.course = Course("main", daemon.machine)

    def happens(self, event):
        turn = self.course.turn(event, self.daemon.now, self.daemon.policy)
        told, asked = None, ()
        while True:
            try:
                part = turn.send(told)
            except StopIteration:
                return asked
            told = Written("", self.daemon.now.monotonic) if isinstance(part, Write) else None
            asked = part.effects if isinstance(part, Ask) else asked

    def sees(self, primary, standby, third=None, after=1.0):
        self.daemon.at += after
        return self.happens(Observed(view(primary, standby, third, self.daemon.at)))

    def answers(self, effect, result):
        self.course.answered(effect)
        return self.happens(Replied(self.course.machine.visit, effect, result))


def names(sync, *keeping):
    senders = tuple(sender(name, "quorum") for name in keeping)
    return healthy(sync=sync, senders=senders)


def test_a_standby_that_is_lost_and_comes_back_is_dropped_and_named_each_time_anew():
    driven = Driven(watching(MANAGED, primary=names(BOTH, PG2, PG3)))
    visit = driven.course.machine.visit
    for _ in range(3):
        dropped = []
        for _ in range(6):
            dropped += driven.sees(names(BOTH, PG2), streaming(), gone())
        assert [e.names for e in dropped if isinstance(e, SetSynchronous)] == [ONE]
        driven.answers(dropped[0], SynchronousSet(WORDS))
        driven.sees(names(ONE, PG2), streaming(), gone())
        named = driven.sees(names(ONE, PG2, PG3), streaming(), streaming())
        assert [e.names for e in named if isinstance(e, SetSynchronous)] == [BOTH]
        driven.answers(named[0], SynchronousSet(WORDS))
        driven.sees(names(BOTH, PG2, PG3), streaming(), streaming())
    assert driven.course.machine.visit == visit


def test_what_is_not_answered_yet_is_not_asked_for_again_even_if_it_was_not_wanted_for_a_while():
    driven = Driven(watching(MANAGED, primary=names(ONE, PG2)))
    asked = driven.sees(names(ONE, PG2, PG3), streaming(), streaming())
    assert [effect.names for effect in asked] == [BOTH]
    for _ in range(3):
        assert driven.sees(names(ONE, PG2, PG3), streaming(), streaming()) == ()
    assert driven.sees(names(BOTH, PG2, PG3), streaming(), streaming()) == ()
    assert driven.sees(names(ONE, PG2, PG3), streaming(), streaming()) == ()


def test_a_rejoin_that_failed_is_tried_again_in_the_same_visit():
    daemon = watching(replace(PAIR, can_rejoin=True, rejoin_delay_s=60.0))
    daemon.machine = replace(daemon.machine, jobs={PG2: NodeJob(Job.QUARANTINED, Epoch(0))})
    driven, visit, asked = Driven(daemon), daemon.machine.visit, []
    for _ in range(3 * TRIES):
        for effect in driven.sees(healthy(), dead(), after=1000):
            if isinstance(effect, Rejoin):
                asked.append(effect)
                driven.answers(effect, EffectFailed(REJOIN_FAILED, Evidence("it failed half way")))
    assert len(asked) == TRIES
    assert driven.course.machine.visit == visit
