"""The read-only HTTP interface: metrics, health, API, checks for load balancers."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from typing import Any, Protocol

from aiohttp import web

MANY_CLUSTERS = 10
"""Above this, an exposition takes longer than the event loop should wait."""


class Source(Protocol):
    """What may be seen of the daemon."""

    def clusters(self) -> Sequence[str]: ...
    def status(self, cluster: str) -> Mapping[str, Any]: ...
    def ready(self, cluster: str) -> bool: ...
    def metrics(self) -> bytes: ...
    def incidents(self, cluster: str) -> Sequence[Mapping[str, Any]]: ...
    def incident(self, cluster: str, epoch: int) -> Mapping[str, Any] | None: ...
    def incident_report(self, cluster: str, epoch: int) -> str | None: ...


SOURCE = web.AppKey("source", Source)


def application(source: Source) -> web.Application:
    """Everything that may be read."""
    app = web.Application(middlewares=[_errors])
    app[SOURCE] = source
    app.add_routes(
        [
            web.get("/", _index),
            web.get("/metrics", _metrics),
            web.get("/healthz", _health),
            web.get("/readyz", _ready),
            web.get("/api/v1/clusters", _clusters),
            web.get("/api/v1/clusters/{cluster}", _cluster),
            web.get("/api/v1/clusters/{cluster}/incidents", _incidents),
            web.get("/api/v1/clusters/{cluster}/incidents/{epoch}", _incident),
            web.get("/clusters/{cluster}/nodes/{node}/{role:primary|replica}", _role),
            web.get("/{role:primary|replica}/{node}", _role),
        ]
    )
    return app


@web.middleware
async def _errors(request: web.Request, handler: Any) -> web.StreamResponse:
    """Errors are JSON, too."""
    try:
        response: web.StreamResponse = await handler(request)
    except web.HTTPException as error:
        if error.status < 400:
            raise
        return web.json_response({"ok": False, "message": error.reason}, status=error.status)
    return response


def cluster_of(request: web.Request) -> str:
    """The cluster that a path names, or the only one. 404 where there is no such."""
    known = list(request.app[SOURCE].clusters())
    name = request.match_info.get("cluster")
    if name is None and len(known) == 1:
        return known[0]
    if name not in known:
        raise web.HTTPNotFound(reason=f"no such cluster; one of {', '.join(known)}")
    return name


async def _index(request: web.Request) -> web.Response:
    lines = ["failoverd", "", "GET /metrics /healthz /readyz /api/v1/clusters", ""]
    for name in request.app[SOURCE].clusters():
        status = request.app[SOURCE].status(name)
        lines.append(f"{name}: {status['state']}: {status['sentence']}")
    return web.Response(text="\n".join(lines) + "\n")


async def _metrics(request: web.Request) -> web.Response:
    source = request.app[SOURCE]
    many = len(source.clusters()) > MANY_CLUSTERS
    body = await asyncio.to_thread(source.metrics) if many else source.metrics()
    return web.Response(body=body, headers={"Content-Type": "text/plain; version=0.0.4"})


async def _health(_: web.Request) -> web.Response:
    return web.json_response({"ok": True})


async def _ready(request: web.Request) -> web.Response:
    source = request.app[SOURCE]
    ready = {name: source.ready(name) for name in source.clusters()}
    ok = all(ready.values())
    return web.json_response({"ok": ok, "clusters": ready}, status=200 if ok else 503)


async def _clusters(request: web.Request) -> web.Response:
    source = request.app[SOURCE]
    return web.json_response({"clusters": [source.status(name) for name in source.clusters()]})


async def _cluster(request: web.Request) -> web.Response:
    return web.json_response(request.app[SOURCE].status(cluster_of(request)))


async def _incidents(request: web.Request) -> web.Response:
    found = request.app[SOURCE].incidents(cluster_of(request))
    return web.json_response({"incidents": list(found)})


async def _incident(request: web.Request) -> web.Response:
    cluster, text = cluster_of(request), request.match_info["epoch"]
    if not text.isdecimal():
        raise web.HTTPNotFound(reason="an incident has a number")
    if request.query.get("format") == "markdown":
        markdown = request.app[SOURCE].incident_report(cluster, int(text))
        if markdown is not None:
            return web.Response(text=markdown, content_type="text/markdown")
    found = request.app[SOURCE].incident(cluster, int(text))
    if found is None:
        raise web.HTTPNotFound(reason=f"there is no incident {text}")
    return web.json_response(found)


async def _role(request: web.Request) -> web.Response:
    """200 or 503, for load balancers: see docs/operation.md before using it for a primary."""
    status = request.app[SOURCE].status(cluster_of(request))
    node = status["nodes"].get(request.match_info["node"])
    if node is None:
        raise web.HTTPNotFound(reason=f"one of {', '.join(sorted(status['nodes']))}")
    if request.match_info["role"] == "primary":
        ok = node["expected_primary"] and node["role"] == "primary" and node["job"] == "ok"
    else:
        ok = node["role"] == "standby" and node["receiver"] == "streaming"
    return web.json_response({"ok": bool(ok)}, status=200 if ok else 503)
