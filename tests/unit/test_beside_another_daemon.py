"""Another daemon acts on the same cluster: it is not acted against."""

from __future__ import annotations

from failoverd.core.effects import Fence, Freeze, ReadSettings, Thaw, Unfence, Unguard
from failoverd.core.events import (
    FROZEN_ALREADY,
    STALE_EPOCH,
    EffectFailed,
    OperatorFailover,
    Replied,
    SettingsRead,
    Trigger,
)
from failoverd.core.states import Blocked, Fencing, Reverting
from tests.unit.vocabulary import (
    OWN,
    TRIO,
    WORDS,
    crashed,
    cut_off,
    dead,
    frozen_elsewhere,
    watching,
)


def test_nothing_is_begun_beside_a_daemon_that_has_frozen_a_standby():
    daemon = watching()
    for _ in range(4):
        daemon.sees(dead(), frozen_elsewhere)
    assert isinstance(daemon.state, Blocked)
    assert "was frozen by another failoverd" in daemon.state.why
    assert daemon.asked(Fence) == []


def test_the_old_primary_is_not_started_again_while_another_daemon_may_be_promoting():
    daemon = crashed(TRIO).fenced()
    for ask in daemon.asks:
        failed = EffectFailed(FROZEN_ALREADY, WORDS)
        daemon.happens(Replied(daemon.machine.visit, ask, failed))
    assert isinstance(daemon.state, (Reverting, Blocked))
    for _ in range(5):
        assert daemon.asked(Unfence) + daemon.asked(Unguard) == []
        daemon.sees(dead(), cut_off(), cut_off())
    assert isinstance(daemon.state, Blocked)
    assert "being promoted" in daemon.state.why


def test_who_is_refused_for_another_daemon_lets_go_of_the_standbys():
    stale = EffectFailed(STALE_EPOCH, WORDS)
    daemon = crashed(TRIO)
    for ask in daemon.asked(ReadSettings):
        daemon.happens(Replied(daemon.machine.visit, ask, SettingsRead(OWN, WORDS)))
    assert len(daemon.asked(Freeze)) == 2
    daemon.answered(Fence, stale)
    assert len(daemon.asked(Thaw)) == 2
    daemon.sees(dead(), cut_off(), cut_off(), after=2)
    assert isinstance(daemon.state, Fencing)
    assert daemon.asked(Freeze) == []


def test_an_order_that_another_daemon_was_quicker_than_takes_a_later_number():
    stale = EffectFailed(STALE_EPOCH, WORDS)
    by_itself = crashed().answered(Fence, stale)
    assert isinstance(by_itself.state, Blocked)
    assert isinstance(by_itself.state.returns_to, Fencing)
    assert by_itself.state.returns_to.incident.epoch == by_itself.machine.epoch
    daemon = watching().sees(dead(), cut_off()).told(OperatorFailover(Trigger.COMMAND, "me"))
    first = daemon.machine.epoch
    daemon.answered(Fence, stale).sees(dead(), cut_off(), after=2)
    assert daemon.machine.epoch == first + 1
    assert [effect.epoch for effect in daemon.asked(Fence)] == [first + 1]
