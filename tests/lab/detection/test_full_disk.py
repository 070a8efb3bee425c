"""No durable journal, no act: told at once, and made good as soon as there is room again."""

from __future__ import annotations

import pytest

from tests.lab.cluster import watched
from tests.lab.detection.full_disk import ask_in_vain, fill, make_room, small_state_directory

pytestmark = [pytest.mark.lab, pytest.mark.timeout(240)]


def looks(lab):
    count = lab.monitor.metric("failoverd_probe_duration_seconds_count", node="pg1", kind="fresh")
    return count or 0


def test_a_crash_is_acted_on_only_when_it_can_be_journaled(lab):
    w = watched(lab, synchronous=False, rate=50, prepare=small_state_directory)
    fill(w)
    w.pg1.kill9_postmaster()
    w.wait(lambda: "the journal failed" in w.daemon.log_text, 15, "the log says so")
    w.wait(lambda: w.status()["journal_failing"], 15, "the status says so")
    seen = looks(lab)
    w.wait(lambda: looks(lab) >= seen + 9, 60, "nine more looks at pg1")
    status = w.status()
    assert "journal cannot be written" in status["journal_failing"]
    assert status["diagnosis"] == "blind"
    assert not status["nodes"]["pg1"]["up"]
    assert w.failovers_begun() == 0
    assert not (w.pg1.data / "standby.signal").exists()
    assert w.pg2.in_recovery
    make_room(w)
    w.wait_until_failed_over(60)
    assert w.status()["journal_failing"] == ""


def test_a_command_that_cannot_be_journaled_is_refused(lab):
    w = watched(lab, synchronous=False, rate=50, prepare=small_state_directory)
    fill(w)
    assert "journal" in ask_in_vain(w)
    w.wait(lambda: w.status()["journal_failing"], 15, "the status says so")
    assert w.status()["state"] == "watching"
    assert w.status()["diagnosis"] == "blind"
    make_room(w)
    w.wait(lambda: w.status()["journal_failing"] == "", 15, "it is tried again by itself")
    lab.monitor.failoverd("pause")
    assert w.status()["state"] == "paused"
