"""The TCP port: so many connections, and no more, and none that says nothing.

Each costs a file descriptor, and without descriptors nothing could be watched: whoever comes
when there are enough is let go at once. Those count, too, whose TLS handshake is under way.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import socket
import ssl

from aiohttp import web

CONNECTIONS = 256
SILENT_S = 30.0
"""Between requests, and for the whole head of one. Longer than the pause between two scrapes."""
HANDSHAKE_S = 10.0


class _Arriving(asyncio.Protocol):
    """Whoever has just come: let go, served, or asked for a TLS handshake.

    It is decided here and not when asyncio accepts: that takes many at once before it tells of one.
    """

    def __init__(
        self, server: web.Server, tls: ssl.SSLContext | None, under_way: set[object]
    ) -> None:
        self._server = server
        self._tls = tls
        self._under_way = under_way

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        if len(self._server.connections) + len(self._under_way) >= CONNECTIONS:
            transport.close()
        elif self._tls is None:
            served = self._server()
            transport.set_protocol(served)
            served.connection_made(transport)
        else:
            self._take_over(transport, self._tls)

    def _take_over(self, transport: asyncio.Transport, tls: ssl.SSLContext) -> None:
        """A handshake of our own: asyncio would not tell of one that fails."""
        accepted = transport.get_extra_info("socket")
        with contextlib.suppress(OSError):
            ours = socket.socket(fileno=os.dup(accepted.fileno()))
            shaking = asyncio.get_running_loop().create_task(self._shake_hands(ours, tls))
            self._under_way.add(shaking)
            shaking.add_done_callback(self._under_way.discard)
        # Nothing was read of it yet: asyncio begins to read after `connection_made`.
        transport.abort()

    async def _shake_hands(self, accepted: socket.socket, tls: ssl.SSLContext) -> None:
        with contextlib.suppress(OSError):
            await asyncio.get_running_loop().connect_accepted_socket(
                self._server, accepted, ssl=tls, ssl_handshake_timeout=HANDSHAKE_S
            )


def runner_of(app: web.Application) -> web.AppRunner:
    """What serves it, and ends connections that are silent."""
    return web.AppRunner(app, access_log=None, shutdown_timeout=0.5, keepalive_timeout=SILENT_S)


async def listen(
    runner: web.AppRunner, host: str, port: int, tls: ssl.SSLContext | None = None
) -> asyncio.Server:
    """Serve what `runner` has. Raises OSError where the port cannot be had."""
    server = runner.server
    assert server is not None
    under_way: set[object] = set()

    def accepted() -> asyncio.Protocol:
        return _Arriving(server, tls, under_way)

    return await asyncio.get_running_loop().create_server(accepted, host, port)
