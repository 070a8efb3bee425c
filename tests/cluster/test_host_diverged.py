"""What a server wrote after the fork, counted on its own disk, on every major version here."""

import dataclasses

import pytest

from failoverd.core.model import Lsn
from failoverd.demo import postgres
from tests.cluster import servers
from tests.cluster.servers import ask_about


def part(ground, room, running):
    """Two primaries of one origin: pg2 was promoted beside pg1."""
    primary = running(servers.start_primary(ground, room, autovacuum="off"))
    postgres.sql(primary, "create table t (n bigint);")
    standby = running(servers.start_standby(ground, room, primary))
    postgres.sql(standby, "select pg_promote();")
    servers.wait_until(lambda: not servers.in_recovery(standby), "pg2 takes writes")
    return primary, standby


@pytest.fixture
def parted(ground, room, running):
    return part(ground, room, running)


@pytest.fixture(params=servers.binaries_by_major(), ids=lambda found: f"postgresql-{found.major}")
def parted_each(request, grounds, room, running):
    return part(grounds(request.param), room, running)


async def asked_about(server):
    asked = ask_about(server)
    identifier = (await asked.facts()).system_identifier
    return dataclasses.replace(
        asked, arguments={**asked.arguments, "system_identifier": identifier, "seconds": "10"}
    )


async def fork_of(server):
    answer = await (await asked_about(server)).call("history", timeline="2")
    assert answer.done, answer.run.output
    (parent,) = answer.fields["parent"]
    assert parent.startswith("1 ")
    return parent.removeprefix("1 ")


async def counted_while_nobody_writes(server, fork):
    """The count, and where its WAL stood before and after it: PostgreSQL itself writes at times."""
    where = "select pg_current_wal_lsn();"
    for _ in range(10):
        before = postgres.sql(server, where)
        counted = await (await asked_about(server)).call("diverged", timeline="1", start=fork)
        if postgres.sql(server, where) == before:
            return counted, before
    raise AssertionError("not within ten counts: one in which nobody wrote")


def commits(server, count):
    for number in range(count):
        postgres.sql(server, f"insert into t values ({number});")


async def test_every_commit_after_the_fork_is_counted_to_the_true_end(parted_each):
    primary, standby = parted_each
    fork = await fork_of(standby)
    commits(primary, 7)
    commits(standby, 3)
    here = await asked_about(primary)
    running, end = await counted_while_nobody_writes(primary, fork)
    assert (running.field("commits"), running.field("complete")) == ("7", "yes"), running.run
    assert Lsn.parse(running.field("end")) == Lsn.parse(end)
    postgres.sql(primary, "insert into t select generate_series(1, 100000);")
    postgres.sql(primary, "begin; insert into t values (0); rollback;")
    end = postgres.sql(primary, "select pg_current_wal_lsn();")
    postgres.kill(primary)
    dead = await here.call("diverged", timeline="1", start=fork)
    assert (dead.field("commits"), dead.field("complete")) == ("8", "yes"), dead.run
    # Nothing but its last flush, which may have come after our question, lies beyond.
    assert 0 <= Lsn.parse(dead.field("end")) - Lsn.parse(end) < 8192
    told = dead.field("command")
    assert told.endswith(f"--timeline=1 --start={fork} --rmgr=Transaction")
    assert f"--path={primary.data_dir}/pg_wal" in told


async def test_whoever_wrote_nothing_after_the_fork_has_nothing_to_lose(parted):
    primary, standby = parted
    fork = await fork_of(standby)
    postgres.kill(primary)
    answer = await (await asked_about(primary)).call("diverged", timeline="1", start=fork)
    assert answer.done
    assert (answer.field("commits"), answer.field("complete")) == ("0", "yes"), answer.run
    assert Lsn.parse(answer.field("end")) - Lsn.parse(fork) < 8192


async def test_wal_that_was_removed_makes_the_count_incomplete(parted):
    primary, standby = parted
    fork = await fork_of(standby)
    commits(primary, 2)
    postgres.sql(primary, "select pg_switch_wal();")
    commits(primary, 4)
    postgres.kill(primary)
    here = await asked_about(primary)
    segment = Lsn.parse(fork).bytes // (16 * 1024 * 1024)
    (primary.data_dir / "pg_wal" / f"{1:08X}{0:08X}{segment:08X}").unlink()
    answer = await here.call("diverged", timeline="1", start=fork)
    assert (answer.field("commits"), answer.field("complete")) == ("4", "no"), answer.run


async def test_segments_of_another_size_are_found_by_their_own_names(grounds, room, running):
    ground = grounds(servers.binaries_by_major()[-1])
    server = ground.server("pg1", room, autovacuum="off")
    postgres.initdb(server, "--wal-segsize=1")
    postgres.start(running(server))
    postgres.sql(server, "create table t (n bigint);")
    start = postgres.sql(server, "select pg_current_wal_lsn();")
    for _ in range(3):
        commits(server, 2)
        postgres.sql(server, "select pg_switch_wal();")
    postgres.kill(server)
    answer = await (await asked_about(server)).call("diverged", timeline="1", start=start)
    assert (answer.field("commits"), answer.field("complete")) == ("6", "yes"), answer.run


async def test_another_clusters_wal_is_not_read(parted):
    asked = ask_about(parted[0])
    for verb in ("history", "diverged"):
        more = {"timeline": "1", "start": "0/1", "system_identifier": "1"}
        answer = await asked.call(verb, **more)
        assert answer.field("verdict") == "wrong_cluster"


async def test_a_history_that_is_gone_is_said(parted):
    _, standby = parted
    (standby.data_dir / "pg_wal" / "00000002.history").unlink()
    answer = await (await asked_about(standby)).call("history", timeline="2")
    assert not answer.done
    assert "00000002.history is missing" in answer.field("reason")
