"""WAL of a dead primary in its standby: all of it, at once, or nothing under its real name."""

import itertools
import shutil
from dataclasses import replace

import pytest

from failoverd.core.wal_answers import NotSalvaged, Salvaged
from failoverd.demo import postgres
from tests.cluster import servers
from tests.cluster.salvaging import (
    MEGABYTE,
    Scene,
    Spoilt,
    control,
    flushed,
    hold_back,
    local,
    received,
    rows,
    scene,
    with_segments_of,
    write,
)


async def carried(s: Scene, megabytes: float) -> Salvaged:
    return await taken_over(s.lag(megabytes))


async def taken_over(s: Scene) -> Salvaged:
    position = await s.freeze()
    assert rows(s.standby) < s.wanted
    found = await s.salvage(position)
    assert isinstance(found, Salvaged), found.evidence.sentence
    nothing_lost(s, found)
    return found


def nothing_lost(s: Scene, found: Salvaged) -> None:
    """Every row is there, and the new timeline begins where the old primary's WAL ended."""
    assert s.promoted() == s.wanted
    assert s.switch_point() == found.end.end


LAGS = {
    "archived": 40, "blind": 40, "whole": 40, "resumed": 40, "cut": 3, "wrong": 3, "page": 0.4,
    "free": 0.4, "late": 0, "ahead": 0,
}  # fmt: skip
"""A standby for each case, and what it lacks: megabytes, growing from the last to the first."""


@pytest.fixture(scope="module")
def dead(grounds):
    """One primary that has died; none of the cases changes what is left of it."""
    ground = grounds(servers.binaries_by_major()[0])
    with (
        servers.cluster(ground, *LAGS, autovacuum="off", **servers.RETRIES_SOON) as them,
        servers.short_directory() as archive,
    ):
        write(them.pg1)
        for standby in them.standbys.values():
            has_all(them.pg1, standby)
        steps = sorted(set(LAGS.values()), reverse=True)
        for lag, less in itertools.pairwise(steps):
            if lag == LAGS["page"]:
                to_the_middle_of_a_segment(them)
            for name in (name for name in LAGS if LAGS[name] == lag):
                hold_back(them[name])
            write(them.pg1, lag - less)
            if lag == LAGS["archived"]:
                lives_on(archive, them["archived"], them.pg1)
        for name in ("late", "ahead"):
            has_all(them.pg1, them[name])
        wanted = Scene(them.pg1, them["late"]).crash().wanted
        yield {name: Scene(them.pg1, them[name], (them["ahead"],), wanted=wanted) for name in LAGS}


def has_all(primary, standby):
    servers.wait_until(lambda: received(standby) >= flushed(primary), "it has all")


def lives_on(archive, standby, primary):
    """It has no segment of its own any more, and from there those that it had."""
    archive.chmod(0o777)
    oldest = control(standby, "Latest checkpoint's REDO WAL file")
    latest = f"{1:08X}{0:08X}{received(standby).bytes // (16 * MEGABYTE):08X}"
    postgres.sql(standby, f"alter system set restore_command = 'cp {archive}/%f %p';")
    postgres.sql(primary, "select pg_switch_wal();")
    for file in segments(primary):
        if oldest <= file.name <= latest:
            shutil.copy(file, archive / file.name)
            (archive / file.name).chmod(0o644)
    postgres.stop(standby)
    for file in segments(standby):
        file.unlink()
    postgres.start(standby)


def segments(server):
    found = sorted((server.data_dir / "pg_wal").iterdir())
    return [file for file in found if len(file.name) == 24]


def to_the_middle_of_a_segment(them):
    while not 1 < flushed(them.pg1).bytes / MEGABYTE % 16 < 14:
        write(them.pg1, 1)
    has_all(them.pg1, them["page"])


async def test_a_standby_in_the_middle_of_the_same_segment_gets_the_pages_it_lacks(dead):
    segment = received(dead["page"].standby).bytes // (16 * MEGABYTE)
    found = await taken_over(dead["page"])
    assert found.end.end.bytes // (16 * MEGABYTE) == segment
    assert found.carried_bytes < 1024 * 1024
    assert "brought over from pg1" in found.evidence.sentence


