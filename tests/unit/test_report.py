"""The report says what was seen, what was done, and what is left to do."""

from __future__ import annotations

import json
import stat
from dataclasses import replace
from xml.etree import ElementTree as ET

import pytest

from failoverd.core.asked import effects
from failoverd.core.events import (
    EffectFailed,
    Evidence,
    OperatorVouches,
    Replied,
    StillAlive,
)
from failoverd.core.numbering import number_of
from failoverd.core.policy import Mode
from failoverd.observability import report
from failoverd.record.doubts import Numbered, doubts
from failoverd.record.record import Told
from tests.unit.story import PG1, PG2, POLICY, Story, failover

NEVER = {PG1: POLICY.nodes[PG1], PG2: POLICY.nodes[PG2]}


def told(story):
    """As the journal gives it: from the first suspicion to the end of the incident."""
    rows = [(now.wall, entry) for *_, entry, now in story.steps if entry is not None]
    first = next(n for n, (_, entry) in enumerate(rows) if entry.to_state == "suspect")
    return rows[first:]


@pytest.fixture
def succeeded():
    return told(failover())


def done(rows):
    return {step: done for step, done, _ in report.procedure(rows)}


def test_a_failover_is_summed_up_in_a_line(succeeded):
    line = report.summary("main", 1, succeeded)
    assert line["outcome"] == "succeeded"
    assert line["trigger"] == "automatic"
    assert line["diagnosis"] == "crashed"
    assert line["sentence"].startswith("confirmed: pg2 is the primary on timeline 2")
    assert line["suspected"] < line["began"] < line["ended"]
    assert 0 < line["duration_s"] < 2


def test_each_line_of_the_procedure_is_done_or_says_why_not(succeeded):
    lines = {step: (was, said) for step, was, said in report.procedure(succeeded)}
    assert done(succeeded) == {
        "The old primary is stopped and cannot take writes": True,
        "The standby was read-only and stood still": True,
        "The standby holds all that the old primary's disk holds": False,
        "The standby was promoted": True,
        "The new primary's own log says so": True,
        "A new timeline and a committed write were seen": True,
        "Applications were sent over": False,
        "Other standbys follow the new primary": True,
        "The old primary is a standby again": False,
    }
    assert (
        lines["The standby holds all that the old primary's disk holds"][1]
        == "salvage: not configured"
    )
    assert lines["Applications were sent over"][1] == "redirect: not configured"
    assert lines["Other standbys follow the new primary"][1] == "there is no other standby"


def test_before_it_has_been_tried_nothing_is_called_not_configured(succeeded):
    upto = [row for row in succeeded if row[1].from_state not in ("salvaging", "settling")]
    lines = {step: said for step, _, said in report.procedure(upto)}
    assert lines["Applications were sent over"] == "not done"


def test_what_was_seen_is_there_with_who_saw_it_and_how_old_it_was(succeeded):
    text = report.markdown("main", 1, succeeded)
    assert "- pg1: a fresh connection: refused (Connection refused), 0.01 s before" in text
    assert "- pg1: its host: no process of the data directory, does not listen" in text


def test_a_loss_that_is_estimated_is_said_to_be(succeeded):
    assert "Estimated, in bytes of WAL" in report.markdown("main", 1, succeeded)


def test_the_new_primarys_own_lines_are_quoted(succeeded):
    assert "LOG:  selected new timeline ID: 2" in report.markdown("main", 1, succeeded)


def test_output_that_looks_like_markdown_cannot_break_out_of_its_block(succeeded):
    lines = report.markdown("main", 1, succeeded).splitlines()
    start = lines.index("kill -0 70")
    end = lines.index("````", start)
    assert "no such process `70`" in lines[start:end]
    assert "```" in lines[start:end]


def test_a_password_is_in_neither_form(succeeded):
    text = report.markdown("main", 1, succeeded) + json.dumps(report.document("main", 1, succeeded))
    assert "hunter2" not in text


def test_a_cancelled_failover_says_that_nothing_has_changed():
    rows = told(Story().all_well().primary_dies().answers(StillAlive))
    assert report.outcome(rows) == "cancelled"
    assert not any(done(rows).values())
    text = report.markdown("main", 1, rows)
    assert "Nothing has changed" in text
    assert "still alive: a postmaster runs on pg1" in text


def blocked_story():
    story = Story().all_well().primary_dies()
    fence, *_ = effects(story.machine)
    failed = EffectFailed("timed_out", Evidence("no answer\nfrom pg1"), "failoverd fenced pg1")
    story.happens(Replied(story.machine.visit, fence, failed))
    return story


def test_one_that_waits_for_a_person_is_under_way():
    rows = told(blocked_story())
    assert report.outcome(rows) == "under_way"
    assert "(do: failoverd fenced pg1)" in report.markdown("main", 1, rows)


def test_whoever_vouched_for_the_fence_is_named():
    story = blocked_story()
    story.happens(OperatorVouches("alice", PG1, "I pulled its plug"))
    story.answers()
    rows = told(story)
    assert report.outcome(rows) == "succeeded"
    said = next(said for _, _, said in report.procedure(rows))
    assert said.startswith("alice vouches that pg1 is fenced: I pulled its plug")


def test_a_sentence_stays_on_its_line(succeeded):
    for line in report.markdown("main", 1, told(blocked_story())).splitlines():
        assert not line.startswith("from pg1")


