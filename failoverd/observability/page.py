"""The status page: one document that is whole without JavaScript, and stays fresh with it."""

from __future__ import annotations

import base64
import hashlib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from html import escape
from importlib.resources import files
from typing import Any

from failoverd import __version__

MANY_CLUSTERS = 10
SHOWN_EVENTS = 50
SHOWN_INCIDENTS = 20
_GRAVE = frozenset({"blocked", "reverting"})
_WARN = frozenset({"suspect", "paused", "starting"})

Status = Mapping[str, Any]


def _own(name: str) -> str:
    return files("failoverd.observability").joinpath(name).read_text(encoding="utf-8")


STYLE, SCRIPT = _own("page.css"), _own("page.js")


def _digest(text: str) -> str:
    return "'sha256-" + base64.b64encode(hashlib.sha256(text.encode()).digest()).decode() + "'"


POLICY = (
    f"default-src 'none'; style-src {_digest(STYLE)}; script-src {_digest(SCRIPT)};"
    " connect-src 'self'; img-src 'self'; base-uri 'none'; form-action 'none';"
    " frame-ancestors 'none'"
)
"""Nothing from elsewhere is loaded, and nothing that a server said can run."""


@dataclass(frozen=True, slots=True)
class Shown:
    """One cluster, with its incidents, newest first."""

    status: Status
    incidents: Sequence[Mapping[str, Any]]


def page(clusters: Sequence[Shown], events: Sequence[Mapping[str, Any]]) -> str:
    """`events`: oldest first."""
    short = len(clusters) > MANY_CLUSTERS
    body = _overview(clusters) if short else "".join(_cluster(one) for one in clusters)
    return "".join(
        (
            '<!DOCTYPE html>\n<html lang="en"><head><meta charset="utf-8">',
            '<meta name="viewport" content="width=device-width, initial-scale=1">',
            '<noscript><meta http-equiv="refresh" content="10"></noscript>',
            f"<title>{escape(_title(clusters))}</title><style>{STYLE}</style></head><body>",
            '<a class="skip" href="#main">To the clusters</a>',
            f"<header><h1>failoverd</h1><span class=soft>{escape(__version__)}</span>",
            '<span id="link" role="status"></span></header>',
            f'<main id="main">{body}',
            '<section id="events" aria-labelledby="events-heading">',
            '<h2 id="events-heading">Events</h2>',
            _events(events),
            f"</section></main><script>{SCRIPT}</script></body></html>\n",
        )
    )


def _title(clusters: Sequence[Shown]) -> str:
    """What a browser's tab shows: the worst first."""
    states = [str(one.status["state"]) for one in clusters]
    bad = [f"{one.status['cluster']} {one.status['state']}" for one in clusters
           if one.status["state"] != "watching"]  # fmt: skip
    return f"{', '.join(bad[:3])} - failoverd" if bad else f"{len(states)} watched - failoverd"


def _kind(state: str) -> str:
    return "grave" if state in _GRAVE else "warn" if state in _WARN else ""


def _badge(status: Status) -> str:
    state = status["state"]
    well = state == "watching" and status["diagnosis"] == "healthy"
    return f'<span class="state {"good" if well else _kind(state)}">{escape(state)}</span>'


def _overview(clusters: Sequence[Shown]) -> str:
    rows = "".join(
        f'<tr><td data-name="cluster"><a href="/?cluster={escape(one.status["cluster"])}">'
        f"{escape(one.status['cluster'])}</a></td>"
        f'<td data-name="state">{_badge(one.status)}</td>'
        f'<td data-name="primary">{escape(one.status["primary"] or "not known")}</td>'
        f'<td data-name="says">{escape(one.status["sentence"])}</td></tr>'
        for one in clusters
    )
    head = "<thead><tr><th>Cluster</th><th>State</th><th>Primary</th><th></th></tr></thead>"
    return (
        '<article id="overview" data-live><h2>Clusters</h2><div class="wide"><table>'
        f"{head}<tbody>{rows}</tbody></table></div></article>"
    )


