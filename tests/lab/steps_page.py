"""The figures of docs/every-step.md: what was tried, when, on what."""

from __future__ import annotations

import json
import os
import re
import subprocess
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from tests.lab.dying import Fate, Point, Procedure, Way, kind_of

BEGIN, END = "<!-- every step, {}: begin -->", "<!-- every step, {}: end -->"


@dataclass(frozen=True, slots=True)
class Tried:
    procedure: Procedure
    point: Point
    reached: bool
    wrong: str = ""


def kept() -> list[Tried]:
    """What an earlier part of the campaign has tried (`EVERY_STEP_KEPT`), so that one goes on."""
    file = os.environ.get("EVERY_STEP_KEPT")
    if not file or not Path(file).exists():
        return []
    return [_read(json.loads(line)) for line in Path(file).read_text().splitlines()]


def keep(one: Tried) -> None:
    file = os.environ.get("EVERY_STEP_KEPT")
    if file:
        point = [one.point.way, one.point.what, one.point.fate]
        said = {"procedure": one.procedure, "point": point, "reached": one.reached,
                "wrong": one.wrong}  # fmt: skip
        with Path(file).open("a") as lines:
            lines.write(json.dumps(said) + "\n")


def _read(said: dict[str, Any]) -> Tried:
    way, what, fate = said["point"]
    point = Point(Way(way), what, Fate(fate))
    return Tried(Procedure(said["procedure"]), point, said["reached"], said["wrong"])


def write_figures(page: Path, results: Sequence[Tried], left: str) -> None:
    """Into the part of each procedure; one that was not tried now keeps its figures."""
    text = page.read_text()
    for name in sorted({part_of(one) for one in results}):
        table = _table([one for one in results if part_of(one) == name], left)
        part = f"{BEGIN.format(name)}\n{table}\n{END.format(name)}"
        pattern = f"{re.escape(BEGIN.format(name))}.*?{re.escape(END.format(name))}"
        text, found = re.subn(pattern, lambda _, part=part: part, text, flags=re.DOTALL)
        assert found, f"{page} has no part for {name}"
    page.write_text(text)


def part_of(one: Tried) -> str:
    if one.procedure is Procedure.SALVAGE:
        return "salvage"
    if one.point.fate is Fate.SLEEPS:
        return "sleeps"
    return f"{one.procedure}, {kind_of(one.point.way, one.point.what)}"


def _table(results: Sequence[Tried], left: str) -> str:
    points = Counter((one.point.way, one.point.fate) for one in results if one.reached)
    fates = [fate for fate in Fate if any(key[1] is fate for key in points)]
    head = f"| called out by | {' | '.join(fates)} |"
    lines = [head, "|---" * (len(fates) + 1) + "|"]
    for way in Way:
        if any(key[0] is way for key in points):
            counts = " | ".join(str(points[way, fate]) for fate in fates)
            lines.append(f"| {way} | {counts} |")
    calls = len({(one.point.way, one.point.what) for one in results if one.reached})
    wrong = sum(bool(one.wrong) for one in results)
    passed = sum(not one.reached for one in results)
    done = f"{datetime.now(UTC):%Y-%m-%d}, commit {_commit()}"
    said = (
        f"{done}: {sum(points.values())} deaths at {calls} different calls and writes, {wrong} of"
        f" them ended badly; {passed} points were not come by."
    )
    said += f" Not tried in that run: {left}." if left else ""
    return "\n".join([said, "", *lines])


def _commit() -> str:
    command = ["git", "rev-parse", "--short=10", "HEAD"]
    return subprocess.run(command, check=True, capture_output=True, text=True).stdout.strip()
