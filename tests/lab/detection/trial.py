"""Try one condition on a real pair, and keep what came of it for the table."""

from __future__ import annotations

import json
import re
import subprocess
import time
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from tests.lab.cluster import Watched
from tests.lab.detection.condition import Condition

ROOT = Path(__file__).parents[3]
RESULTS = ROOT / ".cache" / "detection"
THRESHOLD_S = 3.0
"""At default settings: three failures, a second apart."""
REACHED_S = 45.0
FAILED_OVER_S = 60.0


@dataclass(frozen=True, slots=True)
class Result:
    """One row of docs/detection.md."""

    condition: str
    diagnosis: str
    fails_over: bool
    detected_s: float
    """From the condition's beginning to the diagnosis."""
    failed_over_s: float | None
    """From the condition's beginning to the confirmed new primary."""
    note: str
    date: str
    commit: str


def try_condition(w: Watched, condition: Condition) -> None:
    """Begin it, see its diagnosis, and what comes of it; the result is kept only if all held."""
    begun_before = w.failovers_begun()
    logged = len(w.daemon.log_text)
    condition.begin(w)
    began = time.monotonic()
    seen = _wait_for_diagnosis(w, condition)
    detected_s = time.monotonic() - began
    _told(w, condition, logged)
    failed_over_s = None
    if condition.fails_over:
        w.wait_until_failed_over(FAILED_OVER_S)
        failed_over_s = time.monotonic() - began
    else:
        _hold(w, condition, seen, begun_before)
        condition.end(w)
    _keep(condition, detected_s, failed_over_s)


def _wait_for_diagnosis(w: Watched, condition: Condition) -> set[str]:
    """What was diagnosed on the way. A short-lived one is found in the log, too."""
    seen: set[str] = set()

    def reached() -> bool:
        diagnosis = w.status().get("diagnosis")
        if diagnosis is not None:
            seen.add(diagnosis)
        return condition.diagnosis in seen or (
            condition.fails_over and condition.diagnosis in _logged(w)
        )

    w.wait(reached, REACHED_S, f"the primary is {condition.diagnosis}")
    return seen


def _told(w: Watched, condition: Condition, since: int) -> None:
    """A diagnosis is said in the log, shown in the metrics, and explained by what was heard."""
    said = condition.said or f'"diagnosis": "{condition.diagnosis}"'
    if condition.diagnosis != "healthy":
        w.wait(lambda: said in w.daemon.log_text[since:], 10, f"the log says {said}")
    if condition.fails_over:
        return
    w.wait(
        lambda: w.lab.monitor.metric("failoverd_diagnosis", diagnosis=condition.diagnosis) == 1,
        REACHED_S,
        f"the metrics say {condition.diagnosis}",
    )
    w.wait(
        lambda: re.search(condition.detail, w.status().get("diagnosis_detail") or ""),
        REACHED_S,
        f"status says more: {condition.detail}",
    )


def _logged(w: Watched) -> set[str]:
    found = set()
    for line in w.daemon.log_text.splitlines():
        if line.startswith("{"):
            found.add(json.loads(line).get("diagnosis", ""))
    return found


def _hold(w: Watched, condition: Condition, seen: set[str], begun_before: float) -> None:
    """Three thresholds long nothing is begun, and nothing else is diagnosed than may be."""
    until = time.monotonic() + 3 * THRESHOLD_S
    committed = w.ledger.count
    again = 0
    held: set[str] = set()
    while time.monotonic() < until:
        status = w.status()
        assert status.get("state") not in ("fencing", "electing", "promoting"), status
        if status.get("diagnosis") is not None:
            held.add(status["diagnosis"])
            again += status["diagnosis"] == condition.diagnosis
        time.sleep(0.1)
    assert again, f"{condition.diagnosis} was not seen again: {held}"
    unexpected = held - {condition.diagnosis, "healthy"} - condition.also
    assert not unexpected, f"also diagnosed: {unexpected}"
    assert w.failovers_begun() == begun_before
    if not condition.roles_change:
        assert (w.pg2.data / "standby.signal").exists()
        assert not (w.pg1.data / "standby.signal").exists()
    assert not (w.pg1.data / "failoverd.guard").exists()
    if condition.serves:
        assert w.ledger.count > committed, "the application has committed nothing meanwhile"


def _keep(condition: Condition, detected_s: float, failed_over_s: float | None) -> None:
    commit = subprocess.run(
        ["git", "-C", str(ROOT), "rev-parse", "--short", "HEAD"],
        capture_output=True, text=True, check=False,
    ).stdout.strip()  # fmt: skip
    result = Result(
        condition.name, condition.diagnosis, condition.fails_over, round(detected_s, 2),
        None if failed_over_s is None else round(failed_over_s, 2),
        condition.note, datetime.now(UTC).date().isoformat(), commit,
    )  # fmt: skip
    RESULTS.mkdir(parents=True, exist_ok=True)
    name = re.sub(r"[^a-z0-9]+", "-", condition.name.lower()).strip("-")
    fields = {field: getattr(result, field) for field in Result.__slots__}
    (RESULTS / f"{name}.json").write_text(json.dumps(fields, indent=1) + "\n")
