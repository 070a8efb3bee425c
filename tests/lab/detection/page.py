"""The table of docs/detection.md, from the results of the runs: a row that was not run is absent.

python -m tests.lab.detection.page
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import Any

from tests.lab.detection.trial import RESULTS, ROOT

PAGE = ROOT / "docs" / "detection.md"
BEGIN, END = "<!-- conditions: begin -->", "<!-- conditions: end -->"


def results() -> Sequence[Mapping[str, Any]]:
    """Failovers last; within each half by diagnosis, then by name."""
    found = [json.loads(file.read_text()) for file in sorted(RESULTS.glob("*.json"))]
    return sorted(found, key=lambda one: (one["fails_over"], one["diagnosis"], one["condition"]))


def table(rows: Sequence[Mapping[str, Any]]) -> str:
    quiet = sum(not row["fails_over"] for row in rows)
    dates = sorted({row["date"] for row in rows})
    commits = sorted({row["commit"] for row in rows})
    lines = [
        f"{len(rows)} conditions, {quiet} of which must not fail over and were held for three",
        f"thresholds. Run {' to '.join(dict.fromkeys((dates[0], dates[-1])))}, at commit "
        f"{', '.join(commits)}, by `make detection`.",
        "",
        "| condition | diagnosis | seen after | failover |",
        "|---|---|---|---|",
    ]
    for row in rows:
        over = f"yes, done after {row['failed_over_s']:.1f} s" if row["fails_over"] else "no"
        note = f" ({row['note']})" if row["note"] else ""
        what = f"{row['condition']}{note} | `{row['diagnosis']}`"
        lines.append(f"| {what} | {row['detected_s']:.1f} s | {over} |")
    return "\n".join(lines)


def main() -> None:
    text = PAGE.read_text()
    before, _, rest = text.partition(BEGIN)
    _, _, after = rest.partition(END)
    PAGE.write_text(f"{before}{BEGIN}\n{table(results())}\n{END}{after}")


if __name__ == "__main__":
    main()