def _leadership(known: Mapping[str, Any]) -> Iterator[str]:
    """Which of several daemons acts; nothing where there is but one."""
    if known.get("sentence"):
        yield f'<p data-name="leadership">{escape(known["sentence"])}</p>'


def _cluster(one: Shown) -> str:
    status = one.status
    name = escape(status["cluster"])
    return "".join(
        (
            f'<article id="cluster-{name}" data-live aria-labelledby="heading-{name}">',
            f'<h2 id="heading-{name}">{name} {_badge(status)}</h2>',
            f"<p>{escape(status['sentence'])}</p>",
            *_leadership(status.get("leadership") or {}),
            *_trouble(status),
            "<h3>Who streams from whom</h3>",
            _topology(status),
            _nodes(status),
            "<h3>If the primary died now</h3>",
            *_outlook(status),
            "<h3>Incidents</h3>",
            *_incidents(status["cluster"], one.incidents),
            "</article>",
        )
    )


def _trouble(status: Status) -> Iterator[str]:
    if status["diagnosis"] not in (None, "healthy"):
        said = f"{status['diagnosis']}: {status['diagnosis_sentence']} {status['diagnosis_detail']}"
        yield f'<div class="box warn">{escape(said)}</div>'
    blocked = status["blocked"]
    if blocked is not None:
        reason = escape(blocked["reason"])
        yield f'<div class="box" role="alert"><strong>Blocked ({reason})</strong>: '
        yield escape(blocked["why"])
        if blocked["advice"]:
            yield f"<br>What to do: <code>{escape(blocked['advice'])}</code>"
        yield "</div>"
    if status["split_brain"]:
        yield '<div class="box" role="alert"><strong>Two nodes take writes.</strong></div>'


def _topology(status: Status) -> str:
    """The primary, under it who follows it, and so on; who follows nobody stands beside."""
    nodes: Mapping[str, Mapping[str, Any]] = status["nodes"]
    below: dict[str | None, list[str]] = {}
    for name, node in nodes.items():
        upstream = node["follows"] if node["follows"] in nodes else None
        below.setdefault(upstream, []).append(name)

    def branch(upstream: str | None, above: frozenset[str]) -> str:
        names = [name for name in below.get(upstream, []) if name not in above]
        items = "".join(f"<li>{_leaf(n, nodes[n])}{branch(n, above | {n})}</li>" for n in names)
        return f"<ul>{items}</ul>" if items else ""

    return branch(None, frozenset()).replace("<ul>", '<ul class="tree">', 1)


def _leaf(name: str, node: Mapping[str, Any]) -> str:
    role = "primary" if node["expected_primary"] else node["role"]
    lag = "" if node["lag_bytes"] is None else f", {_bytes(node['lag_bytes'])} behind"
    how = f", {node['receiver']}" if node["receiver"] else ""
    return f"<strong>{escape(name)}</strong> {escape(f'{role}{how}{lag}')}"


_COLUMNS = ("Node", "Role", "Timeline", "Position", "Lag", "SQL", "Host", "Owed")


def _nodes(status: Status) -> str:
    rows = []
    for name, node in status["nodes"].items():
        lag = "" if node["lag_bytes"] is None else _bytes(node["lag_bytes"])
        owed = "" if node["job"] == "ok" else f"{node['job']} {node['job_detail']}"
        host = node["host"] if node["calibrated"] else f"{node['host']} (not calibrated)"
        cells = (
            name, node["role"], node["timeline"] or "", node["lsn"] or "", lag, node["fresh"],
            host, owed,
        )  # fmt: skip
        rows.append(
            "<tr>"
            + "".join(
                f'<td data-name="{column}">{escape(str(cell))}</td>'
                for column, cell in zip(_COLUMNS, cells, strict=True)
            )
            + "</tr>"
        )
    head = "".join(f'<th scope="col">{column}</th>' for column in _COLUMNS)
    return (
        '<div class="wide"><table><caption>Nodes, as last seen</caption>'
        f"<thead><tr>{head}</tr></thead><tbody>{''.join(rows)}</tbody></table></div>"
    )


