"""PgBouncer's admin console: simple queries alone, so its rows are read here.

asyncpg connects and authenticates; then the connection is taken over, since asyncpg reads the
rows of no simple query, and the console speaks nothing else. Sources: PgBouncer, "Admin console";
PostgreSQL, "Message Formats".
"""

from __future__ import annotations

import asyncio
import struct
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from types import TracebackType
from typing import Any, Self, cast

import asyncpg

from failoverd.transport.outcome import sql_outcome
from failoverd.transport.postgres import SqlAddress

Message = tuple[bytes, bytes]
"""Type and body; an empty type is the end of the connection."""
ENDED: Message = (b"", b"")
LONGEST = 1 << 20
"""Of a message; the longest row of `SHOW DATABASES` has some hundred bytes."""


@dataclass(frozen=True, slots=True)
class Said:
    """What a command came to. `error`: the console's own words; empty: done."""

    error: str = ""
    rows: tuple[Mapping[str, str], ...] = field(default=())


class _Messages(asyncio.Protocol):
    """Whole messages, in order."""

    def __init__(self) -> None:
        self._rest = b""
        self._over = False
        self.came: asyncio.Queue[Message] = asyncio.Queue()

    def data_received(self, data: bytes) -> None:
        if self._over:
            return
        self._rest += data
        while len(self._rest) >= 5:
            length = cast(int, struct.unpack_from("!i", self._rest, 1)[0])
            if not 4 <= length <= LONGEST:  # no message: where the next one begins nobody knows
                self._over, self._rest = True, b""
                self.came.put_nowait(ENDED)
                return
            end = 1 + length
            if len(self._rest) < end:
                return
            self.came.put_nowait((self._rest[:1], self._rest[5:end]))
            self._rest = self._rest[end:]

    def connection_lost(self, exc: Exception | None) -> None:  # noqa: ARG002 - it is over
        self.came.put_nowait(ENDED)


class Console:
    """One session: `async with Console(address, timeout_s) as console`.

    Entering it and `run` raise OSError, TimeoutError among them, where the console is not there.
    """

    def __init__(self, address: SqlAddress, timeout_s: float) -> None:
        self._address = address
        self._timeout_s = timeout_s
        self._messages = _Messages()
        self._connection: asyncpg.Connection[Any] | None = None
        self._transport: asyncio.Transport | None = None

    async def __aenter__(self) -> Self:
        address = self._address
        try:
            async with asyncio.timeout(self._timeout_s):
                self._connection = await asyncpg.connect(
                    host=address.host,
                    port=address.port,
                    user=address.user,
                    database=address.database,
                    password=address.password(),
                    ssl=address.tls(),
                    timeout=self._timeout_s,
                    statement_cache_size=0,
                )
        except TimeoutError:
            raise
        except Exception as error:  # noqa: BLE001 - one table sorts every failure
            _, detail = sql_outcome(error, connecting=True)
            raise OSError(detail) from None
        self._transport = self._connection._transport  # type: ignore[attr-defined]  # noqa: SLF001
        self._transport.set_protocol(self._messages)
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        if self._connection is not None:
            self._connection.terminate()

    async def run(self, command: str, timeout_s: float | None = None) -> Said:
        """Its outcome. After a TimeoutError the console is still busy with it: see `outcome`."""
        assert self._transport is not None
        text = command.encode() + b"\0"
        self._transport.write(b"Q" + struct.pack("!i", len(text) + 4) + text)
        return await self.outcome(timeout_s)

    async def outcome(self, timeout_s: float | None = None) -> Said:
        """Of the command that was sent last."""
        columns: list[str] = []
        rows: list[Mapping[str, str]] = []
        error = ""
        async with asyncio.timeout(self._timeout_s if timeout_s is None else timeout_s):
            while True:
                kind, body = await self._messages.came.get()
                match kind:
                    case b"T":
                        columns = _understood(_columns, body)
                    case b"D":
                        values = _understood(_values, body)
                        rows.append(dict(zip(columns, values, strict=False)))
                    case b"E":
                        error = _error(body)
                    case b"Z":
                        return Said(error, tuple(rows))
                    case b"":
                        raise ConnectionResetError("the console ended the connection")
                    case _:
                        pass


def _understood(read: Callable[[bytes], list[str]], body: bytes) -> list[str]:
    try:
        return read(body)
    except (ValueError, struct.error):
        raise OSError("the console answers what is not understood") from None


def _columns(body: bytes) -> list[str]:
    names, at = [], 2
    for _ in range(struct.unpack_from("!h", body)[0]):
        end = body.index(b"\0", at)
        names.append(body[at:end].decode())
        at = end + 19
    return names


def _values(body: bytes) -> list[str]:
    values, at = [], 2
    for _ in range(struct.unpack_from("!h", body)[0]):
        length = cast(int, struct.unpack_from("!i", body, at)[0])
        at += 4
        values.append(body[at : at + max(0, length)].decode(errors="replace"))
        at += max(0, length)
    return values


def _error(body: bytes) -> str:
    fields = {part[:1]: part[1:].decode(errors="replace") for part in body.split(b"\0") if part}
    return fields.get(b"M", "an error without a message")
