from __future__ import annotations

import contextlib
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.lab.cluster import Watched, watched, would_work
from tests.lab.detection.condition import Condition
from tests.lab.lab import Lab, make_synchronous
from tests.lab.replaying import every_decision_comes_out_the_same

COMMITS_A_SECOND = 50
"""Enough to see that it serves, and little enough to leave the machine to what is tried."""


class Pairs:
    """A watched pair that conditions share, as long as each leaves it as it found it."""

    def __init__(self, directory: Path) -> None:
        self._directory = directory
        self._made = 0
        self._labs = contextlib.ExitStack()
        self._shared: Watched | None = None

    def of(self, condition: Condition) -> Watched:
        if condition.own or condition.sections:
            return self._new(condition)
        if self._shared is None:
            self._shared = self._new(None)
        if condition.synchronous:
            make_synchronous(self._shared.pg1, "pg2")
        return self._shared

    def settle(self, w: Watched, condition: Condition) -> None:
        """As it was before; a pair that is not shared is thrown away."""
        if w is not self._shared:
            w.lab.stop()
            return
        if condition.synchronous:
            make_synchronous(w.pg1, "")
        lab = w.lab
        w.wait(lambda: w.status().get("diagnosis") == "healthy", 60, "the primary is well again")
        lab.monitor.wait_for_state("watching", 30)
        lab.monitor.wait_until(lambda: would_work(lab), 60, "a failover would work again")
        w.ledger.wait_for(5, 30)

    def spoil(self) -> None:
        """Whatever failed: the next condition begins with a fresh pair."""
        self._shared = None
        self._labs.close()

    def _new(self, condition: Condition | None) -> Watched:
        self._made += 1
        directory = self._directory / str(self._made)
        directory.mkdir(parents=True)
        lab = self._labs.enter_context(Lab.start(directory))
        return watched(
            lab,
            synchronous=condition.synchronous if condition else False,
            prepare=condition.prepare if condition else None,
            rate=COMMITS_A_SECOND,
            **(condition.sections if condition else {}),
        )

    def stop(self) -> None:
        self._labs.close()
        every_decision_comes_out_the_same(self._directory)


@pytest.fixture(scope="module")
def pairs(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Pairs]:
    running = Pairs(tmp_path_factory.mktemp("pairs"))
    yield running
    running.stop()
