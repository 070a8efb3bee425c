"""A standby that lets no new session in takes over all the same."""

from __future__ import annotations

import asyncio
import contextlib
import functools
import json

import asyncpg
import pytest

from failoverd.demo import postgres, watched
from failoverd.demo.pair import Pair
from failoverd.demo.postgres import SUPERUSER, wait_for
from tests.cluster.demo_pair import demo_pair

RESERVED = 3
"""superuser_reserved_connections."""
SLOTS = 50


@contextlib.asynccontextmanager
async def crowd(pair: Pair):
    """Applications that have just come over from the primary, and hold every slot."""
    server = pair.standby
    async with contextlib.AsyncExitStack() as stack:
        for _ in range(SLOTS):
            one = await asyncpg.connect(
                host=str(server.socket_dir), port=server.port, user=SUPERUSER, database="postgres"
            )
            stack.push_async_callback(one.close)
            taken = await one.fetchval(
                "select count(*) from pg_stat_activity where backend_type = 'client backend'"
            )
            if taken >= SLOTS - RESERVED:
                break
        yield


@contextlib.asynccontextmanager
async def another_password(pair: Pair):
    """Whoever looks after the role has changed it, and the file is to follow."""
    postgres.sql(pair.primary, "alter role failoverd password 'another'")
    yield


@pytest.mark.timeout(120)
@pytest.mark.parametrize(
    ("shut", "why"), [(crowd, "too_many_connections"), (another_password, "misconfigured")]
)
async def test_it_is_promoted_and_confirmed_in_the_session_that_is_held(shut, why):
    with demo_pair() as (place, pair, config, port):
        log = place / "daemon.log"
        daemon = watched.start(config, port, log)

        def has_taken_over() -> bool:
            now = daemon.status()
            return now["primary"] == "pg2" and now["state"] == "watching"

        try:
            wait_for(daemon.ready, f"it is ready: {log.read_text()}")
            wait_for(lambda: not daemon.status()["outlook"]["obstacles"], "a failover would work")
            async with shut(pair):
                lets_nobody_in = functools.partial(seen_at, daemon, why)
                await within(lets_nobody_in, "no new session gets in")
                postgres.kill(pair.primary)
                await within(has_taken_over, "pg2 is the primary")
                incidents = json.loads(daemon.get("/api/v1/clusters/demo/incidents"))["incidents"]
                assert [one["outcome"] for one in incidents] == ["succeeded"]
        finally:
            daemon.stop()


async def within(condition, what: str) -> None:
    await asyncio.to_thread(wait_for, condition, what, timeout_s=45)


def seen_at(daemon: watched.Daemon, outcome: str) -> bool:
    return outcome in str(daemon.status()["nodes"]["pg2"])
