"""A front for a few real servers, at thousands of addresses: each question is asked once a second.

A thousand clusters polled each second ask two and a half cores of the servers; the daemon is what
is to be measured. So a client logs in here (with SCRAM, as over there), and what it asks is asked
of the real server, by its own protocol, once a second at the most; all who ask in that second are
told the same. Nothing that the daemon sees is made up, and each session is one of its own.

    python -m bench.front FILE    # JSON: [{"port", "socket", "user", "password", "addresses"}]
"""

from __future__ import annotations

import asyncio
import base64
import contextlib
import gc
import hashlib
import hmac
import json
import resource
import secrets
import struct
import sys
import zlib
from pathlib import Path
from typing import Any

from failoverd.config.scram import ITERATIONS, verifier

KEPT_S = 1.0
SSL_REQUEST, CANCEL_REQUEST = 80877103, 80877102
READY = b"Z\x00\x00\x00\x05I"
CLOSED = b"3\x00\x00\x00\x04"


def message(kind: bytes, body: bytes) -> bytes:
    return kind + struct.pack("!I", len(body) + 4) + body


SYNC = message(b"S", b"")


class Upstream:
    """The one session with a real server; it is let in without a password (pg_hba.conf)."""

    def __init__(self, socket: str, port: int, user: str) -> None:
        self._where, self._user = f"{socket}/.s.PGSQL.{port}", user
        self._turn = asyncio.Lock()
        self._told: dict[bytes, tuple[float, asyncio.Future[bytes]]] = {}
        self.greeting = b""

    async def open(self) -> None:
        self._reader, self._writer = await asyncio.open_unix_connection(self._where)
        words = f"user\0{self._user}\0database\0postgres\0application_name\0failoverd\0\0"
        body = struct.pack("!I", 196608) + words.encode()
        self._writer.write(struct.pack("!I", len(body) + 4) + body)
        self.greeting = await self._until_ready()

    async def _until_ready(self) -> bytes:
        told = []
        while True:
            head = await self._reader.readexactly(5)
            body = await self._reader.readexactly(struct.unpack("!I", head[1:])[0] - 4)
            told.append(head + body)
            if head[:1] == b"Z":
                return b"".join(told)

    async def ask(self, batch: bytes) -> bytes:
        """What a statement is, is asked once; anything else is asked anew after a second."""
        now = asyncio.get_running_loop().time()
        at, known = self._told.get(batch, (0.0, None))
        if known is None or (now >= at + KEPT_S and batch[:1] not in b"PD"):
            known = asyncio.ensure_future(self._ask(batch))
            self._told[batch] = (now, known)
        return await asyncio.shield(known)

    async def _ask(self, batch: bytes) -> bytes:
        async with self._turn:
            self._writer.write(batch)
            return await self._until_ready()


