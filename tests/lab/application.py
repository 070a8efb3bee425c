"""An application: commits single rows to whichever server is writable, and logs what was promised.

Its settings are one JSON line on standard input; it runs until standard input ends. A line
`id nanoseconds node timeline` (monotonic clock) is written and flushed to disk after each
acknowledgement and never before; an id whose outcome is unknown is never used again.
Run as a program of its own; imports nothing of the tests or the product.
"""

from __future__ import annotations

import asyncio
import contextlib
import itertools
import json
import os
import sys
import time
from dataclasses import dataclass

import asyncpg

FAILURES = (asyncpg.PostgresError, asyncpg.InterfaceError, asyncpg.InternalClientError, OSError)
PAUSE_S = 0.02
WHERE = """
select not pg_is_in_recovery() and current_setting('transaction_read_only') = 'off' as writable,
       case when pg_is_in_recovery() then 0
            else ('x' || substr(pg_walfile_name(pg_current_wal_lsn()), 1, 8))::bit(32)::int
       end as timeline
"""


@dataclass(frozen=True)
class Settings:
    nodes: dict[str, str]
    port: int
    database: str
    user: str
    password: str
    log: str
    first_id: int
    writers: int
    rate: float | None
    connect_timeout_s: float
    write_timeout_s: float


class Log:
    def __init__(self, path: str) -> None:
        self._file = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o644)

    def write(self, *words: object) -> None:
        """On disk when it returns."""
        os.write(self._file, (" ".join(map(str, words)) + "\n").encode())
        os.fdatasync(self._file)


@dataclass
class Session:
    node: str
    timeline: int
    connection: asyncpg.Connection


async def open_session(settings: Settings, node: str) -> Session | None:
    """A session with that server, if it takes writes now."""
    connection = None
    try:
        async with asyncio.timeout(settings.connect_timeout_s):
            connection = await asyncpg.connect(
                host=settings.nodes[node], port=settings.port, user=settings.user,
                password=settings.password, database=settings.database, ssl="disable",
                timeout=settings.connect_timeout_s,
            )  # fmt: skip
            row = await connection.fetchrow(WHERE)
    except FAILURES:
        row = None
    if connection is not None and (row is None or not row["writable"]):
        connection.terminate()
    if connection is None or row is None or not row["writable"]:
        return None
    return Session(node, row["timeline"], connection)


async def find_writable(settings: Settings) -> Session | None:
    """All servers are tried at once, so that one that hangs does not delay the others."""
    tries = [asyncio.create_task(open_session(settings, node)) for node in settings.nodes]
    chosen: Session | None = None
    for attempt in asyncio.as_completed(tries):
        session = await attempt
        if session is not None and chosen is None:
            chosen = session
            break
    for task in tries:
        if not task.done():
            task.cancel()
    for result in await asyncio.gather(*tries, return_exceptions=True):
        if isinstance(result, Session) and result is not chosen:
            result.connection.terminate()
    return chosen


async def write_for_ever(settings: Settings, ids: itertools.count[int], log: Log) -> None:
    interval_s = settings.writers / settings.rate if settings.rate else 0.0
    session: Session | None = None
    due = time.monotonic()
    try:
        while True:
            if session is None:
                session = await find_writable(settings)
            if session is None:
                await asyncio.sleep(PAUSE_S)
                continue
            number = next(ids)
            try:
                async with asyncio.timeout(settings.write_timeout_s):
                    await session.connection.execute("insert into ledger values ($1)", number)
            except FAILURES:
                session.connection.terminate()
                session = None
                continue
            log.write(number, time.monotonic_ns(), session.node, session.timeline)
            due = max(due + interval_s, time.monotonic() - 1)
            await asyncio.sleep(max(0.0, due - time.monotonic()))
    finally:
        if session is not None:
            session.connection.terminate()


async def main() -> None:
    settings = Settings(**json.loads(sys.stdin.readline()))
    log = Log(settings.log)
    ids = itertools.count(settings.first_id)
    writers = [
        asyncio.create_task(write_for_ever(settings, ids, log)) for _ in range(settings.writers)
    ]
    ended = asyncio.create_task(asyncio.to_thread(sys.stdin.read))
    await asyncio.wait([ended, *writers], return_when=asyncio.FIRST_COMPLETED)
    log.write("stopped", time.monotonic_ns())
    for writer in writers:
        writer.cancel()
    for writer in writers:
        with contextlib.suppress(asyncio.CancelledError):
            await writer


if __name__ == "__main__":
    asyncio.run(main())
