"""`/api/v1/events`: what happens, as server-sent events, or the last ones as JSON."""

from __future__ import annotations

import asyncio
import json

from aiohttp import web

from failoverd.observability.live import Happened, Live, TooManyListeners

LIVE = web.AppKey("live", Live)
HEARTBEAT_S = 15.0
RETRY_MS = 1000
LONGEST_NUMBER = 20


async def events(request: web.Request) -> web.StreamResponse:
    """A browser that was cut off says which event it had last, and gets what it has missed."""
    live = request.app[LIVE]
    if "application/json" in request.headers.get("Accept", ""):
        return web.json_response({"events": [_as_json(one) for one in live.recent()]})
    response = web.StreamResponse(
        headers={"Content-Type": "text/event-stream", "Cache-Control": "no-store"}
    )
    try:
        with live.listening() as queue:
            await response.prepare(request)
            await response.write(f"retry: {RETRY_MS}\n\n".encode())
            last = _last_event(request)
            for happened in live.recent(last) if last else ():
                await response.write(_as_event(happened))
            while True:
                try:
                    async with asyncio.timeout(HEARTBEAT_S):
                        next_one = await queue.get()
                except TimeoutError:
                    await response.write(b": well\n\n")
                    continue
                if next_one is None:
                    break
                await response.write(_as_event(next_one))
    except TooManyListeners:
        raise web.HTTPServiceUnavailable(reason="too many listen already") from None
    except ConnectionError:
        pass
    return response


def _last_event(request: web.Request) -> int:
    text = request.headers.get("Last-Event-ID", "")
    return int(text) if text.isdecimal() and len(text) < LONGEST_NUMBER else 0


def _as_json(happened: Happened) -> dict[str, object]:
    return {"id": happened.number, **happened.told}


def _as_event(happened: Happened) -> bytes:
    return f"id: {happened.number}\nevent: step\ndata: {json.dumps(happened.told)}\n\n".encode()
