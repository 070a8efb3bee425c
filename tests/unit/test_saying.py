"""What daemons tell each other of the primary: when, and as of which moment it is read."""

from __future__ import annotations

from dataclasses import replace

from failoverd.core.model import Instant
from failoverd.daemon.saying import SAY_EVERY_S, Others, Saying, Word
from failoverd.transport.etcd import Kept

CALM = Word("pg1", heard=True, blind=False, began_at=Instant(100.0))
BELOW = "/c/daemons/"


def told(word=CALM, lease=7, at=100.0):
    saying = Saying()
    saying.said(word, lease, Instant(at))
    return saying


def due(saying, word=CALM, lease=7, at=101.0, *, others_doubt=False):
    return saying.is_due(word, lease, Instant(at), others_doubt=others_doubt)


def test_what_nobody_doubts_is_told_every_ten_seconds():
    assert due(Saying())
    assert not due(told())
    assert not due(told(), at=100.0 + SAY_EVERY_S - 0.1)
    assert due(told(), at=100.0 + SAY_EVERY_S)


def test_a_doubt_of_anybodys_is_told_after_each_look():
    silent, blind = replace(CALM, heard=False), replace(CALM, blind=True)
    assert due(told(silent), silent)
    assert due(told(blind), blind)
    assert due(told(), others_doubt=True)


def test_another_primary_and_another_lease_are_news():
    assert due(told(), replace(CALM, primary="pg2"))
    assert due(told(), lease=8)


def word(age_s, changed, *, heard=True):
    said = replace(CALM, heard=heard).text("d2", Instant(100.0 + age_s))
    return {f"{BELOW}d2": Kept(said, changed, changed, 7)}


def test_it_is_dated_from_the_reading_before_in_which_it_was_not_there():
    others = Others("d1", BELOW)
    others.note({}, Instant(50.0))
    others.note(word(0.4, 3), Instant(51.0))
    assert others.reports["d2"].looked_at == 49.6
    assert others.reports["d2"].name == "d2"


def test_what_is_read_again_is_no_newer_for_that():
    others = Others("d1", BELOW)
    for at in (50.0, 51.0, 60.0):
        others.note(word(0.0, 3), Instant(at))
    first = others.reports["d2"].looked_at
    others.note(word(0.0, 3), Instant(70.0))
    assert others.reports["d2"].looked_at == first
    others.note(word(0.0, 4), Instant(71.0))
    assert others.reports["d2"].looked_at == 70.0


def test_whoever_is_gone_from_there_says_nothing_any_more():
    others = Others("d1", BELOW)
    others.note(word(0.0, 3, heard=False), Instant(50.0))
    assert others.doubt
    others.note({}, Instant(51.0))
    assert others.reports == {}
    assert not others.doubt


def test_ones_own_word_and_what_stands_elsewhere_are_nobodys():
    others = Others("d2", BELOW)
    others.note({**word(0.0, 3), "/c/leader": Kept("{}", 1, 1, 7)}, Instant(50.0))
    assert others.reports == {}
