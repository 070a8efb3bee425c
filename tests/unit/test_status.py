"""What is shown of a cluster: everything that helps, and no secret."""

from __future__ import annotations

import json
from dataclasses import replace

import pytest

from failoverd.core.asked import effects
from failoverd.core.events import EffectFailed, Evidence, Replied
from failoverd.core.situation import Machine
from failoverd.observability.status import status_document
from tests.unit.story import PG2, POLICY, Story, dead, failover, well


def shown(story):
    return status_document("main", story.machine, story.now, story.policy)


def test_a_healthy_cluster_on_one_page():
    page = shown(Story().all_well())
    assert page["state"] == "watching"
    assert page["sentence"] == "watching: pg1 is the primary on timeline 1"
    assert page["diagnosis"] == "healthy"
    assert page["primary"] == "pg1"
    assert page["blocked"] is None
    assert page["incident"] is None
    assert page["outlook"]["would"] == "fence pg1 and promote pg2"
    assert page["outlook"]["obstacles"] == []
    assert page["nodes"]["pg1"]["role"] == "primary"
    assert page["nodes"]["pg2"]["lsn"] == "0/3000148"
    assert page["nodes"]["pg2"]["lag_bytes"] == 0
    assert page["nodes"]["pg2"]["receiver"] == "streaming"


def test_before_anything_was_seen_there_is_a_page_too():
    page = status_document("main", Machine(), Story().now, POLICY)
    assert page["state"] == "starting"
    assert page["primary"] is None
    assert page["nodes"]["pg2"]["role"] == "unknown"
    assert page["nodes"]["pg2"]["seen_s_ago"] is None


def test_every_step_of_a_failover_can_be_shown_without_a_secret():
    story = failover()
    for _, _, after, _, now in story.steps:
        text = json.dumps(status_document("main", after, now, story.policy))
        assert "hunter2" not in text


def test_in_a_failover_its_number_and_its_reason_are_shown():
    page = shown(Story().all_well().primary_dies())
    assert page["state"] == "fencing"
    incident = {"epoch": 1, "trigger": "automatic", "diagnosis": "crashed", "by": ""}
    assert page["incident"] == incident


def test_after_it_the_old_primary_waits_to_be_rebuilt():
    page = shown(failover())
    assert page["primary"] == "pg2"
    assert page["nodes"]["pg1"]["job"] == "quarantined"
    assert page["cooldown_remaining_s"] == pytest.approx(600, abs=1)


def test_what_blocks_is_shown_with_what_to_type_and_when_it_is_asked_again():
    story = Story().all_well().primary_dies()
    fence, *_ = effects(story.machine)
    failed = EffectFailed("timed_out", Evidence("no answer"), "failoverd fenced pg1")
    story.happens(Replied(story.machine.visit, fence, failed))
    blocked = shown(story)["blocked"]
    assert blocked["reason"] == "no_fence_proof"
    assert blocked["advice"] == "failoverd fenced pg1"
    assert blocked["retry_in_s"] > 0


def test_a_node_that_does_not_answer_says_how():
    story = Story().all_well()
    story.sees(dead("pg1", 9, story.at), well(PG2, 9, story.at))
    node = shown(story)["nodes"]["pg1"]
    assert (node["up"], node["held"], node["fresh"]) == (False, "lost", "refused")
    assert node["detail"] == "Connection refused"


def test_the_age_of_what_is_shown_grows_while_nothing_new_is_seen():
    story = Story().all_well()
    story.at += 30
    assert shown(story)["nodes"]["pg1"]["seen_s_ago"] > 30


def test_a_primary_is_not_behind_itself():
    assert shown(Story().all_well())["nodes"]["pg1"]["lag_bytes"] is None


def test_a_node_that_left_the_configuration_is_not_shown():
    story = Story().all_well()
    story.policy = replace(POLICY, nodes={"pg1": POLICY.nodes["pg1"]})
    assert set(shown(story)["nodes"]) == {"pg1"}
