"""Acts, by the Unix socket or with a token: who asked is known, and journaled."""

from __future__ import annotations

import asyncio
import json
import os
import pwd
import socket
import struct
from collections.abc import Awaitable, Callable, Mapping
from pathlib import Path
from typing import Any, Protocol

from aiohttp import web

from failoverd.config.daemon import Daemon
from failoverd.core.events import (
    Command,
    OperatorAcknowledges,
    OperatorAdopts,
    OperatorFailover,
    OperatorFences,
    OperatorPause,
    OperatorResume,
    OperatorUnfences,
    OperatorVouches,
    Trigger,
)
from failoverd.core.model import NodeName, WallTime
from failoverd.core.schedule import OperatorCancels, OperatorRejoins, OperatorSwitchover
from failoverd.daemon import clock
from failoverd.daemon.access import ASKED_BY, with_token
from failoverd.daemon.rehearsal import Order
from failoverd.observability.http import Source, application, cluster_of


class Target(Source, Protocol):
    """What may be asked of the daemon."""

    async def submit(self, cluster: str, command: Command) -> str | None: ...
    async def check(self, cluster: str) -> Mapping[str, Any]: ...
    async def reload(self, by: str) -> str | None: ...
    def rehearsal(self, cluster: str, order: Order) -> Mapping[str, Any]: ...


LONGEST_S = 100 * 365 * 86400.0
MOST_BYTES = 2**63 - 1
TARGET = web.AppKey("target", Target)
Asked = Callable[[str, dict[str, Any]], Command]


def control_application(target: Target, *middlewares: Any) -> web.Application:
    """All that may be read, and the acts."""
    app = application(target, *middlewares)
    app[TARGET] = target
    app.add_routes(
        [
            web.post("/api/v1/reload", _reload),
            web.post("/api/v1/clusters/{cluster}/rehearsal", _rehearsed),
            web.post("/api/v1/clusters/{cluster}/check", _checked),
            *(
                web.post(f"/api/v1/clusters/{{cluster}}/{verb}", _acting(command))
                for verb, command in COMMANDS.items()
            ),
        ]
    )
    return app


def tcp_application(target: Target, settings: Daemon, *limits: Any) -> web.Application:
    """Acts only where whoever asks shows a token, and nobody else can see it."""
    if settings.tls is None or settings.token_file is None:
        return application(target, *limits)
    return control_application(target, *limits, with_token(settings.token_file))


async def _rehearsed(request: web.Request) -> web.Response:
    """As the order itself, and nothing is done."""
    cluster = cluster_of(request)
    try:
        body = await _body(request)
        asked = _switchover if body.get("switchover") is True else _failover
        order = asked(_peer(request), body)
    except ValueError as error:
        return _answer(f"bad request: {error}", 400)
    return web.json_response(request.app[TARGET].rehearsal(cluster, order))


async def _checked(request: web.Request) -> web.Response:
    """Everything is looked at anew; nothing is changed."""
    return web.json_response(await request.app[TARGET].check(cluster_of(request)))


async def _body(request: web.Request) -> dict[str, Any]:
    """The JSON object that was sent, whatever it is said to be. ValueError where it is none."""
    sent = await request.read()
    if not sent:
        return {}
    try:
        body = json.loads(sent, parse_constant=_no_number)
    except RecursionError:
        raise ValueError("brackets within brackets without end") from None
    if not isinstance(body, dict):
        raise ValueError("a JSON object was expected")  # noqa: TRY004
    return body


def _no_number(word: str) -> float:
    raise ValueError(f"{word} is no number")


def _between(value: object, least: float, most: float) -> bool:
    """A number, and neither true, infinite nor beyond what can be journaled."""
    if isinstance(value, bool) or not isinstance(value, int | float):
        return False
    return least < value <= most


def _failover(by: str, body: dict[str, Any]) -> OperatorFailover:
    to, accepted = body.get("to"), body.get("accept_loss_bytes")
    if to is not None and not isinstance(to, str):
        raise ValueError("to: the name of a node")
    whole = isinstance(accepted, int) and _between(accepted, -1, MOST_BYTES)
    if accepted is not None and not whole:
        raise ValueError("accept_loss_bytes: a number of bytes")
    return OperatorFailover(Trigger.COMMAND, by, NodeName(to) if to else None, accepted)


