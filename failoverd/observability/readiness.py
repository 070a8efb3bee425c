"""Readiness and objectives: as metrics, and as the API tells them."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

from failoverd.core.judged import Verdict
from failoverd.core.objectives import Fault, Objective
from failoverd.core.readiness import NAMES, Check, failing
from failoverd.observability.series import Series


def seed_readiness(series: Series, cluster: str) -> None:
    """Every series from the start: what was not looked at yet does not fail."""
    for name in NAMES:
        series.ready_check.labels(cluster, name).set(1)
    for fault in Fault:
        series.recovery_time.labels(cluster, fault).set(math.inf)


def surveyed(
    series: Series, cluster: str, checks: tuple[Check, ...], objectives: Sequence[Objective]
) -> None:
    failed = failing(checks)
    for name in NAMES:
        series.ready_check.labels(cluster, name).set(name not in failed)
    for one in objectives:
        worst_s = math.inf if one.worst_s is None else one.worst_s
        series.recovery_time.labels(cluster, one.fault).set(worst_s)


def readiness_document(
    checks: tuple[Check, ...], objectives: Sequence[Objective], seen_s_ago: float | None
) -> dict[str, Any]:
    """JSON-able."""
    return {
        "ready": None if not checks else not failing(checks),
        "seen_s_ago": seen_s_ago,
        "checks": [
            {
                "check": one.name,
                "node": one.node,
                "verdict": str(one.verdict),
                "sentence": one.sentence,
                "fix": one.fix,
            }
            for one in checks
        ],
        "objectives": [
            {
                "fault": str(one.fault),
                "worst_s": one.worst_s,
                "by": one.by,
                "sentence": one.sentence,
            }
            for one in objectives
        ],
    }


def changes(before: tuple[Check, ...], after: tuple[Check, ...]) -> list[tuple[Verdict, str]]:
    """What is worse or better than at the last look, a sentence each."""
    known = {(one.name, one.node): one.verdict for one in before}
    told: list[tuple[Verdict, str]] = []
    for one in after:
        was = known.get((one.name, one.node), Verdict.PASS)
        if was is one.verdict or Verdict.UNKNOWN in (was, one.verdict):
            continue
        where = f"{one.node}: " if one.node else ""
        fix = f"; to mend it: {one.fix}" if one.fix else ""
        told.append(
            (one.verdict, f"readiness: {where}{one.name} {one.verdict}: {one.sentence}{fix}")
        )
    return told
