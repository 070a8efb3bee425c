"""The status of a cluster, as a tired person reads it."""

from __future__ import annotations

from typing import Any


def status_screen(status: dict[str, Any]) -> str:
    """State first, then what stands in the way, then each node, then what would be done."""
    blocked = status["blocked"]
    lines = [
        f"cluster {status['cluster']}: {status['state'].upper()}  ({_ago(status['since_s'])})",
        f"  {blocked['why'] if blocked else status['sentence']}",
    ]
    leadership = status.get("leadership") or {}
    if leadership.get("sentence"):
        lines.append(f"  {leadership['sentence']}")
    if status["diagnosis"]:
        primary = status["primary"] or "not known"
        where = f" (timeline {status['timeline']})" if status["timeline"] else ""
        said = f"{status['diagnosis']}: {status['diagnosis_sentence']}"
        lines.append(f"  primary {primary}{where} is {said}")
        if status["diagnosis_detail"]:
            lines.append(f"    {status['diagnosis_detail']}")
    if blocked:
        lines.append(f"  blocked by {blocked['reason']}; tried again in {blocked['retry_in_s']} s")
        if blocked["advice"]:
            lines.append(f"  what to do: {blocked['advice']}")
    lines += ["", *_nodes(status), *_jobs(status), *_targets(status), ""]
    lines += _planned(status)
    outlook = status["outlook"]
    lines.append(f"if the primary died now: {outlook['would']} ({outlook['why']})")
    lines += [f"  in the way: {obstacle}" for obstacle in outlook["obstacles"]]
    lines += _dead_man(status["dead_man"])
    lines += _readiness(status.get("readiness"))
    return "\n".join(lines)


def _readiness(known: dict[str, Any] | None) -> list[str]:
    """What fails and warns, and the worst case of each kind of fault."""
    if known is None or known["ready"] is None:
        return []
    named = {
        verdict: sorted({one["check"] for one in known["checks"] if one["verdict"] == verdict})
        for verdict in ("fail", "warn")
    }
    told = [f"{verdict}: {', '.join(names)}" for verdict, names in named.items() if names]
    said = f"{'; '.join(told)} (failoverd check)" if told else "every check passes"
    bounds = [
        f"{one['fault']} {one['worst_s']:.1f} s" if one["worst_s"] is not None
        else f"{one['fault']} not covered"
        for one in known["objectives"]
    ]  # fmt: skip
    return [f"readiness: {said}", f"worst case of an outage: {', '.join(bounds)}"]


def _dead_man(armed: dict[str, Any] | None) -> list[str]:
    if armed is None:
        return []
    if armed["armed"]:
        asked = " and ".join(armed["standbys"])
        return [f"dead-man: armed on {armed['node']}, asks {asked} before it fires"]
    return [f"dead-man: not armed ({armed['why']})"]


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


def _targets(status: dict[str, Any]) -> list[str]:
    """The applications' ways, as soon as there are any."""
    lines = []
    for name, one in status.get("targets", {}).items():
        where = f"leads to {' and '.join(one['leads_to']) or 'nobody'}"
        lines.append(f"  {name} {where if one['reached'] is not False else 'cannot be asked'}")
        if one["owed"] or one["reached"] is False:
            lines.append(f"    {one['sentence']}")
        if one["owed"] and one["retry_in_s"] is not None:
            lines.append(f"    tried {one['failures']} times, again in {one['retry_in_s']} s")
    return ["", "applications:", *lines] if lines else []


def _jobs(status: dict[str, Any]) -> list[str]:
    said = [node["job_detail"] for node in status["nodes"].values()]
    return [f"  {words}" for words in said if words]


def _planned(status: dict[str, Any]) -> list[str]:
    plan = status["scheduled"]
    if plan is None:
        return [status["plan_ended"]] if status["plan_ended"] else []
    if plan["kind"] == "drill":
        return [f"a drill is under way, asked for by {plan['by']}: {plan['home']} is home"]
    target = plan["to"] or "the best standby"
    return [f"a switchover to {target} begins in {plan['in_s']:.0f} s, as {plan['by']} asked"]


def _ago(seconds: float) -> str:
    if seconds < 90:
        return f"for {seconds:.0f} s"
    return f"for {seconds / 60:.0f} min" if seconds < 5400 else f"for {seconds / 3600:.1f} h"