def test_a_log_that_could_not_be_read_is_said():
    rows = [
        (at, report.Entry(**{**fields(entry), "server_log": (), "server_log_unreadable": "EACCES"}))
        for at, entry in told(failover())
    ]
    assert "not readable: EACCES" in report.markdown("main", 1, rows)


def fields(entry):
    return {name: getattr(entry, name) for name in entry.__dataclass_fields__}


def test_all_forms_are_written_whole_for_their_owner_alone(tmp_path, succeeded):
    file = report.write(tmp_path / "reports", "main.eu", 7, succeeded)
    assert file.name == "main.eu-7.md"
    names = sorted(one.name for one in file.parent.iterdir())
    assert names == ["main.eu-7.json", "main.eu-7.md", "main.eu-7.svg"]
    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    assert json.loads(file.with_name("main.eu-7.json").read_text())["id"] == 7


def test_a_report_written_again_replaces_the_first(tmp_path, succeeded):
    report.write(tmp_path, "main", 1, succeeded[:3])
    file = report.write(tmp_path, "main", 1, succeeded)
    assert file.read_text() == report.markdown("main", 1, succeeded)


def kept(story):
    """As the journal numbers what never became an incident."""
    rows = [
        Numbered(n, number_of(before, event, after) is not None, Told(now.wall, entry))
        for n, (before, event, after, entry, now) in enumerate(story.steps)
        if entry is not None
    ]
    return [[(one.at, one.entry) for one in doubt.told] for doubt in doubts(rows)]


def false_alarm():
    return Story().all_well().stumbles().all_well()


def test_a_primary_that_was_well_again_by_itself_is_a_false_alarm_with_a_report():
    (rows,) = kept(false_alarm())
    assert report.outcome(rows) == "false_alarm"
    text = report.markdown("main", "s7", rows)
    assert text.startswith("# False alarm s7 of cluster main: false_alarm")
    assert "pg1: a fresh connection: timed_out (no answer), 0.01 s before" in text
    assert "The procedure" not in text
    assert "Nothing was done." in text


def test_a_suspicion_that_is_not_over_is_under_way():
    (rows,) = kept(Story().all_well().stumbles())
    assert report.outcome(rows) == "under_way"


def test_a_suspicion_that_became_a_failover_is_told_there_alone():
    assert kept(failover()) == []


def test_a_failover_that_was_called_for_and_not_begun_has_a_report_with_its_reason():
    story = Story().all_well(1)
    story.policy = replace(POLICY, nodes={n: replace(p, never=True) for n, p in NEVER.items()})
    story.all_well().primary_dies()
    (rows,) = kept(story)
    assert report.outcome(rows) == "refused"
    assert report.markdown("main", "s9", rows).startswith("# Refusal s9")
    assert "no_candidate" in rows[-1][1].sentence


def test_what_was_left_to_others_is_one_report_to_the_end_of_the_suspicion():
    story = Story(policy=replace(POLICY, mode=Mode.OBSERVE)).all_well().primary_dies()
    story.primary_dies().all_well()
    (rows,) = kept(story)
    assert report.outcome(rows) == "observed"
    assert "it would fence pg1" in report.summary("main", "s7", rows)["sentence"]


def test_what_is_to_be_done_next_is_no_more_than_what_is_left():
    rows = told(failover())
    text = "\n".join(report.document("main", 1, rows)["next"])
    assert "See that applications reach the new primary" in text
    assert "The old primary is fenced and guarded" in text
    assert "every other standby" not in text
    back = replace(rows[-1][1], answer="Rejoined", sentence="pg1 streams from pg2", outcome=None)
    text = "\n".join(report.document("main", 1, [*rows, (rows[-1][0], back)])["next"])
    assert "The old primary is fenced" not in text


def test_the_picture_is_well_formed_and_names_every_state_node_and_milestone(succeeded):
    drawing = ET.fromstring(report.drawn("main", 1, succeeded))
    words = "\n".join(drawing.itertext())
    for state in ("suspect", "fencing", "electing", "salvaging", "promoting", "confirming"):
        assert state in words, state
    assert "pg1" in words
    assert "proved: pg1 is fenced" in words
    assert "confirmed: pg2 is the primary" in words


def test_nothing_of_the_picture_lies_outside_of_it(succeeded):
    drawing = ET.fromstring(report.drawn("main", 1, succeeded))
    width, height = (float(number) for number in drawing.get("viewBox").split()[2:])
    for shape in drawing.iter("{http://www.w3.org/2000/svg}rect"):
        left, top = float(shape.get("x", 0)), float(shape.get("y", 0))
        assert left >= 0
        assert top >= 0
        assert left + float(shape.get("width")) <= width + 2
        assert top + float(shape.get("height")) <= height


def test_a_picture_holds_what_a_server_said_and_nothing_that_it_could_run():
    rows = told(failover())
    evil = replace(rows[2][1], sentence="<script>alert(1)</script> & more", answer="Fenced")
    text = report.drawn("main", 1, [*rows[:2], (rows[2][0], evil), *rows[3:]])
    assert "<script>" not in text
    assert "&lt;script&gt;" in text


def test_a_rejoin_of_hours_leaves_the_procedure_its_room():
    rows = told(failover())
    late = replace(rows[-1][1], answer="Rejoined", sentence="pg1 streams from pg2", outcome=None)
    assert report.drawn("main", 1, [*rows, (rows[-1][0] + 7200, late)]) == report.drawn(
        "main", 1, rows
    )
