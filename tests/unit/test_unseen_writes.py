"""What was written while nobody looked counts as lost."""

from __future__ import annotations

from dataclasses import replace

import pytest

from failoverd.core.effects import Confirm, Promote, Redirect, Salvage
from failoverd.core.election import wal_loss
from failoverd.core.events import NotConfigured, Promoted
from failoverd.core.lsn import Lsn
from failoverd.core.model import ProofKind
from failoverd.core.states import Blocked, BlockReason, Fencing, Watching
from tests.unit.lagging import MEGABYTE, WHOLE
from tests.unit.scenes import CONFIRMED, QUIET
from tests.unit.vocabulary import (
    HERE,
    PAIR,
    PG2,
    WORDS,
    Daemon,
    cut_off,
    dead,
    gone,
    healthy,
    proof,
    streaming,
    watching,
)


def back_after_a_while(*, seen_again: bool) -> Daemon:
    """It was stopped while all was well, and the primary dies; salvage is off."""
    daemon = Daemon(replace(PAIR, salvage=False))
    for second in range(4):
        daemon.sees(healthy(HERE + second * MEGABYTE), streaming())
    daemon.restarted(away_s=3600)
    if seen_again:
        daemon.sees(healthy(HERE + 4 * MEGABYTE), streaming())
    return dies(daemon)


def dies(daemon: Daemon) -> Daemon:
    for _ in range(4):
        daemon.sees(dead(), cut_off())
    return daemon


def test_what_was_written_while_it_was_away_counts_as_lost():
    blocked = back_after_a_while(seen_again=False).state
    assert isinstance(blocked, Blocked)
    assert blocked.reason is BlockReason.NO_CANDIDATE
    assert "bytes (estimated" in blocked.why


def test_one_look_at_the_primary_is_enough_to_bound_it_again():
    assert isinstance(back_after_a_while(seen_again=True).state, Fencing)


def test_a_daemon_killed_while_the_primary_was_in_doubt_goes_by_what_it_had_seen():
    daemon = watching(replace(PAIR, salvage=False)).sees(dead(), cut_off())
    daemon.restarted()
    assert isinstance(dies(daemon).state, Fencing)


def test_what_a_primary_that_was_cut_off_wrote_while_the_daemon_was_killed_counts_as_lost():
    """Its applications may have reached it until it was turned off."""
    daemon = Daemon(replace(PAIR, salvage=False))
    for second in range(4):
        daemon.sees(healthy(HERE + second * MEGABYTE), streaming())
    while not isinstance(daemon.state, Fencing):
        daemon.sees(gone(), QUIET)
    daemon.restarted(away_s=10)
    last, off = HERE + 3 * MEGABYTE, proof(daemon.at, kind=ProofKind.POWERED_OFF)
    loss = wal_loss(Lsn(last), daemon.machine.memory, off)
    assert loss.lost_bytes >= 10 * MEGABYTE
    assert not loss.proven


def test_what_is_written_to_a_primary_that_was_just_promoted_is_counted_by_the_one_before():
    """It was looked at once, and nothing of its own tells how fast the applications write."""
    daemon = Daemon()
    for second in range(4):
        daemon.sees(healthy(HERE + second * MEGABYTE), streaming())
    last = HERE + 3 * MEGABYTE
    daemon.sees(dead(), cut_off()).sees(dead(), cut_off(), after=0.21).fenced().froze({PG2: last})
    daemon.answered(Salvage, WHOLE).answered(Promote, Promoted(WORDS))
    daemon.answered(Confirm, CONFIRMED).answered(Redirect, NotConfigured(WORDS))
    daemon.sees(dead(), healthy(last, timeline=2))
    assert (daemon.state, daemon.machine.memory.primary_lsn) == (Watching(), Lsn(last))
    off = proof(daemon.at + 10, kind=ProofKind.POWERED_OFF)
    loss = wal_loss(Lsn(last), daemon.machine.memory, off)
    assert loss.lost_bytes == pytest.approx(10 * MEGABYTE, rel=0.01)
