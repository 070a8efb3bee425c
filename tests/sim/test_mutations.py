"""Deliberate defects: each is found or explained, and those that were found are found again."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from tests.sim.mutate import PAGE, explained, forked, known, printed, survivors
from tests.sim.mutations import MUTATIONS
from tests.sim.planting import place_of, plant

ROOT = Path(__file__).parents[2]
FOUND = [m for m in MUTATIONS if (score := known().get(m.name)) is not None and score.seed]
SHORT_FORM = FOUND[:: max(1, len(FOUND) // 8)]
"""Some of the simulator's, from all parts of the list."""
LIMIT_S = 240.0


def test_the_list_is_long_and_names_each_defect_once():
    assert len(MUTATIONS) >= 40
    assert len({m.name for m in MUTATIONS}) == len(MUTATIONS)


def test_every_defect_stands_for_a_text_that_is_there():
    assert [m.name for m in MUTATIONS if place_of(m) is None] == []


def test_every_defect_is_found_or_the_page_says_why_not_and_of_no_other():
    assert list(explained()) == survivors(known())
    assert [name for name, why in explained().items() if "not explained" in why] == []


def test_every_defect_was_tried_and_the_page_gives_the_score():
    scores = known()
    assert [m.name for m in MUTATIONS if m.name not in scores] == []
    found = len(MUTATIONS) - len(survivors(scores))
    assert f"**{found} of {len(MUTATIONS)} are found** by the simulator" in PAGE.read_text()


def test_a_unit_test_that_finds_what_survives_is_named_there_and_exists():
    for name, why in explained().items():
        test = known()[name].unit
        if test:
            file, _, function = test.partition("::")
            function = function.partition("[")[0]
            assert function in why
            assert f"def {function}(" in (ROOT / file).read_text()


def test_the_score_is_refused_where_a_survivor_is_not_explained(capsys):
    scores = known()
    assert printed(scores) == 0
    lost = scores.pop("no-cooldown")
    assert printed(scores) == 1
    assert "not explained: no-cooldown" in capsys.readouterr().out
    assert printed({**scores, "no-cooldown": replace(lost, simulator="", explorer="")}) == 1


def again(mutation, run):
    plant(mutation)
    from tests.sim import hunt  # noqa: PLC0415 - with the defect

    return hunt.simulated([run])


@pytest.mark.timeout(LIMIT_S + 60)
@pytest.mark.parametrize("mutation", SHORT_FORM, ids=lambda m: m.name)
def test_a_defect_that_was_found_is_found_by_the_same_run(mutation):
    run = known()[mutation.name].seed
    found = forked(lambda: again(mutation, run), LIMIT_S)
    assert isinstance(found, list), found


@pytest.mark.campaign
@pytest.mark.timeout(LIMIT_S + 60)
@pytest.mark.parametrize(
    "mutation", [m for m in FOUND if m not in SHORT_FORM], ids=lambda m: m.name
)
def test_so_is_every_other(mutation):
    run = known()[mutation.name].seed
    assert isinstance(forked(lambda: again(mutation, run), LIMIT_S), list)


def story_of_a_seed_with(mutation):
    plant(mutation)
    from tests.sim.plan import plan_of  # noqa: PLC0415
    from tests.sim.simulation import run, run_plan  # noqa: PLC0415
    from tests.sim.telling import shrunk, told  # noqa: PLC0415

    for seed in range(1, 80):
        plan = plan_of(seed)
        if len(plan.faults) > 2 and run(seed).broken:
            small = shrunk(plan, 40)
            return [len(plan.faults), len(small.faults), told(run_plan(small), small)]
    return None


@pytest.mark.timeout(LIMIT_S + 60)
def test_a_seed_that_finds_a_defect_is_told_as_a_story_with_fewer_faults():
    planted = next(m for m in MUTATIONS if m.name == "asks-before-it-writes")
    found = forked(lambda: story_of_a_seed_with(planted), LIMIT_S)
    assert isinstance(found, list), found
    before, after, story = found
    assert after < before
    assert "before the journal has it" in story
    assert "watching -> suspect" in story
