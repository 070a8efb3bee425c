"""The daemon dies at each point where it calls out, is started again, and all is well.

The table of a few points that matter most is tried always; every point, as a procedure without
a fault has shown them, by `make every-step`.
"""

from __future__ import annotations

import json
import os
import time
from pathlib import Path

import pytest

from tests.lab.dying import Fate, Kind, Point, Procedure, Way, kind_of, recorded, stage, tried
from tests.lab.lab import Lab
from tests.lab.replaying import every_decision_comes_out_the_same
from tests.lab.steps_page import Tried, keep, kept, part_of, write_figures

FAILOVER, SWITCHOVER = Procedure.FAILOVER, Procedure.SWITCHOVER
SALVAGE = Procedure.SALVAGE
PROMOTE = "then pg_promote(false) end as asked"
CONFIRM = "select pg_logical_emit_message(true, 'failoverd', 'confirm')"
WRITE_CHECK = "pg_logical_emit_message"

MATTER_MOST = (
    (FAILOVER, Point(Way.OLD_SSH, "stop", Fate.ALONE)),
    (FAILOVER, Point(Way.NEW_SSH, "freeze", Fate.AFTER)),
    (FAILOVER, Point(Way.NEW_SQL, PROMOTE, Fate.AFTER)),
    (FAILOVER, Point(Way.JOURNAL, "5", Fate.BEFORE)),
    (SWITCHOVER, Point(Way.OLD_SSH, "stop", Fate.AFTER)),
    (SWITCHOVER, Point(Way.NEW_SQL, PROMOTE, Fate.BEFORE)),
)
"""The fence goes on alone; a freeze and a promotion that nobody heard of; decided, not written."""

SLEPT_THROUGH = (
    (FAILOVER, Point(Way.OLD_SSH, "stop", Fate.SLEEPS)),
    (FAILOVER, Point(Way.NEW_SSH, "freeze", Fate.SLEEPS)),
    (FAILOVER, Point(Way.NEW_SQL, PROMOTE, Fate.SLEEPS)),
    (FAILOVER, Point(Way.NEW_SQL, CONFIRM, Fate.SLEEPS)),
    (SWITCHOVER, Point(Way.OLD_SSH, "stop", Fate.SLEEPS)),
    (SWITCHOVER, Point(Way.NEW_SQL, PROMOTE, Fate.SLEEPS)),
)
ONCE_LEFT_A_FILE = (
    (SWITCHOVER, Point(Way.JOURNAL, "15", Fate.BEFORE)),
    (SWITCHOVER, Point(Way.NEW_SQL, CONFIRM, Fate.ALONE)),
    (SWITCHOVER, Point(Way.OLD_SQL, WRITE_CHECK, Fate.ALONE)),
)
"""After which a file of ours lay in a data directory, in one of the first campaigns."""
KILLED = (Fate.BEFORE, Fate.ALONE, Fate.AFTER)
BROUGHT_OVER = tuple(
    (SALVAGE, Point(way, "stream", fate)) for way in (Way.OLD_SSH, Way.NEW_SSH) for fate in Fate
)
"""WAL that the standby lacks, as it leaves the old primary and as it reaches the new one."""
WRITES = 40
"""More than any procedure has; the first that is not reached ends the series."""

pytestmark = [pytest.mark.lab, pytest.mark.timeout(7200)]


def test_killed_where_it_matters_most_it_finishes_after_a_restart(lab):
    s = stage(lab)
    for procedure, point in MATTER_MOST:
        assert tried(s, procedure, point), f"{procedure} never came by: {point.name}"
    assert "each came out the same" in lab.monitor.failoverd("explain").stdout
    explained = json.loads(lab.monitor.failoverd("explain", "1", "--json").stdout)
    assert explained["same"]
    assert explained["decisions"][0]["decided"].startswith("fencing pg1")


