"""What was journaled survives; what cannot be journaled is not done."""

from __future__ import annotations

import asyncio
import contextlib
import os
import sqlite3
import stat
import threading
from dataclasses import replace

import pytest

from failoverd.core.events import StillAlive
from failoverd.core.model import ClusterView, Epoch, WallTime
from failoverd.core.states import StateName
from failoverd.daemon import journal as journal_module
from failoverd.daemon import journal_file
from failoverd.daemon.journal import Journal, JournalCorrupt, JournalFailed, StateDirectoryInUse
from failoverd.record.record import Record
from tests.unit.story import Story, failover


@pytest.fixture
def journal(tmp_path):
    opened = Journal.open(tmp_path / "state")
    yield opened
    opened.close()


def records_of(story, cluster="main"):
    for before, _, after, entry, now in story.steps:
        if entry is not None:
            incident = after.incident or before.incident
            epoch = incident.epoch if incident is not None else Epoch(0)
            yield Record(cluster, now.wall, epoch, entry, after)


async def keep(journal, story, cluster="main"):
    for record in records_of(story, cluster):
        await journal.append(record)


def without_view(machine):
    return replace(machine, view=ClusterView({}))


async def test_a_restart_finds_the_last_machine(tmp_path):
    story = failover()
    journal = Journal.open(tmp_path)
    await keep(journal, story)
    journal.close()
    again = Journal.open(tmp_path)
    assert again.latest("main") == without_view(story.machine)
    again.close()


async def test_a_state_directory_keeps_the_identity_that_its_daemon_acts_by(tmp_path):
    first = Journal.open(tmp_path / "one")
    other = Journal.open(tmp_path / "other")
    assert first.identity != other.identity
    first.close()
    other.close()
    again = Journal.open(tmp_path / "one")
    assert again.identity == first.identity
    again.close()


async def test_a_cluster_that_was_never_journaled_has_no_machine(journal):
    assert journal.latest("main") is None


async def test_clusters_do_not_see_each_other(journal):
    await keep(journal, failover(), "one")
    await keep(journal, Story().all_well(), "two")
    assert journal.incidents("two") == ()
    assert journal.transitions("two") == {("starting", "watching", "automatic"): 1}


async def test_an_incident_is_told_from_the_first_suspicion_to_the_end(journal):
    await keep(journal, failover())
    assert journal.incidents("main") == (1,)
    told = journal.entries("main", 1)
    assert told[0].entry.to_state is StateName.SUSPECT
    assert told[-1].entry.sentence.endswith("watching: pg2 is the primary on timeline 2")
    assert (
        "pg1: a fresh connection: refused (Connection refused), 0.01 s before" in told[1].entry.seen
    )


async def test_no_incident_has_another_number(journal):
    await keep(journal, failover())
    assert journal.entries("main", 7) == ()


async def test_records_are_the_newest_oldest_first(journal):
    story = failover()
    await keep(journal, story)
    newest = journal.records("main", limit=2)
    assert [one.entry for one in newest] == story.entries[-2:]
    assert {one.epoch for one in journal.records("main", epoch=1)} == {1}


async def test_the_view_is_kept_where_it_was_decided_on(journal):
    story = failover()
    await keep(journal, story)
    deciding = [r for r in journal.records("main") if r.entry.to_state is StateName.FENCING]
    assert deciding[0].machine == next(
        after for _, _, after, entry, _ in story.steps if entry == deciding[0].entry
    )


async def test_counts_outlive_the_records(tmp_path, monkeypatch):
    monkeypatch.setattr(journal_file, "KEEP_PLAIN", 1)
    journal = Journal.open(tmp_path)
    await keep(journal, Story().all_well().primary_dies().answers(StillAlive))
    await keep(journal, Story().all_well())
    journal.close()
    again = Journal.open(tmp_path)
    assert again.failovers("main") == {("automatic", "cancelled"): 1}
    assert again.transitions("main")["starting", "watching", "automatic"] == 2
    assert len(again.records("main")) < len(list(records_of(Story().all_well()))) * 2 + 5
    assert again.incidents("main") == (1,)
    again.close()


async def test_old_plain_records_go_and_the_last_of_each_cluster_stays(tmp_path):
    journal = Journal.open(tmp_path)
    old = next(records_of(Story().all_well()))
    for _ in range(3):
        await journal.append(old)
    later = WallTime(old.at + 31 * 86400)
    await journal.append(Record("other", later, old.epoch, old.entry, old.machine))
    journal.close()
    again = Journal.open(tmp_path)
    assert len(again.records("main")) == 1
    again.close()


async def test_only_its_owner_can_read_it(journal):
    await keep(journal, failover())
    modes = {p.name: stat.S_IMODE(p.stat().st_mode) for p in journal.directory.iterdir()}
    assert set(modes.values()) == {0o600}
    assert {"journal.sqlite3", "journal.sqlite3-wal", "lock"} <= set(modes)
    assert stat.S_IMODE(journal.directory.stat().st_mode) == 0o700


def test_a_second_daemon_is_told_who_holds_the_directory(journal):
    with pytest.raises(StateDirectoryInUse, match=f"process {os.getpid()}$"):
        Journal.open(journal.directory)


def test_after_a_close_the_directory_is_free_again(tmp_path):
    Journal.open(tmp_path).close()
    Journal.open(tmp_path).close()


async def test_a_record_counts_as_written_only_when_another_connection_sees_it(journal):
    story = Story().all_well()
    await keep(journal, story)
    other = sqlite3.connect(journal.path)
    (count,) = other.execute("SELECT count(*) FROM records").fetchone()
    other.close()
    assert count == len(story.entries)


