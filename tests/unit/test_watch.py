"""A screen that is drawn over itself fits its terminal, and a pipe hears only of changes."""

from __future__ import annotations

import re

from failoverd.cli import watch
from failoverd.observability.status import status_document
from tests.unit.story import Story

EVENT = {"cluster": "main", "at": "2026-01-02T03:04:05.678+00:00", "state": "suspect",
         "sentence": "suspect: pg1 is crashed"}  # fmt: skip


def status(story):
    return status_document("main", story.machine, story.now, story.policy)


def lines(frame):
    return re.sub(r"\x1b\[[0-9?]*[A-Za-z]", "", frame).split("\r\n")


def test_a_screen_has_the_clusters_and_below_them_what_happened_last():
    shown = lines(watch.frame(([status(Story().all_well())], [EVENT]), "03:04:05", 200, 50))
    text = "\n".join(shown)
    assert text.index("cluster main: WATCHING") < text.index("03:04:05.678  main  suspect")


def test_a_screen_is_never_larger_than_its_terminal():
    for columns, rows in ((80, 24), (40, 10), (20, 3)):
        frame = watch.frame(([status(Story().all_well())], [EVENT] * 50), "03:04:05", columns, rows)
        shown = lines(frame)
        assert len(shown) <= rows
        assert all(len(line) <= columns for line in shown)


def test_a_daemon_that_does_not_answer_is_said_where_the_status_stood():
    shown = lines(watch.frame("no daemon answers on /run/x", "03:04:05", 80, 24))
    assert "no daemon answers on /run/x" in shown


def test_what_changes_by_itself_is_no_change():
    story = Story().all_well()
    before = watch._at_rest(status(story))
    story.all_well()
    assert watch._at_rest(status(story)) == before
    story.stumbles()
    assert watch._at_rest(status(story)) != before
