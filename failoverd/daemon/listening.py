"""The TCP port of what may be read: so many connections, and no more.

Each costs a file descriptor, and without descriptors nothing could be watched: whoever comes
when there are enough is let go at once.
"""

from __future__ import annotations

import asyncio

from aiohttp import web

CONNECTIONS = 256


class _Full(asyncio.Protocol):
    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        transport.close()


async def listen(runner: web.AppRunner, host: str, port: int) -> asyncio.Server:
    """Serve what `runner` has. Raises OSError where the port cannot be had."""
    server = runner.server
    assert server is not None

    def accepted() -> asyncio.Protocol:
        return server() if len(server.connections) < CONNECTIONS else _Full()

    return await asyncio.get_running_loop().create_server(accepted, host, port)