async def test_a_file_that_cannot_be_written_fails_the_append(journal):
    story = Story().all_well()
    other = sqlite3.connect(journal.path, isolation_level=None)
    other.execute("BEGIN EXCLUSIVE")
    with pytest.raises(JournalFailed, match="locked"):
        await keep(journal, story)
    other.execute("ROLLBACK")
    other.close()
    await keep(journal, story)
    assert journal.latest("main") is not None


async def test_a_disk_that_hangs_fails_the_append_at_its_deadline(journal, monkeypatch):
    monkeypatch.setattr(journal_module, "DEADLINE_S", 0.05)
    hangs = threading.Event()
    journal._write_thread.submit(hangs.wait)
    with pytest.raises(JournalFailed, match="no answer in"):
        await keep(journal, Story().all_well())
    hangs.set()
    await asyncio.get_running_loop().run_in_executor(journal._write_thread, lambda: None)
    assert journal.latest("main") is None


@contextlib.contextmanager
def writing_held(journal):
    """Nothing is written until the end; what was journaled meanwhile waits."""
    hangs = threading.Event()
    journal._write_thread.submit(hangs.wait)
    try:
        yield
    finally:
        hangs.set()


def one_each(clusters):
    record = next(records_of(Story().all_well()))
    return [replace(record, cluster=f"c{number}") for number in range(clusters)]


async def test_a_thousand_clusters_that_journal_at_once_need_few_transactions(journal):
    statements = []
    journal._writer.set_trace_callback(statements.append)
    with writing_held(journal):
        waiting = [asyncio.create_task(journal.append(one)) for one in one_each(1000)]
        await asyncio.sleep(0)
    await asyncio.gather(*waiting)
    assert statements.count("COMMIT") == 1000 / journal_module.AT_ONCE
    assert set(journal.clusters()) == {f"c{number}" for number in range(1000)}


async def test_one_that_cannot_be_encoded_takes_no_other_with_it(journal):
    first, second, third = one_each(3)
    second = replace(second, machine=replace(second.machine, visit=float("nan")))
    with writing_held(journal):
        waiting = [asyncio.create_task(journal.append(one)) for one in (first, second, third)]
        await asyncio.sleep(0)
    ended = await asyncio.gather(*waiting, return_exceptions=True)
    assert [type(one) for one in ended] == [type(None), JournalFailed, type(None)]
    assert journal.clusters() == ("c0", "c2")


async def test_all_that_share_a_transaction_that_fails_are_told(journal):
    other = sqlite3.connect(journal.path, isolation_level=None)
    other.execute("BEGIN EXCLUSIVE")
    with writing_held(journal):
        waiting = [asyncio.create_task(journal.append(one)) for one in one_each(3)]
        await asyncio.sleep(0)
    ended = await asyncio.gather(*waiting, return_exceptions=True)
    assert [type(one) for one in ended] == [JournalFailed] * 3
    other.execute("ROLLBACK")
    other.close()
    assert journal.clusters() == ()


async def test_a_record_that_nobody_waits_for_any_more_is_not_written(journal, monkeypatch):
    monkeypatch.setattr(journal_module, "DEADLINE_S", 0.05)
    given_up, waited_for = one_each(2)
    with writing_held(journal), pytest.raises(JournalFailed):
        await journal.append(given_up)
    monkeypatch.undo()
    await journal.append(waited_for)
    assert journal.clusters() == ("c1",)


async def test_after_a_close_nothing_is_accepted(tmp_path):
    journal = Journal.open(tmp_path)
    journal.close()
    with pytest.raises(JournalFailed):
        await keep(journal, Story().all_well())


def broken(journal, sql):
    other = sqlite3.connect(journal.path)
    other.execute(sql)
    other.commit()
    other.close()


async def test_a_last_record_that_is_damaged_is_an_error_that_says_what_to_do(journal):
    await keep(journal, Story().all_well())
    broken(journal, "UPDATE records SET machine = substr(machine, 1, 100)")
    with pytest.raises(JournalCorrupt, match=r"record \d+ of cluster main: not JSON.*by hand"):
        journal.latest("main")


async def test_a_record_of_a_newer_version_is_not_guessed_at(journal):
    await keep(journal, Story().all_well())
    broken(journal, "UPDATE records SET version = 99")
    with pytest.raises(JournalCorrupt, match="newer version"):
        journal.latest("main")


def test_a_file_that_is_no_database_is_said_to_be_corrupt(tmp_path):
    (tmp_path / "journal.sqlite3").write_bytes(b"this is not a database" * 100)
    with pytest.raises(JournalCorrupt, match=r"journal\.sqlite3 is corrupt"):
        Journal.open(tmp_path)


def test_a_file_of_a_newer_version_is_left_alone(tmp_path):
    Journal.open(tmp_path).close()
    other = sqlite3.connect(tmp_path / "journal.sqlite3")
    other.execute("PRAGMA user_version = 99")
    other.close()
    with pytest.raises(JournalFailed, match=r"newer version of failoverd \(99\)"):
        Journal.open(tmp_path)
    other = sqlite3.connect(tmp_path / "journal.sqlite3")
    assert other.execute("PRAGMA user_version").fetchone() == (99,)
    other.close()


def test_a_directory_that_cannot_be_made_is_said(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(JournalFailed, match="cannot be used"):
        Journal.open(tmp_path / "file" / "state")
