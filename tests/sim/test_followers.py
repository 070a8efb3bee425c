"""What followers see of the primary: whom one of them reaches is left alone, an old word is old."""

from __future__ import annotations

import pytest

from failoverd.core import other_daemons
from failoverd.daemon.saying import Others
from tests.sim.scenarios import plan
from tests.sim.scenarios_of_followers import of_followers
from tests.sim.simulation import Simulation, run_plan

PLANS = dict(of_followers(plan, 1))
ALONE = "followers alone reach it from 5.0 on"
LOST = "a leader that sees nobody, and then a host is lost"


def test_whom_followers_alone_reach_is_partitioned_and_nobody_is_promoted():
    world = Simulation(PLANS[ALONE])
    world.kernel.run_until(14.0)
    leader = next(d for d in world.daemons if d.alive)
    assert leader.machine.diagnosis == "partitioned"
    assert {one.heard for one in leader.machine.view.daemons.values()} == {True}
    assert run_plan(PLANS[ALONE]).failovers == 0


def test_every_scenario_of_followers_breaks_no_rule():
    broken = [
        f"{name}: {found}" for name, p in of_followers(plan, 3) if (found := run_plan(p).broken)
    ]
    assert broken == []


def test_a_leader_that_is_blind_leaves_it_and_another_one_fails_over():
    found = run_plan(PLANS[LOST])
    assert found.broken == ""
    assert found.failovers == 1
    assert any("leaves the leadership" in what for _, _, what in found.story)


@pytest.mark.parametrize("rule", ["reaches", "yet_to_tell"])
def test_a_daemon_that_does_not_heed_its_followers_is_found(rule, monkeypatch):
    monkeypatch.setattr(other_daemons, rule, lambda *_: False)
    broken = [run_plan(p).broken for name, p in PLANS.items() if name.startswith("followers alone")]
    assert any("reaches it all the time" in found for found in broken)


def test_a_daemon_that_takes_an_old_word_for_a_new_one_is_found(monkeypatch):
    """As if what is read now had been said now."""
    note = Others.note

    def noted_now(self, found, asked_at):
        self._asked_before_at = asked_at
        note(self, found, asked_at)

    monkeypatch.setattr(Others, "note", noted_now)
    assert " has seen for " in run_plan(PLANS[ALONE]).broken
