"""How late our own loop was since any moment of the last two minutes."""

from __future__ import annotations

import random

import pytest

from failoverd.daemon import loop_lag
from failoverd.daemon.loop_lag import TICK_S, LoopLag


@pytest.mark.parametrize("seed", range(20))
def test_the_worst_since_a_moment_is_the_greatest_of_all_since_then(seed, monkeypatch):
    chance, now, seen = random.Random(seed), [0.0], []
    monkeypatch.setattr(loop_lag, "monotonic", lambda: now[0])
    lag = LoopLag()
    for _ in range(400):
        expected = now[0] + TICK_S
        late = chance.choice([0.0, 0.001, 0.01, 0.3]) * chance.random()
        now[0] = expected + late
        lag._note(expected)
        lag._expected = now[0] + TICK_S
        seen.append((now[0], now[0] - expected))
        began = now[0] - chance.random() * 15
        assert lag.worst_since(began) == max((late for at, late in seen if at >= began), default=0)


def test_a_stall_that_is_not_over_counts(monkeypatch):
    now = [0.0]
    monkeypatch.setattr(loop_lag, "monotonic", lambda: now[0])
    lag = LoopLag()
    now[0] = 5.0
    assert lag.worst_since(4.0) == pytest.approx(5.0 - TICK_S)
