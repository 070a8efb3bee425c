"""Where the WAL of a real server ends: to the byte, whatever lies behind it."""

import shutil
import subprocess
from dataclasses import dataclass

import pytest

from failoverd.core.lsn import Lsn
from failoverd.demo import postgres
from failoverd.demo.postgres import Server
from tests.cluster import servers
from tests.cluster.servers import Ground, ask_about

MAJORS = servers.binaries_by_major()


def lsn(server, function="pg_current_wal_flush_lsn"):
    return Lsn.parse(postgres.sql(server, f"select {function}();"))


def write(server, rows=1000):
    """Committed, so that it is all on disk when this returns."""
    postgres.sql(
        server,
        "create table if not exists t (a bigint, b text);"
        f" insert into t select n, repeat('x', 100) from generate_series(1, {rows}) n;",
    )


async def wal_end(server, start, timeline=1):
    facts = await ask_about(server).facts()
    return await ask_about(server).call(
        "wal_end",
        system_identifier=facts.system_identifier,
        start=str(start),
        timeline=str(timeline),
        seconds="20",
    )


async def end_of(server, start, timeline=1):
    answer = await wal_end(server, start, timeline)
    assert answer.done, answer.run.output
    return Lsn.parse(answer.field("wal_end"))


@dataclass(frozen=True)
class Crashed:
    """A data directory that was left by a crash; its WAL ends with the commit that came last."""

    ground: Ground
    left: Server
    start: Lsn
    end: Lsn

    def copy(self, room):
        server = self.ground.server("copy", room)
        subprocess.run(["cp", "-a", self.left.data_dir, server.data_dir], check=True, timeout=60)
        (server.data_dir / "postmaster.pid").unlink(missing_ok=True)
        postgres.write_settings(server)
        return server


def crash(ground, place):
    server = servers.start_primary(ground, place, f"crashed{ground.binaries.major}")
    write(server)
    servers.silence(server)
    start = lsn(server)
    write(server)
    end = lsn(server)
    postgres.kill(server)
    return Crashed(ground, server, start, end)


@pytest.fixture(scope="module")
def crashes(grounds):
    """One of each version, whenever it is first asked for."""
    found = {}
    with servers.short_directory() as place:

        def of(binaries):
            if binaries.major not in found:
                found[binaries.major] = crash(grounds(binaries), place)
            return found[binaries.major]

        yield of


@pytest.fixture
def crashed(crashes, room):
    left = crashes(MAJORS[-1])
    return left.copy(room), left.start, left.end


@pytest.fixture(params=MAJORS, ids=lambda found: f"postgresql-{found.major}")
def crashed_each(request, crashes, room, running):
    left = crashes(request.param)
    return running(left.copy(room)), left.start, left.end


async def test_the_end_is_where_the_last_commit_was_flushed(crashed_each):
    server, start, end = crashed_each
    found = await wal_end(server, start)
    assert found.done, found.run.output
    assert Lsn.parse(found.field("wal_end")) == end
    assert start < Lsn.parse(found.field("last_record")) < end


async def test_it_is_the_same_from_wherever_it_is_sought(crashed):
    server, start, end = crashed
    for position in (start, end, Lsn(end.bytes - 1), Lsn(end.bytes - 100_000), Lsn(0x1000028)):
        assert await end_of(server, position) == end, position


async def test_a_position_beyond_the_end_finds_the_end(crashed):
    server, _, end = crashed
    assert await end_of(server, Lsn(end.bytes + 1000)) == end


async def test_it_is_where_recovery_ends(crashed_each):
    server, start, end = crashed_each
    found = await end_of(server, start)
    postgres.start(server)
    redone = postgres.sql(server, "select redo_lsn from pg_control_checkpoint();")
    # The checkpoint at the end of recovery is the first record after it.
    assert Lsn.parse(redone) == found == end


def corrupt(server, at, junk):
    """Overwrite WAL behind the end, as it stands in the file."""
    segment = 16 * 1024 * 1024
    file = server.data_dir / "pg_wal" / f"{1:08X}{0:08X}{at // segment:08X}"
    with file.open("r+b") as stream:
        stream.seek(at % segment)
        stream.write(junk)


async def test_a_torn_record_ends_it(crashed):
    server, start, end = crashed
    found = await wal_end(server, start)
    last = Lsn.parse(found.field("last_record"))
    corrupt(server, last.bytes + 24, b"\xff" * 4)
    torn = await end_of(server, start)
    assert torn == last
    assert torn < end


@pytest.mark.parametrize("junk", [b"\0", b"\xff", b"\x36"], ids=["zeros", "ones", "digits"])
async def test_what_lies_behind_it_is_not_taken_for_wal(crashed, junk):
    server, start, end = crashed
    corrupt(server, end.bytes, junk * 4000)
    assert await end_of(server, start) == end


async def test_recycled_segments_with_old_content_are_not_taken_for_wal(crashed):
    server, start, end = crashed
    wal = server.data_dir / "pg_wal"
    old = wal / f"{1:08X}{0:08X}{1:08X}"
    # The tail of the present segment and all of the next ones hold what was written long ago.
    corrupt(server, end.bytes, old.read_bytes()[end.bytes % (1 << 24) :])
    for number in (end.bytes // (1 << 24) + 1, end.bytes // (1 << 24) + 2):
        shutil.copy(old, wal / f"{1:08X}{0:08X}{number:08X}")
    assert await end_of(server, start) == end


async def test_segments_that_were_never_written_do_not_hide_its_size(crashed):
    server, start, end = crashed
    wal = server.data_dir / "pg_wal"
    for number in range(end.bytes // (1 << 24) + 1, end.bytes // (1 << 24) + 4):
        (wal / f"{1:08X}{0:08X}{number:08X}").write_bytes(bytes(1 << 24))
    assert await end_of(server, start) == end


async def test_who_reads_where_wal_ends_writes_nothing(crashed):
    server, start, _ = crashed

    def everything():
        return {
            str(f): (f.stat().st_mtime_ns, f.stat().st_size) for f in server.data_dir.rglob("*")
        }

    before = everything()
    await end_of(server, start)
    assert everything() == before