async def test_what_is_more_goes_segment_by_segment_and_is_told_of(dead):
    found = await taken_over(dead["whole"])
    assert found.carried_bytes > 40 * 1024 * 1024


async def test_nothing_is_carried_where_nothing_is_missing(dead):
    s = dead["late"]
    position = await s.freeze()
    found = await s.salvage(position)
    assert isinstance(found, Salvaged)
    assert (found.carried_bytes == 0) is (position >= found.end.end)
    assert s.promoted() == s.wanted


async def test_a_standby_that_is_not_frozen_by_this_epoch_takes_nothing(dead):
    s = dead["free"]
    position = await s.freeze()
    before = sorted((s.standby.data_dir / "pg_wal").iterdir())
    found = await s.salvage(position, epoch=8)
    assert isinstance(found, NotSalvaged)
    assert "not frozen for epoch 8" in found.evidence.sentence
    assert found.end is not None, "what is lost is known all the same"
    assert sorted((s.standby.data_dir / "pg_wal").iterdir()) == before


# Whatever the server is like.


@pytest.mark.parametrize("megabytes", [1, pytest.param(64, marks=pytest.mark.campaign)])
async def test_segments_of_another_size(ground, room, running, megabytes):
    s = scene(with_segments_of(megabytes, ground, room), room, running)
    found = await carried(s, 3)
    assert found.carried_bytes > 3 * 1024 * 1024


@pytest.mark.campaign
async def test_compressed_wal_is_carried_as_well(ground, room, running):
    s = scene(ground, room, running, wal_compression="on")
    await carried(s, 5)


@pytest.mark.campaign
async def test_a_segment_that_ends_with_the_last_record(ground, room, running):
    """After a switch of segments there is nothing behind the end, be it old or empty."""
    s = scene(ground, room, running)
    hold_back(s.standby)
    write(s.primary)
    postgres.sql(s.primary, "select pg_switch_wal();")
    write(s.primary)
    s.crash()
    found = await s.salvage(await s.freeze())
    assert isinstance(found, Salvaged), found.evidence.sentence
    nothing_lost(s, found)


async def test_wal_that_ends_at_the_end_of_a_page(ground, room, running):
    s = scene(ground, room, running)
    hold_back(s.standby)
    write(s.primary)
    s.wanted = rows(s.primary)  # whose pages are written to by whoever reads them first
    servers.silence(s.primary)
    end_at_page(s.primary)
    postgres.kill(s.primary)
    found = await s.salvage(await s.freeze())
    assert isinstance(found, Salvaged), found.evidence.sentence
    assert found.end.end.bytes % 8192 == 0
    nothing_lost(s, found)


