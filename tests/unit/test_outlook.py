"""What would be done if the primary died this second, and what stands in the way."""

from __future__ import annotations

from dataclasses import replace

import pytest

from failoverd.core.events import OperatorPause
from failoverd.core.model import HostReport, Outcome
from failoverd.core.outlook import outlook
from failoverd.core.policy import Mode, NodePolicy
from failoverd.core.situation import Machine
from tests.unit.story import PG1, PG2, POLICY, Story, failover, look, well


def seen(story):
    return outlook(story.machine, story.now, story.policy)


def obstacles(story):
    return " | ".join(seen(story).obstacles)


def test_a_healthy_pair_has_nothing_in_the_way():
    found = seen(Story().all_well())
    assert found.would == "fence pg1 and promote pg2"
    assert found.why.startswith("pg2 at 0/3000148; would be lost: at most about 0 bytes")
    assert found.obstacles == ()


def test_nothing_is_promised_before_the_primary_is_known():
    found = outlook(Machine(), Story().now, POLICY)
    assert (found.would, found.obstacles) == ("nothing", ("no primary is known",))


def test_a_standby_that_is_gone_leaves_nobody_to_take_over():
    story = Story().all_well()
    story.sees(well(PG1, 9, story.at), replace(well(PG2, 9, story.at), server=None))
    assert seen(story).would == "nothing"
    assert "no candidate: no standby can take over" in obstacles(story)


def test_a_host_that_was_never_calibrated_could_not_prove_a_fence():
    story = Story().all_well()
    memory = replace(story.machine.memory, calibrations={})
    story.machine = replace(story.machine, memory=memory)
    assert "no fence proof: the host of pg1 has not seen its server alive" in obstacles(story)


def test_a_host_that_does_not_answer_now_could_not_prove_one_either():
    story = Story().all_well()
    silent = HostReport(look(Outcome.TIMED_OUT, story.at))
    story.sees(replace(well(PG1, 9, story.at), host=silent), well(PG2, 9, story.at))
    assert "no fence proof: the host of pg1 does not answer (timed_out)" in obstacles(story)


def test_after_a_failover_the_cooldown_is_in_the_way():
    assert "cooldown for another" in obstacles(failover())


def test_too_many_failovers_in_a_day_are_in_the_way():
    story = failover()
    story.policy = replace(POLICY, max_per_day=1)
    assert "1 automatic failovers in a day are enough" in obstacles(story)


def test_a_pause_names_who_asked_for_it():
    story = Story().all_well()
    story.happens(OperatorPause("alice"))
    assert "paused by alice (failoverd resume ends it)" in obstacles(story)


@pytest.mark.parametrize("mode", [Mode.MANUAL, Mode.OBSERVE])
def test_a_mode_that_does_not_act_is_in_the_way(mode):
    story = Story().all_well()
    story.policy = replace(POLICY, mode=mode)
    assert f"mode is {mode}" in obstacles(story)


def test_while_a_failover_is_under_way_no_other_begins():
    assert "a failover is under way (fencing)" in obstacles(Story().all_well().primary_dies())


def test_a_standby_that_may_never_take_over_is_no_candidate():
    story = Story().all_well()
    never = NodePolicy("192.0.2.12", never=True)
    story.policy = replace(POLICY, nodes={**POLICY.nodes, PG2: never})
    assert "pg2: priority: never" in obstacles(story)


def test_a_primary_that_was_never_seen_healthy_is_not_failed_over_from():
    story = Story().all_well()
    memory = replace(story.machine.memory, seen_healthy=False)
    story.machine = replace(story.machine, memory=memory)
    assert "never seen healthy" in obstacles(story)
