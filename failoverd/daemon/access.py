"""Over TCP, who acts has the token. What is wrong with it is told to nobody but the log."""

from __future__ import annotations

import asyncio
import hmac
from pathlib import Path
from typing import Any

from aiohttp import hdrs, web

from failoverd.config.access import token_of
from failoverd.observability import log

ASKED_BY = web.RequestKey("asked_by", str)
"""Who acts, where that is not to be told from the socket."""
READING = frozenset({hdrs.METH_GET, hdrs.METH_HEAD})
SCHEME = "Bearer "


def with_token(file: Path) -> Any:
    """The middleware. The token is read at each use, so that a new one needs no restart."""

    @web.middleware
    async def admit(request: web.Request, handler: Any) -> web.StreamResponse:
        if request.method not in READING:
            await _admitted(request, file)
        answered: web.StreamResponse = await handler(request)
        return answered

    return admit


async def _admitted(request: web.Request, file: Path) -> None:
    """Refusals are not in the audit log: whoever floods it would push out what was done."""
    try:
        token = await asyncio.to_thread(token_of, file)
    except ValueError as error:
        log.logger().error(f"nobody can act over TCP: {error}")
        raise web.HTTPServiceUnavailable(reason="the token cannot be read here") from None
    said = request.headers.get(hdrs.AUTHORIZATION, "")
    scheme, given = said[: len(SCHEME)], said[len(SCHEME) :].strip()
    right = hmac.compare_digest(given.encode(errors="surrogateescape"), token)
    if scheme.lower() != SCHEME.lower() or not right:
        why = "a wrong token" if given else "no token"
        log.logger().warning(f"refused: somebody at {request.remote} asked to act with {why}")
        raise web.HTTPUnauthorized(
            reason="acts need Authorization: Bearer and the token",
            headers={hdrs.WWW_AUTHENTICATE: "Bearer"},
        )
    request[ASKED_BY] = f"{file.name} from {request.remote}"
