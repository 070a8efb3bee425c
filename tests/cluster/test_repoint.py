"""Standbys that are led to a new primary, and what that one needs.

One primary dies for all of them; each case has a standby of its own, as it was left before.
"""

from __future__ import annotations

import asyncio
from dataclasses import dataclass

import pytest

from failoverd.core.effects import Equip, Promote, Repoint, SetSynchronous
from failoverd.core.events import (
    WAL_GONE,
    EffectFailed,
    Equipped,
    Promoted,
    Repointed,
    SynchronousSet,
)
from failoverd.core.lsn import Lsn
from failoverd.core.model import (
    ControlState,
    Epoch,
    Evidence,
    FenceProof,
    NodeName,
    ProofKind,
    SavedSettings,
)
from failoverd.core.replication import Slot
from failoverd.demo import postgres
from failoverd.demo.postgres import Server
from failoverd.effect.equip import equip
from failoverd.effect.freeze import SETTINGS, _saved
from failoverd.effect.promote import promote
from failoverd.effect.repoint import repoint
from failoverd.effect.retained import gone
from failoverd.effect.synchronous import set_synchronous
from failoverd.effect.world import Runs
from tests.cluster import servers
from tests.cluster.worlds import world_of

PG1, PG2 = NodeName("pg1"), NodeName("pg2")
EPOCH = Epoch(7)
FROZEN, AWAY, IN_CONF, NOBODYS, AHEAD = STANDBYS = ("pg3", "pg4", "pg5", "pg6", "pg7")
WITH_SLOTS = (FROZEN, AWAY, IN_CONF)


@dataclass(frozen=True)
class Left:
    """What a failover left: pg1 is dead, pg2 is the primary on timeline 2."""

    pg1: Server
    pg2: Server
    standbys: dict[str, Server]
    saved: dict[str, SavedSettings]

    async def led(self, name, *, known=True):
        saved = self.saved.get(name) if known else None
        world = world_of(self.pg2, self.pg1, self.standbys[name])
        return await repoint(Repoint(NodeName(name), PG2, EPOCH, saved), world)


@pytest.fixture(scope="module")
def left(grounds):
    ground = grounds(servers.binaries_by_major()[0])
    with servers.cluster(ground, "pg2", *STANDBYS, **servers.RETRIES_SOON) as them:
        pg1, pg2 = them.pg1, them["pg2"]
        postgres.sql(pg1, "create table before (); create role watcher login;")
        postgres.sql(pg1, "grant pg_monitor to watcher;")
        for name in WITH_SLOTS:
            streams_by_slot(pg1, them[name])
        in_postgresql_conf(them[IN_CONF])
        postgres.stop(them[AWAY])
        saved = {name: asyncio.run(frozen(them[name])) for name in (FROZEN, IN_CONF, NOBODYS)}
        asyncio.run(frozen(pg2))
        postgres.sql(pg1, "create table only_pg7_has_it ();")
        servers.wait_until(
            lambda: postgres.sql(them[AHEAD], "select to_regclass('only_pg7_has_it');") != "",
            "pg7 to have it",
        )
        saved[AHEAD] = asyncio.run(frozen(them[AHEAD]))
        promoted(pg1, pg2)
        postgres.start(them[AWAY])
        yield Left(pg1, pg2, dict(them.standbys), saved)


def streams_by_slot(pg1, standby):
    name = standby.name
    postgres.sql(pg1, f"select pg_create_physical_replication_slot('{name}');")
    postgres.sql(standby, f"alter system set primary_slot_name = '{name}';")
    postgres.sql(standby, "select pg_reload_conf();")
    active = f"select active from pg_replication_slots where slot_name = '{name}';"
    servers.wait_until(lambda: postgres.sql(pg1, active) == "t", f"{name} to use its slot")


def in_postgresql_conf(standby):
    """Its conninfo stands there, and not where ALTER SYSTEM writes."""
    own = postgres.sql(standby, "show primary_conninfo;")
    with (standby.data_dir / "postgresql.conf").open("a") as conf:
        conf.write("primary_conninfo = '" + own.replace("'", "''") + "'\n")
    postgres.sql(standby, "alter system reset primary_conninfo;")


async def frozen(server):
    """Its settings from before, as a failover keeps them."""
    asked = servers.ask_about(server)
    answer = await asked.act("settings")
    saved = SavedSettings(tuple((name, _saved(answer, name)) for name in SETTINGS))
    assert (await asked.act("freeze")).done
    return saved


def promoted(pg1, pg2):
    postgres.kill(pg1)
    postgres.sql(pg2, "select pg_promote();")
    servers.wait_until(lambda: not servers.in_recovery(pg2), "the promotion")


def follows(primary, standby, slot=""):
    streams = "select status || ' ' || received_tli || ' ' || slot_name from pg_stat_wal_receiver;"
    servers.wait_until(
        lambda: postgres.sql(standby, streams) == f"streaming 2 {slot}", f"{standby.name} to stream"
    )
    postgres.wait_until_streaming(primary, standby)


async def test_a_frozen_standby_streams_from_the_new_primary_by_its_own_slot_and_name(left):
    pg3 = left.standbys[FROZEN]
    for _ in range(2):
        told = await left.led(FROZEN)
        assert isinstance(told, Repointed), told
        follows(left.pg2, pg3, FROZEN)
    delays = "select string_agg(setting, ' ') from pg_settings where name ~ 'max_standby.*delay';"
    assert postgres.sql(pg3, delays) == "30000 30000"
    assert "password" not in str(told)