class Client(asyncio.Protocol):
    """One session of the daemon."""

    def __init__(self, upstream: Upstream, password: str) -> None:
        self._upstream, self._password = upstream, password
        self._buffer = bytearray()
        self._step = self._start
        self._batch: list[tuple[bytes, bytes]] = []
        self._named: dict[bytes, bytes] = {}
        self._asking: set[asyncio.Task[None]] = set()

    def connection_made(self, transport: Any) -> None:
        self._transport = transport

    def data_received(self, data: bytes) -> None:
        self._buffer += data
        while (taken := self._taken()) is not None:
            self._step(*taken)

    def _taken(self) -> tuple[bytes, bytes] | None:
        """The next message: what kind it is of, and its body. The first has no kind."""
        skipped = 0 if self._step == self._start else 1
        if len(self._buffer) < skipped + 4:
            return None
        (length,) = struct.unpack_from("!I", self._buffer, skipped)
        if len(self._buffer) < skipped + length:
            return None
        kind = bytes(self._buffer[:skipped])
        body = bytes(self._buffer[skipped + 4 : skipped + length])
        del self._buffer[: skipped + length]
        return kind, body

    def _start(self, _: bytes, body: bytes) -> None:
        code = struct.unpack_from("!I", body)[0]
        if code == SSL_REQUEST:
            self._transport.write(b"N")
        elif code == CANCEL_REQUEST:
            self._transport.close()
        else:
            self._transport.write(message(b"R", struct.pack("!I", 10) + b"SCRAM-SHA-256\0\0"))
            self._step = self._first

    # Source: RFC 5802, section 3; PostgreSQL documentation, "SASL Authentication".

    def _first(self, _: bytes, body: bytes) -> None:
        _, _, rest = body.partition(b"\0")
        bare = rest[4:].split(b",", 2)[2]
        nonce = bare.partition(b"r=")[2] + base64.b64encode(secrets.token_bytes(18))
        _, _, told = VERIFIERS[self._password].partition(":")
        salt, _, keys = told.partition("$")
        self._server_key = base64.b64decode(keys.partition(":")[2])
        first = b"r=%s,s=%s,i=%d" % (nonce, salt.encode(), ITERATIONS)
        self._said = bare + b"," + first
        self._transport.write(message(b"R", struct.pack("!I", 11) + first))
        self._step = self._last

    def _last(self, _: bytes, body: bytes) -> None:
        said = self._said + b"," + body.rpartition(b",p=")[0]
        signature = hmac.digest(self._server_key, said, hashlib.sha256)
        last = b"v=" + base64.b64encode(signature)
        self._transport.write(message(b"R", struct.pack("!I", 12) + last) + self._upstream.greeting)
        self._step = self._asked

    def _asked(self, kind: bytes, body: bytes) -> None:
        if kind == b"X":
            self._transport.close()
            return
        self._batch.append((kind, body))
        if kind in b"HSQ":
            batch, self._batch = self._batch, []
            task = asyncio.get_running_loop().create_task(self._answer(batch))
            self._asking.add(task)
            task.add_done_callback(self._asking.discard)

    async def _answer(self, batch: list[tuple[bytes, bytes]]) -> None:
        """A statement is prepared over there once. To a flush all but the end is told."""
        told, asked = [], []
        for kind, body in batch:
            renamed = self._renamed(kind, body)
            if kind == b"P":
                told.append((await self._upstream.ask(renamed + SYNC)).removesuffix(READY))
            elif kind == b"C":
                told.append(CLOSED)
            else:
                asked.append(renamed)
        told.append(READY if asked == [SYNC] else await self._upstream.ask(b"".join(asked)))
        flushed = batch[-1][0] == b"H"
        self._transport.write(b"".join(told).removesuffix(READY if flushed else b""))

    def _renamed(self, kind: bytes, body: bytes) -> bytes:
        """Statements are called by what they say, so that all sessions can share them."""
        if kind == b"P":
            name, _, rest = body.partition(b"\0")
            self._named[name] = b"q%08x" % zlib.crc32(rest)
            return message(kind, self._named[name] + b"\0" + rest)
        if kind == b"B":
            portal, name, rest = body.split(b"\0", 2)
            return message(kind, b"\0".join((portal, self._named[name], rest)))
        if kind == b"D" and body[:1] == b"S":
            return message(kind, b"S" + self._named[body[1:-1]] + b"\0")
        return SYNC if kind == b"H" else message(kind, body)


VERIFIERS: dict[str, str] = {}
"""By password: a server, too, keeps them and not the password."""


async def serve(servers: list[dict[str, Any]]) -> None:
    loop = asyncio.get_running_loop()
    for one in servers:
        VERIFIERS[one["password"]] = verifier(one["password"])
        upstream = Upstream(one["socket"], one["port"], one["user"])
        await upstream.open()

        def client(upstream: Upstream = upstream, password: str = one["password"]) -> Client:
            return Client(upstream, password)

        for address in one["addresses"]:
            await loop.create_server(client, address, one["port"], backlog=1000)
    print("ready", flush=True)
    gc.freeze()
    await asyncio.get_running_loop().create_future()


if __name__ == "__main__":
    hard = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    with contextlib.suppress(KeyboardInterrupt):
        asyncio.run(serve(json.loads(Path(sys.argv[1]).read_text())))