def _pause(by: str, body: dict[str, Any]) -> Command:
    seconds = body.get("for_s")
    if seconds is None:
        return OperatorPause(by)
    if not _between(seconds, 0, LONGEST_S):
        raise ValueError("for_s: a number of seconds, at most a hundred years")
    return OperatorPause(by, WallTime(clock.wall() + seconds))


def _fenced(by: str, body: dict[str, Any]) -> Command:
    node, reason = body.get("node"), body.get("reason")
    if not isinstance(node, str) or not isinstance(reason, str) or not reason.strip():
        raise ValueError("node and reason must be given")
    return OperatorVouches(by, NodeName(node), reason)


def _switchover(by: str, body: dict[str, Any]) -> OperatorSwitchover:
    to, at, drill = body.get("to"), body.get("at"), body.get("drill", False)
    if to is not None and not isinstance(to, str):
        raise ValueError("to: the name of a node")
    now = clock.wall()
    if at is not None and not _between(at, now, now + LONGEST_S):
        raise ValueError("at: seconds since 1970, and not past")
    if not isinstance(drill, bool) or (drill and at is not None):
        raise ValueError("drill: true or false, and not at a time")
    when = None if at is None else WallTime(at)
    return OperatorSwitchover(by, NodeName(to) if to else None, when, drill)


def _node(body: dict[str, Any]) -> NodeName:
    node = body.get("node")
    if not isinstance(node, str):
        raise ValueError("node must be given")  # noqa: TRY004
    return NodeName(node)


COMMANDS: dict[str, Asked] = {
    "failover": _failover,
    "pause": _pause,
    "resume": lambda by, _: OperatorResume(by),
    "fenced": _fenced,
    "fence": lambda by, body: OperatorFences(by, _node(body)),
    "unfence": lambda by, body: OperatorUnfences(by, _node(body)),
    "adopt": lambda by, body: OperatorAdopts(by, _node(body)),
    "rejoin": lambda by, body: OperatorRejoins(by, _node(body)),
    "switchover": _switchover,
    "cancel": lambda by, _: OperatorCancels(by),
    "ack": lambda by, _: OperatorAcknowledges(by),
}


def _acting(asked: Asked) -> Callable[[web.Request], Awaitable[web.Response]]:
    async def act(request: web.Request) -> web.Response:
        cluster = cluster_of(request)
        try:
            command = asked(_peer(request), await _body(request))
        except ValueError as error:
            return _answer(f"bad request: {error}", 400)
        # Shielded: whoever waits no longer for the answer has asked for it all the same.
        return _answer(await asyncio.shield(request.app[TARGET].submit(cluster, command)))

    return act


async def _reload(request: web.Request) -> web.Response:
    return _answer(await asyncio.shield(request.app[TARGET].reload(_peer(request))))


def _answer(refused: str | None, status: int = 409) -> web.Response:
    if refused is None:
        return web.json_response({"ok": True, "message": "done"})
    return web.json_response({"ok": False, "message": refused}, status=status)


def _peer(request: web.Request) -> str:
    """Who was let in, or the user at the other end. Source: unix(7), SO_PEERCRED."""
    if ASKED_BY in request:
        return request[ASKED_BY]
    connection = request.transport.get_extra_info("socket") if request.transport else None
    if connection is None:
        return "unknown"
    size = struct.calcsize("3i")
    credentials = connection.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, size)
    _, user, _ = struct.unpack("3i", credentials)
    try:
        return pwd.getpwuid(user).pw_name
    except KeyError:
        return f"uid {user}"


async def serve_control(target: Target, path: Path) -> web.AppRunner:
    """Listen on the socket, 0660; one that a dead daemon left is removed."""
    _make_room(path)
    runner = web.AppRunner(control_application(target), access_log=None, shutdown_timeout=0.5)
    await runner.setup()
    await web.UnixSite(runner, str(path)).start()
    os.chmod(path, 0o660)  # noqa: PTH101 - not a blocking path operation by name alone
    return runner


def _make_room(path: Path) -> None:
    path.parent.mkdir(mode=0o750, parents=True, exist_ok=True)
    path.unlink(missing_ok=True)
