"""The read-only HTTP interface: metrics, health, API, checks for load balancers."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Collection, Iterable, Iterator, Mapping, Sequence
from typing import Any, Protocol, TypeVar

from aiohttp import web

from failoverd.observability.limits import LARGEST_BYTES
from failoverd.observability.live import Live
from failoverd.observability.page import MANY_CLUSTERS, POLICY, Shown, page
from failoverd.observability.report import Number
from failoverd.observability.stream import LIVE, events

DIGITS = 18
TOLD = ("Allow", "WWW-Authenticate")
"""Headers that belong to an error. Source: RFC 9110, 15.5."""


T = TypeVar("T")


class Source(Protocol):
    """What may be seen of the daemon."""

    def clusters(self) -> Sequence[str]: ...
    def status(self, cluster: str) -> Mapping[str, Any]: ...
    def ready(self, cluster: str) -> bool: ...
    def metrics(self, wanted: Collection[str]) -> Iterator[bytes]:
        """Those of these names, or all; in parts, between which the loop may do something else."""
        ...

    @property
    def live(self) -> Live: ...
    def incidents(self, cluster: str) -> Sequence[Mapping[str, Any]]: ...
    def incident(self, cluster: str, number: Number) -> Mapping[str, Any] | None: ...
    def incident_report(self, cluster: str, number: Number, form: str) -> str | None: ...
    def explained(self, cluster: str, number: Number) -> Mapping[str, Any] | None: ...
    def explained_in_words(self, cluster: str, number: Number) -> str | None: ...


TAKEN_WITHIN_S = 60.0
"""Whoever asks for the metrics and takes them more slowly is let go."""
TURN_S = 0.005
"""So long it is told before whatever else is due. With pauses in between, a loop that is busy with
the polls of a thousand clusters would not come to its end in a minute."""
SOURCE = web.AppKey("source", Source)


def application(source: Source, *middlewares: Any) -> web.Application:
    """Everything that may be read; `middlewares`: what may be asked at most."""
    app = web.Application(middlewares=[_errors, *middlewares], client_max_size=LARGEST_BYTES)
    app[SOURCE] = source
    app[LIVE] = source.live
    app.on_shutdown.append(_let_listeners_go)
    app.add_routes(
        [
            web.get("/", _index),
            web.get("/metrics", _metrics),
            web.get("/healthz", _health),
            web.get("/readyz", _ready),
            web.get("/api/v1/events", events),
            web.get("/api/v1/clusters", _clusters),
            web.get("/api/v1/clusters/{cluster}", _cluster),
            web.get("/api/v1/clusters/{cluster}/incidents", _incidents),
            web.get("/api/v1/clusters/{cluster}/incidents/{number}", _incident),
            web.get("/api/v1/clusters/{cluster}/incidents/{number}/explanation", _explanation),
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
        said = {"ok": False, "message": error.reason}
        kept = {name: error.headers[name] for name in TOLD if name in error.headers}
        return web.json_response(said, status=error.status, headers=kept)
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


async def _let_listeners_go(app: web.Application) -> None:
    app[LIVE].close()


async def _index(request: web.Request) -> web.Response:
    """The status page: of all clusters, or of the one that is named."""
    source, wanted = request.app[SOURCE], request.query.get("cluster")
    names = [name for name in source.clusters() if wanted in (None, name)]
    if not names:
        raise web.HTTPNotFound(reason=f"no such cluster; one of {', '.join(source.clusters())}")
    told = {}
    if len(names) <= MANY_CLUSTERS:
        told = {name: await asyncio.to_thread(source.incidents, name) for name in names}
    known = frozenset(source.clusters())  # a reload may have come in between
    shown = [Shown(source.status(n), told.get(n, ())) for n in names if n in known]
    happened = [one.told for one in source.live.recent() if one.told["cluster"] in names]
    headers = {"Content-Security-Policy": POLICY, "Cache-Control": "no-store"}
    return web.Response(text=page(shown, happened), content_type="text/html", headers=headers)


async def _metrics(request: web.Request) -> web.StreamResponse:
    """All, or those that `name[]` asks for, as Prometheus' own libraries have it."""
    wanted = frozenset(request.query.getall("name[]", ()))
    answer = web.StreamResponse(headers={"Content-Type": "text/plain; version=0.0.4"})
    await answer.prepare(request)
    try:
        async with asyncio.timeout(TAKEN_WITHIN_S):
            async for part in _in_turns(request.app[SOURCE].metrics(wanted)):
                await answer.write(part)
            await answer.write_eof()
    except TimeoutError:
        if request.transport is not None:
            request.transport.abort()
    return answer


async def _in_turns(parts: Iterable[T]) -> AsyncIterator[T]:
    """Of many parts; whatever else is due comes in between."""
    clock = asyncio.get_running_loop().time
    turn_ends = clock() + TURN_S
    for part in parts:
        yield part
        if clock() >= turn_ends:
            await asyncio.sleep(0)
            turn_ends = clock() + TURN_S


async def _health(_: web.Request) -> web.Response:
    return web.json_response({"ok": True})


async def _ready(request: web.Request) -> web.Response:
    source = request.app[SOURCE]
    ready = {name: source.ready(name) for name in source.clusters()}
    ok = all(ready.values())
    return web.json_response({"ok": ok, "clusters": ready}, status=200 if ok else 503)


async def _clusters(request: web.Request) -> web.Response:
    told = [one async for one in _in_turns(_statuses(request.app[SOURCE]))]
    return web.Response(
        text=f'{{"clusters": [{", ".join(told)}]}}', content_type="application/json"
    )


def _statuses(source: Source) -> Iterator[str]:
    """Of all clusters, each as JSON; a reload may come in between."""
    for name in list(source.clusters()):
        if name in source.clusters():
            yield json.dumps(source.status(name))


async def _cluster(request: web.Request) -> web.Response:
    return web.json_response(request.app[SOURCE].status(cluster_of(request)))


async def _incidents(request: web.Request) -> web.Response:
    cluster = cluster_of(request)
    found = await asyncio.to_thread(request.app[SOURCE].incidents, cluster)
    return web.json_response({"incidents": list(found)})


_FORMS = {"markdown": "text/markdown", "svg": "image/svg+xml"}


async def _incident(request: web.Request) -> web.Response:
    source, cluster = request.app[SOURCE], cluster_of(request)
    number = _number(request.match_info["number"])
    form = request.query.get("format", "json")
    if form in _FORMS:
        text = await asyncio.to_thread(source.incident_report, cluster, number, form)
        if text is not None:
            return web.Response(text=text, content_type=_FORMS[form])
    found = await asyncio.to_thread(source.incident, cluster, number)
    return _found(number, found)


async def _explanation(request: web.Request) -> web.Response:
    """Off the loop: every decision of the incident is made again."""
    cluster, source = cluster_of(request), request.app[SOURCE]
    number = _number(request.match_info["number"])
    if request.query.get("format") == "text":
        words = await asyncio.to_thread(source.explained_in_words, cluster, number)
        if words is not None:
            return web.Response(text=words)
    return _found(number, await asyncio.to_thread(source.explained, cluster, number))


def _found(number: Number, document: Mapping[str, Any] | None) -> web.Response:
    if document is None:
        raise web.HTTPNotFound(reason=f"there is no incident {number}")
    return web.json_response(document)


def _number(text: str) -> Number:
    if text.isdecimal() and len(text) < DIGITS:
        return int(text)
    if text[:1] == "s" and text[1:].isdecimal() and len(text) < DIGITS:
        return text
    raise web.HTTPNotFound(reason="an incident has a number, what never became one s and a number")


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