async def test_a_standby_that_was_away_keeps_all_of_its_settings_but_the_host(left):
    told = await left.led(AWAY)
    assert isinstance(told, Repointed), told
    follows(left.pg2, left.standbys[AWAY], AWAY)


async def test_a_conninfo_that_stands_in_postgresql_conf_is_led_elsewhere_too(left):
    assert dict(left.saved[IN_CONF].values)["primary_conninfo"] is None
    told = await left.led(IN_CONF)
    assert isinstance(told, Repointed), told
    follows(left.pg2, left.standbys[IN_CONF], IN_CONF)


async def test_a_standby_that_is_frozen_by_nobody_that_is_known_is_left_as_it_is(left):
    told = await left.led(NOBODYS, known=False)
    assert isinstance(told, EffectFailed)
    assert postgres.sql(left.standbys[NOBODYS], "show primary_conninfo;") == ""


async def test_a_standby_that_is_ahead_of_the_fork_waits_on_its_old_timeline(left):
    told = await left.led(AHEAD)
    assert isinstance(told, Repointed), told
    waits = "select status || ' ' || received_tli from pg_stat_wal_receiver;"
    servers.wait_until(
        lambda: postgres.sql(left.standbys[AHEAD], waits) == "waiting 1", "pg7 to wait"
    )


async def test_a_standby_that_its_upstream_has_no_wal_for_any_more_is_not_told_to_wait_for_it(
    grounds,
):
    ground = grounds(servers.binaries_by_major()[0])
    with servers.cluster(ground, "pg2", wal_keep_size="0") as them:
        pg1, pg2 = them.pg1, them["pg2"]
        again = Repoint(PG2, PG1, EPOCH, await frozen(pg2), attempt=1)
        world = world_of(pg1, pg2)
        assert await gone(world, world.nodes[PG2], world.nodes[PG1], Runs()) is None
        for number in range(3):
            postgres.sql(pg1, f"create table later{number} (); select pg_switch_wal(); checkpoint;")
        refused = await repoint(again, world)
        assert isinstance(refused, EffectFailed), refused
        assert refused.reason == WAL_GONE
        assert "pg1 has no WAL any more from where pg2 stands" in refused.evidence.sentence
        assert refused.advice == "failoverd rejoin pg2"


CHECKPOINT = "select timeline_id, checkpoint_lsn from pg_control_checkpoint();"


async def test_a_new_primary_gets_the_slots_that_were_used_and_a_checkpoint(left):
    before = postgres.sql(left.pg2, CHECKPOINT)
    slots = (
        Slot("streams", True, "", None),
        Slot("idle", False, "", None),
        Slot("reports", True, "", None, logical=True),
    )
    done = await equip(Equip(PG2, EPOCH, slots), world_of(left.pg2, left.pg1))
    assert isinstance(done, Equipped), done
    assert "slots made: streams" in done.evidence.sentence
    assert "nobody used them: idle" in done.evidence.sentence
    assert "LOST with the old primary: reports" in done.evidence.sentence
    there = postgres.sql(left.pg2, "select slot_name from pg_replication_slots;").split()
    assert set(there) - set(WITH_SLOTS) == {"streams"}
    after = postgres.sql(left.pg2, CHECKPOINT)
    assert after.startswith("2|")
    assert after != before


async def test_a_role_that_may_not_checkpoint_has_the_host_ask_for_it(left):
    before = postgres.sql(left.pg2, CHECKPOINT)
    done = await equip(Equip(PG2, EPOCH, ()), world_of(left.pg2, left.pg1, role="watcher"))
    assert isinstance(done, Equipped), done
    assert "checkpoint asked for" in done.evidence.sentence
    servers.wait_until(
        lambda: (now := postgres.sql(left.pg2, CHECKPOINT)).startswith("2|") and now != before,
        "the checkpoint",
    )


@pytest.mark.parametrize("binaries", servers.binaries_by_major()[1:], ids=lambda b: str(b.major))
async def test_on_every_other_major_one_is_promoted_and_equipped_and_the_other_follows_it(
    grounds, binaries
):
    with servers.cluster(grounds(binaries), "pg2", "pg3") as them:
        pg1, pg2, pg3 = them.pg1, them["pg2"], them["pg3"]
        streams_by_slot(pg1, pg3)
        saved = await frozen(pg3)
        await frozen(pg2)
        postgres.kill(pg1)
        world = world_of(pg2, pg1, pg3)
        proof = FenceProof(
            ProofKind.STOPPED, PG1, EPOCH, world.monotonic(), ControlState.IN_PRODUCTION, None,
            Evidence("it was killed"),
        )  # fmt: skip
        done = await promote(Promote(PG2, proof, Lsn(0), EPOCH), world)
        assert isinstance(done, Promoted), done
        slots = (Slot("pg3", True, "", None),)
        done = await equip(Equip(PG2, EPOCH, slots), world)
        assert isinstance(done, Equipped), done
        done = await repoint(Repoint(NodeName("pg3"), PG2, EPOCH, saved), world)
        assert isinstance(done, Repointed), done
        follows(pg2, pg3, "pg3")
        done = await set_synchronous(SetSynchronous(PG2, 'ANY 1 ("pg3")', EPOCH), world)
        assert isinstance(done, SynchronousSet), done
        postgres.sql(pg2, "create table after ();")
        waits = "select sync_state from pg_stat_replication;"
        servers.wait_until(lambda: postgres.sql(pg2, waits) == "quorum", "commits to wait for pg3")
