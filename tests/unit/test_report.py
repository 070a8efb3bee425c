"""The report says what was seen, what was done, and what is left to do."""

from __future__ import annotations

import json
import stat

import pytest

from failoverd.core.events import (
    EffectFailed,
    Evidence,
    OperatorVouches,
    Replied,
    StillAlive,
)
from failoverd.core.machine import effects
from failoverd.observability import report
from tests.unit.story import PG1, Story, failover


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
        "Other standbys follow the new primary": False,
        "The old primary is a standby again": False,
    }
    assert (
        lines["The standby holds all that the old primary's disk holds"][1]
        == "salvage: not configured"
    )
    assert lines["Applications were sent over"][1] == "redirect: not configured"


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


def test_both_forms_are_written_whole_for_their_owner_alone(tmp_path, succeeded):
    file = report.write(tmp_path / "reports", "main.eu", 7, succeeded)
    assert file.name == "main.eu-7.md"
    names = sorted(one.name for one in file.parent.iterdir())
    assert names == ["main.eu-7.json", "main.eu-7.md"]
    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    assert json.loads(file.with_name("main.eu-7.json").read_text())["id"] == 7


def test_a_report_written_again_replaces_the_first(tmp_path, succeeded):
    report.write(tmp_path, "main", 1, succeeded[:3])
    file = report.write(tmp_path, "main", 1, succeeded)
    assert file.read_text() == report.markdown("main", 1, succeeded)
