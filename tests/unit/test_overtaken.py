"""Of two daemons without a lease, the one whose later number bars the other's fence."""

from __future__ import annotations

from failoverd.core.effects import Fence, Promote
from failoverd.core.events import STALE_EPOCH, EffectFailed
from failoverd.core.model import Instant
from failoverd.core.states import Blocked, Fencing
from tests.unit.scenes import NEW_PRIMARY, promoting
from tests.unit.vocabulary import PG1, PG2, WORDS, Daemon, cut_off, dead, gone, healthy

OVERTAKEN = EffectFailed(STALE_EPOCH, WORDS)


def barred() -> Daemon:
    """It has asked pg2, does not hear what came of it, and may not fence pg1 any more."""
    daemon = promoting().answered(Promote, EffectFailed("no_answer", WORDS))
    daemon.sees(dead(), gone(), after=2).answered(Fence, OVERTAKEN)
    assert isinstance(daemon.state, Blocked)
    assert isinstance(daemon.state.returns_to, Fencing)
    return daemon


def test_whoever_it_had_asked_and_is_the_only_primary_now_is_watched():
    daemon = barred().sees(dead(), NEW_PRIMARY).sees(dead(), NEW_PRIMARY)
    assert daemon.machine.memory.primary == PG2
    assert daemon.machine.incident is None


def test_while_nobody_takes_writes_it_waits_on():
    daemon = barred().sees(dead(), gone()).sees(dead(), cut_off())
    assert isinstance(daemon.state, (Blocked, Fencing))
    assert daemon.machine.memory.primary == PG1


def test_beside_the_old_primary_nobody_is_believed():
    daemon = barred().sees(healthy(), NEW_PRIMARY).sees(healthy(), NEW_PRIMARY)
    assert isinstance(daemon.state, (Blocked, Fencing))
    assert daemon.machine.memory.primary == PG1


def test_a_look_from_before_it_was_barred_does_not_count():
    daemon = promoting().answered(Promote, EffectFailed("no_answer", WORDS))
    seen = NEW_PRIMARY(PG2, daemon.at)
    daemon.sees(dead(), NEW_PRIMARY, after=2).answered(Fence, OVERTAKEN)
    daemon.sees(dead(), lambda name, at: seen)
    assert isinstance(daemon.state, Blocked)
    assert Instant(daemon.state.since) > seen.began_at


def test_a_fence_that_fails_for_another_reason_is_proved_as_before():
    """Nobody else acts: what it has asked for is confirmed beside a proof, and not merely seen."""
    daemon = promoting().answered(Promote, EffectFailed("no_answer", WORDS))
    daemon.sees(dead(), gone(), after=2).answered(Fence, EffectFailed("no answer", WORDS))
    daemon.sees(dead(), NEW_PRIMARY)
    assert daemon.machine.memory.primary == PG1
    daemon.sees(dead(), NEW_PRIMARY, after=40)
    assert isinstance(daemon.state, Fencing)
