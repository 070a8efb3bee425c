"""The status of a cluster, as a tired person reads it."""

from __future__ import annotations

from typing import Any


def status_screen(status: dict[str, Any]) -> str:
    """State first, then what stands in the way, then each node, then what would be done."""
    lines = [
        f"cluster {status['cluster']}: {status['state'].upper()}  ({_ago(status['since_s'])})",
        f"  {status['sentence']}",
    ]
    if status["diagnosis"]:
        lines.append(f"  primary is {status['diagnosis']}: {status['diagnosis_sentence']}")
    blocked = status["blocked"]
    if blocked:
        lines.append(f"  blocked by {blocked['reason']}; asked again in {blocked['retry_in_s']} s")
        if blocked["advice"]:
            lines.append(f"  what to do: {blocked['advice']}")
    lines += ["", *_nodes(status), ""]
    outlook = status["outlook"]
    lines.append(f"if the primary died now: {outlook['would']} ({outlook['why']})")
    lines += [f"  in the way: {obstacle}" for obstacle in outlook["obstacles"]]
    return "\n".join(lines)


def _nodes(status: dict[str, Any]) -> list[str]:
    rows = [("NODE", "ROLE", "TIMELINE", "LSN", "LAG", "SQL", "HOST", "JOB")]
    for name, node in status["nodes"].items():
        marked = f"{name}*" if node["expected_primary"] else name
        lag = "" if node["lag_bytes"] is None else f"{node['lag_bytes']} B"
        host = node["host"] if node["calibrated"] else f"{node['host']} (not calibrated)"
        rows.append(
            (
                marked,
                node["role"],
                str(node["timeline"] or ""),
                node["lsn"] or "",
                lag,
                node["fresh"],
                host,
                node["job"],
            )
        )
    widths = [max(len(row[column]) for row in rows) for column in range(len(rows[0]))]
    return [
        "  "
        + "  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip()
        for row in rows
    ]


def _ago(seconds: float) -> str:
    if seconds < 90:
        return f"for {seconds:.0f} s"
    return f"for {seconds / 60:.0f} min" if seconds < 5400 else f"for {seconds / 3600:.1f} h"
