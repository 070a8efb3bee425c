"""Deliberate defects that were found once are found again: twenty of them, each by its own run."""

from __future__ import annotations

import tempfile
from pathlib import Path

import pytest

from tests.sim.mutate import asked, copied, known
from tests.sim.mutations import MUTATIONS

OF_THE_LIST = 20
FOUND = [m for m in MUTATIONS if (score := known().get(m.name)) is not None and score.seed]


def test_the_list_is_long_and_names_each_defect_once():
    assert len(MUTATIONS) >= 40
    assert len({m.name for m in MUTATIONS}) == len(MUTATIONS)


@pytest.mark.campaign
@pytest.mark.parametrize("mutation", FOUND[:OF_THE_LIST], ids=lambda m: m.name)
def test_a_defect_that_was_found_is_found_by_the_same_run(mutation):
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        if not copied(mutation, folder):
            pytest.skip("the text that it replaces has changed")
        run = known()[mutation.name].seed
        status, said = asked(folder, ["-m", "tests.sim.hunt", run], 100.0)
        assert status == 1, said