def end_at_page(server):
    """A commit whose last byte is the last of a page."""
    for _ in range(40):
        before = flushed(server).bytes
        postgres.sql(server, message(1000))
        overhead = flushed(server).bytes - before - 1000
        left = 8192 - flushed(server).bytes % 8192
        if left > overhead + 64:
            postgres.sql(server, message((left - overhead) // 8 * 8))
        if flushed(server).bytes % 8192 == 0:
            return
    raise AssertionError("no commit ended with a page")


def message(size):
    return f"select pg_logical_emit_message(true, 'fill', repeat('x', {size}));"


@pytest.mark.campaign
async def test_recycled_segments_of_the_standby_keep_their_old_content(ground, room, running):
    s = scene(ground, room, running, min_wal_size="96MB", max_wal_size="96MB", wal_keep_size="96MB")
    for _ in range(3):
        write(s.primary, 20)
        postgres.sql(s.primary, "checkpoint;")
        servers.wait_until(lambda: received(s.standby) >= flushed(s.primary), "it has all")
        postgres.sql(s.standby, "checkpoint;")
    await carried(s, 30)


@pytest.mark.campaign
async def test_tables_in_a_tablespace_of_their_own(ground, room, running):
    s = scene(ground, room, running, allow_in_place_tablespaces="on")
    postgres.sql(
        s.primary, "set allow_in_place_tablespaces = on; create tablespace far location '';"
    )
    postgres.sql(s.primary, "alter table t set tablespace far;")
    await carried(s, 3)


async def test_a_standby_that_lives_on_an_archive_alone(dead):
    await taken_over(dead["archived"])


async def test_a_primary_on_a_later_timeline_that_began_in_this_segment(ground, room, running):
    s = scene(ground, room, running, "pg2", "pg3")
    third = s.others[0]
    first = s.primary
    postgres.kill(first)
    postgres.sql(s.standby, "select pg_promote();")
    servers.wait_until(lambda: not servers.in_recovery(s.standby), "pg2 takes writes")
    conninfo = postgres.sql(third, "show primary_conninfo;")
    moved = conninfo.replace(f"port={first.port}", f"port={s.standby.port}")
    postgres.sql(
        third, f"alter system set primary_conninfo = '{moved.replace(chr(39), chr(39) * 2)}';"
    )
    postgres.sql(third, "select pg_reload_conf();")
    postgres.wait_until_streaming(s.standby, third)
    later = Scene(s.standby, third, timeline=2)
    write(later.primary)
    servers.wait_until(lambda: received(third) >= flushed(later.primary), "pg3 follows")
    await carried(later, 0.4)


async def test_without_the_primarys_disk_the_most_advanced_standby_is_read(dead):
    s = dead["blind"]
    wal = s.primary.data_dir / "pg_wal"
    await s.freeze(s.others[0])
    position = await s.freeze()
    wal.rename(wal.with_name("unreadable"))
    try:
        unreadable = await s.salvage(position)
        assert isinstance(unreadable, NotSalvaged)
        assert unreadable.end is None
        found = await s.salvage(position, s.others[0])
    finally:
        wal.with_name("unreadable").rename(wal)
    assert isinstance(found, Salvaged), found.evidence.sentence
    nothing_lost(s, found)


# When it fails in the middle.


def cut_off_after(count):
    async def spoil(blocks):
        passed = 0
        async for block in blocks:
            passed += len(block)
            if passed > count:
                return
            yield block

    return spoil


async def one_bit_wrong(blocks):
    first = True
    async for block in blocks:
        yield bytes([block[0] ^ 1]) + block[1:] if first else block
        first = False


@pytest.mark.parametrize(
    ("name", "spoil", "why"),
    [
        ("cut", cut_off_after(300_000), "bytes arrived, or could be written"),
        ("wrong", one_bit_wrong, "another checksum"),
    ],
    ids=["cut off", "one bit wrong"],
)
async def test_what_does_not_arrive_whole_leaves_the_standby_as_it_was(dead, name, spoil, why):
    s = dead[name]
    position = await s.freeze()
    before = whole_segments(s.standby)
    s.hosts[name] = Spoilt(local(name), spoil)
    found = await s.salvage(position)
    assert isinstance(found, NotSalvaged)
    assert why in found.evidence.sentence
    assert found.may_retry
    assert found.end is not None, "the loss is known"
    assert whole_segments(s.standby) == before
    del s.hosts[name]
    found = await s.salvage(position)
    assert isinstance(found, Salvaged), found.evidence.sentence
    nothing_lost(s, found)


async def test_whoever_comes_after_a_cut_goes_on_behind_what_has_arrived(dead):
    s = dead["resumed"]
    position = await s.freeze()
    chunks = []

    async def second_is_lost(blocks):
        chunks.append(None)
        async for block in blocks:
            if len(chunks) < 2:
                yield block

    s.hosts["resumed"] = Spoilt(local("resumed"), second_is_lost)
    cut = await s.salvage(position)
    assert isinstance(cut, NotSalvaged)
    del s.hosts["resumed"]
    found = await s.salvage(position)
    assert isinstance(found, Salvaged), found.evidence.sentence
    assert found.carried_bytes < found.end.end - position - 1024 * 1024
    nothing_lost(s, found)


@pytest.mark.campaign
async def test_no_more_time_is_taken_than_it_may_take(ground, room, running):
    s = scene(ground, room, running)
    s.lag(40)
    s.limits = replace(s.limits, salvage_s=2.0, salvage_bytes_s=4 * 1024 * 1024)
    position = await s.freeze()
    began = servers.monotonic()
    found = await s.salvage(position)
    assert isinstance(found, NotSalvaged)
    assert servers.monotonic() - began < 30
    assert found.end is not None


def whole_segments(server):
    return {
        file.name: file.read_bytes()
        for file in (server.data_dir / "pg_wal").iterdir()
        if file.is_file()
    }