@pytest.mark.campaign
@pytest.mark.parametrize("kind", Kind)
@pytest.mark.parametrize("procedure", [FAILOVER, SWITCHOVER])
def test_killed_at_every_step_it_finishes_after_a_restart(procedure, kind, tmp_path):
    if kind is Kind.JOURNAL:
        points = [
            Point(Way.JOURNAL, str(number), fate)
            for number in range(1, WRITES)
            for fate in (Fate.BEFORE, Fate.AFTER)
        ]
    else:
        with Lab.start(tmp_path / "recorded") as lab:
            calls = recorded(stage(lab), procedure)
        fates = KILLED if kind is Kind.ACTS else (Fate.AFTER,)
        points = [Point(*call, fate) for call in calls for fate in fates if kind is kind_of(*call)]
    _every_one(tmp_path, [(procedure, point) for point in points])


@pytest.mark.campaign
def test_killed_again_and_again_where_a_file_was_once_left_it_leaves_none(tmp_path):
    with Lab.start(tmp_path / "again") as lab:
        s = stage(lab)
        for _ in range(int(os.environ.get("EVERY_STEP_TIMES", "5"))):
            for procedure, point in ONCE_LEFT_A_FILE:
                reached = tried(s, procedure, point)
                keep(Tried(procedure, point, reached=reached))
    every_decision_comes_out_the_same(tmp_path)


@pytest.mark.campaign
def test_stopped_for_longer_than_a_proof_lasts_it_finishes_when_it_wakes(tmp_path):
    _every_one(tmp_path, list(SLEPT_THROUGH))


@pytest.mark.campaign
def test_killed_or_stopped_while_wal_is_brought_over_it_finishes_and_nothing_is_lost(tmp_path):
    _every_one(tmp_path, list(BROUGHT_OVER))


def _every_one(directory: Path, left: list[tuple[Procedure, Point]]) -> None:
    """A lab goes on from point to point; one in which something went wrong is not used again."""
    results = [one for one in kept() if not one.wrong]
    done = {(one.procedure, one.point) for one in results}
    left = left[int(os.environ.get("EVERY_STEP_FROM", "0")) :]
    left = [one for one in left if one not in done]
    over: set[Fate] = set()
    until = time.monotonic() + float(os.environ.get("EVERY_STEP_SECONDS", "inf"))
    for number in range(len(left)):
        if not left or time.monotonic() > until:
            break
        with Lab.start(directory / f"lab-{number}") as lab:
            s = stage(lab)
            while left and time.monotonic() < until:
                procedure, point = left.pop(0)
                if point.way is Way.JOURNAL and point.fate in over:
                    continue
                try:
                    reached = tried(s, procedure, point)
                except Exception as error:  # noqa: BLE001 - told, and the others are tried, too
                    results.append(Tried(procedure, point, reached=True, wrong=str(error)))
                    keep(results[-1])
                    (directory / f"wrong-{number}.txt").write_text(f"{point.name}\n{error}")
                    break
                if point.way is Way.JOURNAL and not reached:
                    over.add(point.fate)
                else:
                    results.append(Tried(procedure, point, reached=reached))
                    keep(results[-1])
    page = os.environ.get("EVERY_STEP_PAGE")
    if page:
        now = {part_of(one) for one in results[len(done) :]}
        these = [one for one in results if part_of(one) in now]
        write_figures(Path(page), these, left=_still_to_try(left, over))
    every_decision_comes_out_the_same(directory)
    now_wrong = [one for one in results[len(done) :] if one.wrong]
    wrong = [f"{one.point.name}: {one.wrong.partition(chr(10))[0]}" for one in now_wrong]
    assert wrong == []


def _still_to_try(left: list[tuple[Procedure, Point]], over: set[Fate]) -> str:
    """Of the journal nobody knows how many, before one was not reached."""
    if left and left[0][1].way is Way.JOURNAL:
        number = int(left[0][1].what)
        return "" if over >= {Fate.BEFORE, Fate.AFTER} else f"writes from number {number} on"
    return f"{len(left)} points" if left else ""
