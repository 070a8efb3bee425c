"""What anybody may ask at most: so many requests a second, so large, so long.

The Unix socket is for those who were let in by its permissions, and is not limited.
"""

from __future__ import annotations

import asyncio
from collections import OrderedDict
from collections.abc import Callable
from typing import Any

from aiohttp import web

LARGEST_BYTES = 64 * 1024
A_SECOND = 200.0
AT_ONCE = 400.0
ANSWERED_WITHIN_S = 10.0
CHECKED_WITHIN_S = 120.0
"""Every node is looked at anew, and every fence agent asked."""
ADDRESSES = 1024
STREAMS = frozenset({"/api/v1/events", "/metrics"})
"""They end by themselves: an answer that has begun cannot become another one."""


class Rate:
    """A bucket of requests for each address; those that were quiet longest are forgotten."""

    def __init__(self, monotonic: Callable[[], float]) -> None:
        self._monotonic = monotonic
        self._left: OrderedDict[str, tuple[float, float]] = OrderedDict()

    def allows(self, address: str) -> bool:
        now = self._monotonic()
        left, at = self._left.pop(address, (AT_ONCE, now))
        left = min(AT_ONCE, left + (now - at) * A_SECOND)
        allowed = left >= 1
        self._left[address] = (left - 1 if allowed else left, now)
        while len(self._left) > ADDRESSES:
            self._left.popitem(last=False)
        return allowed


def limited(monotonic: Callable[[], float]) -> Any:
    """The middleware."""
    rate = Rate(monotonic)

    @web.middleware
    async def limit(request: web.Request, handler: Any) -> web.StreamResponse:
        if not rate.allows(request.remote or ""):
            raise web.HTTPTooManyRequests(reason=f"more than {A_SECOND:.0f} requests a second")
        if request.path in STREAMS:
            streamed: web.StreamResponse = await handler(request)
            return streamed
        try:
            checked = request.path.endswith("/check")
            async with asyncio.timeout(CHECKED_WITHIN_S if checked else ANSWERED_WITHIN_S):
                answered: web.StreamResponse = await handler(request)
        except TimeoutError:
            raise web.HTTPServiceUnavailable(reason="there was no answer in time") from None
        return answered

    return limit
