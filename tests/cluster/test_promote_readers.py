"""A promotion that a reader, a pause or a lack of rights would hold up."""

from __future__ import annotations

import contextlib
import subprocess

import pytest

from failoverd.core.effects import Promote
from failoverd.core.events import Promoted
from failoverd.core.model import (
    ControlState,
    Epoch,
    Evidence,
    FenceProof,
    Lsn,
    NodeName,
    ProofKind,
)
from failoverd.demo import postgres
from failoverd.effect.promote import promote
from tests.cluster import servers
from tests.cluster.worlds import world_of

PG1 = NodeName("pg1")
EPOCH = Epoch(7)
READERS = {"pg2": "watcher", "pg3": "postgres"}
PAUSED = "pg4"


@pytest.fixture(scope="module")
def dying(grounds):
    """A primary that has died; each standby of it is held up by something else."""
    ground = grounds(servers.binaries_by_major()[0])
    with servers.cluster(ground, *READERS, PAUSED) as them, contextlib.ExitStack() as ends:
        pg1 = them.pg1
        postgres.sql(pg1, "create table t as select generate_series(1, 1000) as n;")
        postgres.sql(pg1, "create role watcher login; grant pg_monitor to watcher;")
        postgres.sql(pg1, "grant select on t to watcher;")
        postgres.sql(pg1, "grant execute on function pg_promote(boolean, integer) to watcher;")
        for standby in them.standbys.values():
            has(standby, flushed(pg1), "replay")
        sessions = {}
        for name, role in READERS.items():
            postgres.sql(them[name], "alter system set max_standby_streaming_delay = -1;")
            postgres.sql(them[name], "select pg_reload_conf();")
            sessions[name] = reads_for_long(them[name], role)
            ends.callback(sessions[name].wait, 30)
            ends.callback(sessions[name].kill)
        conflicts(pg1, [them[name] for name in READERS])
        postgres.sql(them[PAUSED], "select pg_wal_replay_pause();")
        postgres.sql(pg1, "create table while_paused as select generate_series(1, 1000) as n;")
        has(them[PAUSED], flushed(pg1), "receive")
        postgres.kill(pg1)
        yield them, sessions


def flushed(primary):
    return postgres.sql(primary, "select pg_current_wal_flush_lsn();")


def has(standby, end, what):
    there = f"select pg_last_wal_{what}_lsn() >= '{end}';"
    servers.wait_until(
        lambda: postgres.sql(standby, there) == "t", f"{standby.name} to {what} what there is"
    )


def asked(node, world):
    proof = FenceProof(
        ProofKind.STOPPED, PG1, EPOCH, world.monotonic(), ControlState.IN_PRODUCTION, None,
        Evidence("it was killed"),
    )  # fmt: skip
    return Promote(NodeName(node), proof, Lsn(0), EPOCH)


def reads_for_long(server, role):
    """One session that holds a snapshot, and answers to nobody."""
    psql = server.binaries.directory / "psql"
    command = [psql, "-X", "-q", "-h", "127.0.0.1", "-p", str(server.port), "-U", role]
    held = "begin isolation level repeatable read; select count(*) from t; select pg_sleep(600);"
    reader = subprocess.Popen(
        [*command, "-d", "postgres", "-c", held],
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        env=postgres.clean_environment(),
    )
    sleeps = "select wait_event from pg_stat_activity where wait_event = 'PgSleep';"
    servers.wait_until(lambda: postgres.sql(server, sleeps) == "PgSleep", "the reader to read")
    return reader


def conflicts(pg1, standbys):
    """Replay waits for the reader, and for ever."""
    postgres.sql(pg1, "delete from t;")
    postgres.sql(pg1, "vacuum t;")
    waits = "select wait_event from pg_stat_activity where backend_type = 'startup';"
    for standby in standbys:
        servers.wait_until(
            lambda s=standby: postgres.sql(s, waits).startswith("RecoveryConflict"),
            f"replay on {standby.name} to wait",
        )


async def promoted(them, name):
    assert (await servers.ask_about(them[name]).act("freeze")).done
    world = world_of(them[name], them.pg1, role="watcher")
    done = await promote(asked(name, world), world)
    assert isinstance(done, Promoted), done
    assert not servers.in_recovery(them[name])
    return done


@pytest.mark.parametrize("name", READERS, ids=["its own", "a superuser's"])
async def test_a_reader_that_holds_replay_up_is_terminated_and_named(dying, name):
    them, sessions = dying
    done = await promoted(them, name)
    assert sessions[name].wait(30) != 0
    told = " ".join(f"{run.command} {run.output}" for run in done.evidence.runs)
    assert f"({READERS[name]}, psql, for" in told


async def test_a_users_pause_is_ended_by_the_promotion_and_nothing_is_missing(dying):
    them, _ = dying
    await promoted(them, PAUSED)
    assert postgres.sql(them[PAUSED], "select count(*) from while_paused;") == "1000"