def _outlook(status: Status) -> Iterator[str]:
    outlook = status["outlook"]
    yield f"<p>{escape(outlook['would'])} ({escape(outlook['why'])})</p>"
    if outlook["obstacles"]:
        items = "".join(f"<li>{escape(one)}</li>" for one in outlook["obstacles"])
        yield f'<div class="box warn">In the way of an automatic failover:<ul>{items}</ul></div>'

    yield from _readiness(status.get("readiness"))


def _readiness(readiness: Mapping[str, Any] | None) -> Iterator[str]:
    """What does not pass, with its fix; and how long an outage may be at worst."""
    if readiness is None or readiness["ready"] is None:
        return
    failed = [one for one in readiness["checks"] if one["verdict"] in ("warn", "fail")]
    passed = sum(one["verdict"] == "pass" for one in readiness["checks"])
    yield f"<h3>Readiness</h3><p>{passed} checks pass"
    yield f", {len(failed)} do not.</p><ul>" if failed else ".</p><ul>"
    for one in failed:
        where = f"{one['node']}: " if one["node"] else ""
        lines = "".join(f"<br><code>{escape(line)}</code>" for line in one["fix"].splitlines())
        fix = f"<br>To mend it:{lines}" if lines else ""
        said = escape(f"{one['verdict']}: {where}{one['sentence']}")
        yield f"<li>{said}{fix}</li>"
    for one in readiness["objectives"]:
        yield f"<li>{escape(one['sentence'])}</li>"
    yield "</ul>"


def _incidents(cluster: str, incidents: Sequence[Mapping[str, Any]]) -> Iterator[str]:
    if not incidents:
        yield "<p>Nothing has happened yet.</p>"
        return
    yield '<ul class="incidents">'
    for one in incidents[:SHOWN_INCIDENTS]:
        where = f"/api/v1/clusters/{cluster}/incidents/{one['id']}"
        key = escape(f"{cluster}-{one['id']}")
        about = f"{one['id']} {one['outcome']} {one['diagnosis']}"
        yield (
            f'<li><details id="incident-{key}"><summary id="summary-{key}">'
            f'<time datetime="{one["began"]}">{escape(one["began"][:19])}</time>'
            f" {escape(about)}</summary>"
            f"<p>{escape(one['sentence'])}</p>"
            f'<p><a id="report-{key}" href="{escape(where)}?format=markdown">Report</a></p>'
            f'<a id="picture-{key}" href="{escape(where)}?format=svg">'
            f'<img loading="lazy" src="{escape(where)}?format=svg"'
            f' alt="The course of {escape(about)} as a picture; the report tells it in words">'
            "</a></details></li>"
        )
    yield "</ul>"


def _events(events: Sequence[Mapping[str, Any]]) -> str:
    items = "".join(
        f'<li><span class="soft"><time datetime="{one["at"]}">{escape(one["at"][11:23])}</time>'
        f" {escape(one['cluster'])} {escape(one['state'])}</span> {escape(one['sentence'])}</li>"
        for one in reversed(events[-SHOWN_EVENTS:])
    )
    empty = "" if items else '<p class="soft">Nothing has happened since the start.</p>'
    return (
        f'<div id="event-list" data-live>{empty}<ol class="events" tabindex="0" aria-live="polite"'
        f' aria-label="Events, newest first">{items}</ol></div>'
    )


def _bytes(number: int) -> str:
    for unit, size in (("GB", 1 << 30), ("MB", 1 << 20), ("kB", 1 << 10)):
        if number >= size:
            return f"{number / size:.1f} {unit}"
    return f"{number} B"
