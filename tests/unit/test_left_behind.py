"""A standby that has more WAL than the others, and could not be frozen, is asked once more."""

from __future__ import annotations

from failoverd.core.effects import Freeze, ReadSettings
from failoverd.core.events import FrozenAt, SettingsRead
from failoverd.core.lsn import Lsn
from failoverd.core.model import Frozen, ProofKind, Timeline
from failoverd.core.states import Electing
from tests.unit.lagging import replied
from tests.unit.vocabulary import (
    FAILED,
    HERE,
    OWN,
    PG2,
    PG3,
    TRIO,
    WORDS,
    cut_off,
    dead,
    gone,
    watching,
)


def turned_off(*frozen, failed=(), policy=TRIO):
    """pg1 was turned off; pg3 is 8192 bytes behind pg2. `failed`: who could not be frozen."""
    daemon = watching(policy)
    for _ in range(2):
        daemon.sees(dead(), cut_off(), cut_off(lag=8192), after=0.21)
    daemon.fenced(kind=ProofKind.POWERED_OFF)
    for node in (*failed, *frozen):
        settings = next(e for e in daemon.asked(ReadSettings) if e.node == node)
        daemon.happens(replied(daemon, settings, SettingsRead(OWN, WORDS)))
        ask_it(daemon, node, FAILED if node in failed else None)
    return daemon


def ask_it(daemon, node, result=None):
    freeze = next(e for e in daemon.asked(Freeze) if e.node == node)
    at = Lsn(HERE if node == PG2 else HERE - 8192)
    frozen = FrozenAt(Frozen(node, at, Timeline(0), freeze.saved), WORDS)
    return daemon.happens(replied(daemon, freeze, result or frozen))


def test_a_standby_that_has_more_and_could_not_be_frozen_is_asked_once_more():
    daemon = turned_off(PG3, failed=(PG2,))
    assert isinstance(daemon.state, Electing)
    assert [(type(e), e.node) for e in daemon.asks] == [(Freeze, PG2)]
    assert ask_it(daemon, PG2).state.candidate == PG2


def test_and_no_more_than_once():
    daemon = turned_off(PG3, failed=(PG2,))
    assert ask_it(daemon, PG2, FAILED).state.candidate == PG3


def test_who_has_no_more_than_the_others_is_not_waited_for():
    assert turned_off(PG2, failed=(PG3,)).state.candidate == PG2


def test_nor_is_who_does_not_answer_any_more():
    daemon = watching(TRIO)
    for _ in range(2):
        daemon.sees(dead(), cut_off(), cut_off(lag=8192), after=0.21)
    daemon.fenced(kind=ProofKind.POWERED_OFF).sees(dead(), gone(), cut_off(lag=8192))
    settings = daemon.asked(ReadSettings)
    for one in settings:
        daemon.happens(replied(daemon, one, SettingsRead(OWN, WORDS)))
    ask_it(daemon, PG2, FAILED)
    assert ask_it(daemon, PG3).state.candidate == PG3


def test_where_the_old_primarys_disk_is_read_nobody_is_waited_for():
    daemon = watching(TRIO)
    for _ in range(2):
        daemon.sees(dead(), cut_off(), cut_off(lag=8192), after=0.21)
    daemon.fenced()
    for one in daemon.asked(ReadSettings):
        daemon.happens(replied(daemon, one, SettingsRead(OWN, WORDS)))
    ask_it(daemon, PG2, FAILED)
    assert ask_it(daemon, PG3).state.candidate == PG3
