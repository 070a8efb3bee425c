"""How fast is written is journaled seldom, and never told smaller after a restart."""

from __future__ import annotations

import itertools
from dataclasses import replace

import pytest

from failoverd.core.incident import durable_change
from failoverd.core.model import Instant
from failoverd.core.restart import restored
from tests.unit.vocabulary import watching


def writing(rate):
    machine = watching().machine
    return replace(machine, memory=replace(machine.memory, peak_wal_rate=rate))


def test_a_primary_that_writes_a_little_faster_each_round_is_not_journaled_each_round():
    peaks = [5_000.0 + faster for faster in range(0, 3_000, 10)]
    journaled = [
        durable_change(writing(before), writing(after))
        for before, after in itertools.pairwise(peaks)
    ]
    assert not any(journaled)


def test_one_that_writes_twice_as_fast_is():
    assert durable_change(writing(5_000.0), writing(10_000.0))


@pytest.mark.parametrize("rate", [0.0, 0.5, 1.0, 4_095.9, 4_096.0, 4_096.1, 5e9])
def test_after_a_restart_nothing_that_was_not_journaled_was_faster(rate):
    journaled = writing(rate)
    known = restored(journaled, Instant(0.0)).memory.peak_wal_rate
    assert rate <= known <= max(1.0, 2 * rate)
    assert not durable_change(journaled, writing(known))
    assert known == 0.0 or durable_change(journaled, writing(known + 1))


def test_restart_after_restart_tells_no_more_than_the_first():
    once = restored(writing(5_000.0), Instant(0.0))
    assert restored(once, Instant(0.0)).memory.peak_wal_rate == once.memory.peak_wal_rate
