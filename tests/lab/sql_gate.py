"""Between the daemon and every server's SQL: holds the statement that is waited for.

Run in the network of the monitor's host, which leads the daemon's connections here. Only the
standard library. See gate.py for the files of a gate.
"""

from __future__ import annotations

import asyncio
import contextlib
import socket
import struct
import sys
from dataclasses import dataclass, field
from pathlib import Path

SO_ORIGINAL_DST = 80
POLL_S = 0.005


@dataclass(slots=True)
class Connection:
    """One of the daemon's, and what is held of it."""

    host: str
    statements: dict[bytes, str] = field(default_factory=dict)
    answer_awaited: bool = False


class Gate:
    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._log = (folder / "log").open("a", buffering=1)

    def passing(self, host: str, statement: str) -> str:
        """The moment at which this statement is to be held; empty: it is not."""
        self._log.write(f"{host} {statement}\n")
        armed = self._folder / "armed"
        try:
            moment, wanted_host, wanted = armed.read_text().rstrip("\n").split(" ", 2)
        except (FileNotFoundError, ValueError):
            return ""
        if host != wanted_host or wanted not in statement:
            return ""
        armed.rename(self._folder / "taken")
        return moment

    async def hold(self) -> str:
        """Until the test lets it go; how."""
        (self._folder / "held").touch()
        go = self._folder / "go"
        while not (go.exists() and go.read_text()):  # noqa: ASYNC110 - a file, not a task
            await asyncio.sleep(POLL_S)
        return go.read_text().strip()


async def requests(
    gate: Gate, on: Connection, source: asyncio.StreamReader, sink: asyncio.StreamWriter
) -> None:
    """Message by message. Source: PostgreSQL documentation, "Message Formats"."""
    (length,) = struct.unpack("!I", head := await source.readexactly(4))
    sink.write(head + await source.readexactly(length - 4))
    while True:
        head = await source.readexactly(5)
        kind, length = struct.unpack("!cI", head)
        body = await source.readexactly(length - 4)
        moment = gate.passing(on.host, said) if (said := statement(on, kind, body)) else ""
        if moment == "answer":
            on.answer_awaited = True
        elif moment and await gate.hold() != "deliver":
            return
        sink.write(head + body)
        await sink.drain()


def statement(on: Connection, kind: bytes, body: bytes) -> str:
    """What is about to be executed by this message; empty: nothing."""
    match kind:
        case b"P":
            name, text, _ = body.split(b"\0", 2)
            on.statements[name] = " ".join(text.decode().split())
            return ""
        case b"B":
            _, name, _ = body.split(b"\0", 2)
            return on.statements.get(name, "")
        case b"Q":
            return " ".join(body.rstrip(b"\0").decode().split())
        case _:
            return ""


async def answers(
    gate: Gate, on: Connection, source: asyncio.StreamReader, sink: asyncio.StreamWriter
) -> None:
    while data := await source.read(65536):
        if on.answer_awaited:
            on.answer_awaited = False
            await gate.hold()
        sink.write(data)
        await sink.drain()


async def serve(gate: Gate, client: asyncio.StreamReader, to_client: asyncio.StreamWriter) -> None:
    ends: socket.socket = to_client.get_extra_info("socket")
    packed = ends.getsockopt(socket.SOL_IP, SO_ORIGINAL_DST, 16)
    port, address = struct.unpack("!2xH4s8x", packed)
    host = socket.inet_ntoa(address)
    try:
        server, to_server = await asyncio.open_connection(host, port)
    except OSError:
        ends.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        to_client.close()
        return
    on = Connection(host)
    there = asyncio.create_task(requests(gate, on, client, to_server))
    back = asyncio.create_task(answers(gate, on, server, to_client))
    await asyncio.wait([there, back], return_when=asyncio.FIRST_COMPLETED)
    for task, writer in ((there, to_server), (back, to_client)):
        task.cancel()
        with contextlib.suppress(asyncio.CancelledError, OSError, EOFError):
            await task
        writer.close()


async def main(folder: str, port: str) -> None:
    gate = Gate(Path(folder))
    server = await asyncio.start_server(lambda r, w: serve(gate, r, w), "0.0.0.0", int(port))
    sys.stdout.write("ready\n")
    sys.stdout.flush()
    async with server:
        await server.serve_forever()


if __name__ == "__main__":
    asyncio.run(main(*sys.argv[1:]))
