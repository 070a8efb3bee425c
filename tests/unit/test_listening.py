"""The port for readers cannot take the descriptors that the watch needs."""

from __future__ import annotations

import asyncio

from aiohttp import web

from failoverd.daemon import listening
from tests.waiting import until

HELLO = b"GET / HTTP/1.1\r\nHost: x\r\n\r\n"


async def hello(_):
    return web.Response(text="hello")


async def answered(port):
    """What a new connection is told, and the connection; empty where it was let go at once."""
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    async with asyncio.timeout(20):
        try:
            writer.write(HELLO)
            return await reader.readline(), writer
        except ConnectionError:
            return b"", writer


async def test_connections_are_so_many_and_one_that_ends_makes_room(monkeypatch):
    monkeypatch.setattr(listening, "CONNECTIONS", 2)
    app = web.Application()
    app.router.add_get("/", hello)
    runner = web.AppRunner(app, shutdown_timeout=0.1)
    await runner.setup()
    server = await listening.listen(runner, "127.0.0.1", 0)
    port = server.sockets[0].getsockname()[1]
    try:
        first, one = await answered(port)
        second, two = await answered(port)
        assert first == second == b"HTTP/1.1 200 OK\r\n"
        third, three = await answered(port)
        assert third == b""
        one.close()
        await one.wait_closed()
        await until(lambda: len(runner.server.connections) <= 1, "the server has seen its end")
        fourth, four = await answered(port)
        assert fourth == first
        for writer in (two, three, four):
            writer.close()
    finally:
        server.close()
        await runner.cleanup()
