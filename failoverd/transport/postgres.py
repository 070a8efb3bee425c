"""One PostgreSQL session, with a deadline on everything and no pool.

The deadline is asyncio's own alone: a second one, asyncpg's, would be a timer more for each look.
After a time-out a session is terminated and never used again: asyncpg opens a second
connection to cancel in the background, and what the first would still say is unknown.
"""

from __future__ import annotations

import asyncio
import contextlib
import ipaddress
import socket
from collections.abc import Callable, Coroutine, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import asyncpg

from failoverd.config.verification import verifying
from failoverd.core.model import Instant, Look, Outcome, WallTime
from failoverd.transport.certificate import ends_at
from failoverd.transport.outcome import sql_outcome

Monotonic = Callable[[], Instant]


@dataclass(frozen=True, slots=True)
class SqlAddress:
    """Where and as whom to connect. The password is read at each connect, and never shown."""

    host: str
    port: int
    user: str
    database: str
    password: Callable[[], str | None] = field(repr=False)
    sslmode: str = "prefer"
    sslrootcert: Path | None = None
    application_name: str = "failoverd"

    def tls(self) -> Any:
        """Asyncpg takes libpq's words but for the two that need a certificate store."""
        if self.sslmode not in ("verify-ca", "verify-full"):
            return self.sslmode
        context = verifying(self.sslrootcert)
        context.check_hostname = self.sslmode == "verify-full"
        return context


@dataclass(frozen=True, slots=True)
class SqlAnswer:
    """A look at a server, and the one row that it gave, if it gave one."""

    look: Look
    row: Mapping[str, Any] = field(default_factory=dict)

    @property
    def ok(self) -> bool:
        return self.look.ok


class SqlSession:
    """A connection that is either usable or gone."""

    def __init__(self, connection: asyncpg.Connection[Any], monotonic: Monotonic) -> None:
        self._connection = connection
        self._monotonic = monotonic
        self._prepared: dict[str, Any] = {}
        self._turn = asyncio.Lock()
        self._lent = False

    def lent(self) -> SqlSession:
        """For somebody else beside its owner, statement by statement: `close` leaves it open."""
        other = SqlSession(self._connection, self._monotonic)
        other._turn, other._lent = self._turn, True
        return other

    @property
    def usable(self) -> bool:
        return not self._connection.is_closed()

    def certificate_ends_at(self) -> WallTime | None:
        """Of the server; None without TLS."""
        transport = getattr(self._connection, "_transport", None)
        return None if transport is None else ends_at(transport.get_extra_info("ssl_object"))

    def on_death(self, notify: Callable[[], None]) -> None:
        """Call `notify` as soon as the connection ends, by whosever doing."""
        self._connection.add_termination_listener(lambda _: notify())

    async def row(self, statement: str, *arguments: object, timeout_s: float) -> SqlAnswer:
        """The first row of a statement."""
        return await self._asked(self._connection.fetchrow(statement, *arguments), timeout_s)

    async def again(self, statement: str, *, timeout_s: float) -> SqlAnswer:
        """The first row of a statement that is asked over and over: parsed and planned once."""
        return await self._asked(self._prepared_row(statement), timeout_s)

    async def run(self, script: str, *, timeout_s: float) -> SqlAnswer:
        """Several statements in one simple query, without a result."""
        return await self._asked(self._executed(script), timeout_s)

    async def _prepared_row(self, statement: str) -> asyncpg.Record | None:
        prepared = self._prepared.get(statement)
        if prepared is None:
            prepared = await self._connection.prepare(statement)
            self._prepared[statement] = prepared
        row: asyncpg.Record | None = await prepared.fetchrow()
        return row

    async def _executed(self, script: str) -> None:
        await self._connection.execute(script)

    async def _asked(
        self, asking: Coroutine[Any, Any, asyncpg.Record | None], timeout_s: float
    ) -> SqlAnswer:
        """Whoever waits in vain for a turn has asked nothing: the session stands."""
        began, begun = self._monotonic(), False
        try:
            async with asyncio.timeout(timeout_s), self._turn:
                begun = True
                row = await asking
        except Exception as error:  # noqa: BLE001 - one table sorts every failure
            outcome, detail = sql_outcome(error, connecting=False)
            if begun and outcome in _SESSION_IS_OVER:
                self.terminate()
            return SqlAnswer(Look(outcome, began, self._monotonic(), detail))
        except asyncio.CancelledError:
            if begun and self._lent:  # what it would still say is not for its owner
                self.terminate()
            raise
        finally:
            asking.close()
        return SqlAnswer(
            Look(Outcome.OK, began, self._monotonic()), dict(row) if row is not None else {}
        )

    def terminate(self) -> None:
        """Drop the connection at once; leaves no task and waits for nobody."""
        with contextlib.suppress(Exception):
            self._connection.terminate()

    async def close(self, timeout_s: float = 1.0) -> None:
        """Part in good order, or at once where the server does not answer."""
        if self._lent:
            return
        try:
            async with asyncio.timeout(timeout_s):
                await self._connection.close(timeout=timeout_s)
        except Exception:  # noqa: BLE001 - it is gone either way
            self.terminate()


_SESSION_IS_OVER = frozenset(
    {Outcome.TIMED_OUT, Outcome.LOST, Outcome.UNKNOWN, Outcome.SHUTTING_DOWN, Outcome.OUR_FAULT}
)


async def _resolves(address: SqlAddress, timeout_s: float) -> bool:
    """False where nobody answers the question: that silence is not the server's."""
    if address.host.startswith("/"):
        return True  # the directory of a Unix socket
    try:
        ipaddress.ip_address(address.host)
    except ValueError:
        pass
    else:
        return True
    loop = asyncio.get_running_loop()
    try:
        async with asyncio.timeout(timeout_s):
            await loop.getaddrinfo(address.host, address.port, type=socket.SOCK_STREAM)
    except TimeoutError:
        return False
    except (OSError, UnicodeError):
        pass  # an answer, if a bad one: the attempt to connect says it in its own words
    return True


async def connect(
    address: SqlAddress, monotonic: Monotonic, timeout_s: float
) -> tuple[Look, SqlSession | None]:
    """A fresh connection within `timeout_s`, or what came of the attempt."""
    began = monotonic()
    try:
        password, tls = address.password(), address.tls()
    except Exception as error:  # noqa: BLE001 - a file of ours is at fault, whatever it says
        return Look(Outcome.OUR_FAULT, began, monotonic(), str(error)), None
    if not await _resolves(address, timeout_s):
        told = f"no name server told the address of {address.host} within the time limit"
        return Look(Outcome.OUR_FAULT, began, monotonic(), told), None
    try:
        async with asyncio.timeout(timeout_s):
            connection = await asyncpg.connect(
                host=address.host,
                port=address.port,
                user=address.user,
                database=address.database,
                password=password,
                ssl=tls,
                timeout=timeout_s,
                statement_cache_size=0,
                server_settings={"application_name": address.application_name},
            )
    except Exception as error:  # noqa: BLE001 - one table sorts every failure
        outcome, detail = sql_outcome(error, connecting=True)
        return Look(outcome, began, monotonic(), detail), None
    return Look(Outcome.OK, began, monotonic()), SqlSession(connection, monotonic)
