"""A standby that was asked to promote is stopped for good, and the names a commit waits for."""

from __future__ import annotations

import os
import signal
from dataclasses import replace

import pytest

from failoverd.config.grants import grants
from failoverd.core.calibration import Calibration
from failoverd.core.effects import Retire, SetSynchronous
from failoverd.core.events import EffectFailed, Retired, SynchronousSet
from failoverd.core.model import Epoch, NodeName, Timeline
from failoverd.demo import postgres
from failoverd.effect.retire import retire
from failoverd.effect.synchronous import set_synchronous
from tests.cluster import servers
from tests.cluster.worlds import world_of

HANGS, PROMOTED, WELL, UNREAD = "pg2", "pg3", "pg4", "pg5"
EPOCH = Epoch(7)
NAMES = "select setting from pg_settings where name = 'synchronous_standby_names';"


@pytest.fixture(scope="module")
def them(grounds):
    """A primary, and a standby for each case."""
    ground = grounds(servers.binaries_by_major()[0])
    with servers.cluster(ground, HANGS, PROMOTED, WELL, UNREAD) as cluster:
        yield cluster


def asked(server):
    return Retire(NodeName(server.name), EPOCH, Timeline(1))


async def calibrated(world, server):
    facts = await servers.ask_about(server).facts()
    seen = Calibration(
        facts.boot_id,
        facts.user,
        facts.directory_identity,
        facts.postmaster_pid or 0,
        facts.postmaster_started,
    )
    return replace(world, memory=replace(world.memory, calibrations={NodeName(server.name): seen}))


async def test_a_standby_that_hangs_with_a_pending_promotion_is_stopped_and_starts_as_a_standby(
    them,
):
    primary, standby = them.pg1, them[HANGS]
    world = await calibrated(world_of(primary, standby), standby)
    startup = "select pid from pg_stat_activity where backend_type = 'startup';"
    os.kill(int(postgres.sql(standby, startup)), signal.SIGSTOP)
    postgres.sql(standby, "select pg_promote(false);")
    done = await retire(asked(standby), world)
    assert isinstance(done, Retired), done
    assert postgres.processes(standby) == ()
    assert isinstance(await retire(asked(standby), world), Retired)
    # Where nobody reaps what was killed, its number still looks taken.
    (standby.data_dir / "postmaster.pid").unlink()
    (standby.socket_dir / f".s.PGSQL.{standby.port}.lock").unlink(missing_ok=True)
    postgres.start(standby)
    assert servers.in_recovery(standby)
    postgres.wait_until_streaming(primary, standby)


async def test_a_standby_that_was_promoted_after_all_is_stopped_guarded_and_told_so(them):
    primary, standby = them.pg1, them[PROMOTED]
    world = await calibrated(world_of(primary, standby), standby)
    postgres.sql(standby, "select pg_promote();")
    servers.wait_until(lambda: not servers.in_recovery(standby), "the promotion")
    done = await retire(asked(standby), world)
    assert isinstance(done, EffectFailed)
    assert "its disk shows timeline 2" in done.evidence.sentence
    assert done.advice.startswith(f"start {PROMOTED}")
    assert f"failoverd fenced {PROMOTED}" in done.advice
    assert postgres.processes(standby) == ()
    assert (standby.data_dir / "standby.signal").exists()
    # Started as it is told, it can be asked again, and goes on from where it was.
    (standby.data_dir / "postmaster.pid").unlink(missing_ok=True)
    (standby.socket_dir / f".s.PGSQL.{standby.port}.lock").unlink(missing_ok=True)
    postgres.start(standby)
    assert servers.in_recovery(standby)
    postgres.sql(standby, "select pg_promote();")
    servers.wait_until(lambda: not servers.in_recovery(standby), "the second promotion")


async def test_a_disk_that_tells_nothing_does_not_tell_that_it_was_never_promoted(them):
    """Whoever was promoted, and whose WAL was lost with its disk, may have acknowledged commits."""
    primary, standby = them.pg1, them[UNREAD]
    world = await calibrated(world_of(primary, standby), standby)
    postgres.stop(standby)
    wal, aside = standby.data_dir / "pg_wal", standby.data_dir / "aside"
    wal.rename(aside)
    gone = await retire(asked(standby), world)
    wal.mkdir()  # where a file system should be mounted
    empty = await retire(asked(standby), world)
    for done in (gone, empty):
        assert isinstance(done, EffectFailed), done
        assert "its pg_wal cannot be read" in done.evidence.sentence
        assert done.advice.endswith(f"failoverd fenced {UNREAD}")
    wal.rmdir()
    aside.rename(wal)
    assert isinstance(await retire(asked(standby), world), Retired)


async def test_a_host_that_was_never_seen_to_see_it_alive_proves_nothing(them):
    primary, standby = them.pg1, them[WELL]
    done = await retire(asked(standby), world_of(primary, standby))
    assert isinstance(done, EffectFailed)
    assert "silence proves nothing" in done.evidence.sentence
    assert servers.in_recovery(standby)


@pytest.mark.parametrize("managed", [True, False], ids=["by its role", "by its host"])
async def test_the_names_are_set_on_a_primary_and_on_a_hot_standby(them, managed):
    primary, standby = them.pg1, them[WELL]
    role = f"watcher_{managed}".lower()
    postgres.sql(primary, grants(primary.binaries.major, role, managed=managed))
    there = f"select count(*) from pg_roles where rolname = '{role}';"
    servers.wait_until(lambda: postgres.sql(standby, there) == "1", "the role on pg2")
    world = world_of(primary, standby, role=role)
    names = 'ANY 1 ("p\'g2", "pg3")'
    for server in (standby, primary):
        change = SetSynchronous(NodeName(server.name), names, EPOCH)
        done = await set_synchronous(change, world)
        assert isinstance(done, SynchronousSet), done
        servers.wait_until(
            lambda s=server: postgres.sql(s, NAMES) == names, f"{server.name} to have the names"
        )
    for server in (standby, primary):
        postgres.sql(server, "alter system reset synchronous_standby_names;")
        postgres.sql(server, "select pg_reload_conf();")
        servers.wait_until(lambda s=server: postgres.sql(s, NAMES) == "", "commits to go on")
