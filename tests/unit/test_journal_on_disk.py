"""A journal of any version can be read; one that is damaged, or has no room, is not guessed at."""

from __future__ import annotations

import random
import sqlite3
import subprocess
import sys
from contextlib import closing
from dataclasses import replace
from pathlib import Path

import pytest

from failoverd.core.asked import effects
from failoverd.core.events import EffectFailed, Now, Replied
from failoverd.core.model import Instant, WallTime
from failoverd.core.restart import restored
from failoverd.core.schedule import OperatorSwitchover
from failoverd.core.states import Promoting, StateName, name_of
from failoverd.daemon.journal import Journal, JournalCorrupt
from failoverd.daemon.journal_file import SCHEMA_VERSION, JournalError
from failoverd.record.record import Basis
from tests.unit.story import POLICY, WALL, Story, evidence, failover
from tests.unit.test_journal import keep, records_of, without_view

KEPT = Path(__file__).parent / "journals"
CHECKOUT = Path(__file__).parents[2]


def switchover() -> Story:
    story = Story(policy=replace(POLICY, can_rejoin=True)).all_well()
    story.happens(OperatorSwitchover("ann"))
    return story.answers(limit=1)


def blocked() -> Story:
    story = Story().all_well().primary_dies()
    failed = EffectFailed("no_proof", evidence("its host cannot be reached"))
    story.happens(Replied(story.machine.visit, effects(story.machine)[0], failed))
    return story


def killed_while_it_was_asked() -> Story:
    story = Story().all_well().primary_dies()
    while not isinstance(story.machine.state, Promoting):
        story.answers(limit=1)
    return story


STORIES = {
    "main": failover,
    "planned": switchover,
    "stuck": blocked,
    "killed": killed_while_it_was_asked,
}


async def write_of_this_version() -> Path:
    """What a later version must read: run when the schema changes, before it does.

    python -c 'import asyncio; from tests.unit.test_journal_on_disk import *
    asyncio.run(write_of_this_version())'
    """
    directory = KEPT / "made"
    journal = Journal.open(directory)
    for cluster, story in STORIES.items():
        await keep_whole(journal, story(), cluster)
        journal.decided(cluster, 1)
    journal.close()
    with closing(sqlite3.connect(directory / "journal.sqlite3")) as db:
        lines = [*db.iterdump(), f"PRAGMA user_version = {SCHEMA_VERSION};"]
    for file in directory.iterdir():
        file.unlink()
    directory.rmdir()
    file = KEPT / f"schema-{SCHEMA_VERSION}.sql"
    file.write_text("\n".join([*lines, ""]))
    return file


async def keep_whole(journal, story, cluster):
    """With what each step was decided on."""
    told = [one for one in story.steps if one[3] is not None]
    for record, (before, event, _, _, now) in zip(records_of(story, cluster), told, strict=True):
        basis = Basis(before, event, now, story.policy)
        await journal.append(replace(record, basis=basis))


def opened_from(kept: Path, directory: Path) -> Journal:
    directory.mkdir(mode=0o700)
    with closing(sqlite3.connect(directory / "journal.sqlite3")) as db:
        db.executescript(kept.read_text())
    return Journal.open(directory)


@pytest.mark.parametrize("kept", sorted(KEPT.glob("*.sql")), ids=lambda path: path.stem)
async def test_a_journal_of_that_version_is_read_and_gone_on_with(kept, tmp_path):
    journal = opened_from(kept, tmp_path / "state")
    machine = journal.latest("main")
    assert machine is not None
    assert (machine.memory.primary, name_of(machine.state)) == ("pg2", StateName.WATCHING)
    assert journal.incidents("main") == (1,)
    told = journal.entries("main", 1)
    assert told[-1].entry.sentence.endswith("watching: pg2 is the primary on timeline 2")
    assert journal.transitions("main")["confirming", "settling", "automatic"] == 1
    assert len(journal.records("main")) > len(told) - 1
    await keep(journal, failover())
    journal.close()
    with closing(sqlite3.connect(tmp_path / "state/journal.sqlite3")) as db:
        assert db.execute("PRAGMA user_version").fetchone() == (SCHEMA_VERSION,)


def test_every_version_that_was_written_is_kept():
    kept = {int(path.stem.removeprefix("schema-")) for path in KEPT.glob("*.sql")}
    assert set(range(1, SCHEMA_VERSION + 1)) <= kept


LATER = sorted(KEPT.glob("schema-[!1]*.sql"))


@pytest.mark.parametrize("kept", LATER, ids=lambda path: path.stem)
def test_a_daemon_takes_up_what_one_of_that_version_has_left(kept, tmp_path):
    journal = opened_from(kept, tmp_path / "state")
    left = {cluster: journal.latest(cluster) for cluster in STORIES}
    names = {cluster: name_of(machine.state).value for cluster, machine in left.items()}
    assert names == {
        "main": "watching", "planned": "fencing", "stuck": "blocked", "killed": "promoting",
    }  # fmt: skip
    again = Now(Instant(5.0), WallTime(WALL + 200))
    killed = restored(left["killed"], again)
    assert (name_of(killed.state), killed.asked) == (StateName.STARTING, {"pg2"})
    assert restored(left["main"], again).memory.primary == "pg2"
    assert journal.failovers("main") == {("automatic", "succeeded"): 1}
    for cluster in STORIES:
        steps = journal.decided(cluster, 1)
        assert len(steps) > 0
        assert all(step.basis is not None for step in steps)
    journal.close()


@pytest.fixture
async def written(tmp_path):
    """The bytes of a journal at rest, and the last machine in it."""
    journal = Journal.open(tmp_path / "whole")
    story = failover()
    await keep(journal, story)
    journal.close()
    return (tmp_path / "whole/journal.sqlite3").read_bytes(), without_view(story.machine)


def cut_off(data, chance):
    return data[: chance.randrange(1, len(data))]


def with_a_block_of_noise(data, chance):
    at = chance.randrange(0, len(data), 512)
    return data[:at] + chance.randbytes(512) + data[at + 512 :]


def with_a_page_of_nothing(data, chance):
    at = chance.randrange(0, len(data), 4096)
    return data[:at] + bytes(4096) + data[at + 4096 :]


@pytest.mark.parametrize("damage", [cut_off, with_a_block_of_noise, with_a_page_of_nothing])
async def test_a_damaged_journal_gives_what_was_written_or_says_what_to_do(
    written, tmp_path, damage
):
    """Never another machine: a daemon that resumed from one would act on it."""
    whole, last = written
    refused = 0
    for seed in range(40):
        directory = tmp_path / f"{seed}"
        directory.mkdir(mode=0o700)
        (directory / "journal.sqlite3").write_bytes(damage(whole, random.Random(seed)))
        try:
            journal = Journal.open(directory)
        except JournalError as error:
            assert "journal.sqlite3" in str(error)
            refused += 1
            continue
        try:
            assert journal.latest("main") == last
            journal.records("main")
        except JournalCorrupt as error:
            assert "move the file aside" in str(error)
            refused += 1
        finally:
            journal.close()
    assert refused > 0


async def test_a_damaged_journal_that_is_moved_aside_is_a_way_on(written, tmp_path):
    whole, _ = written
    directory = tmp_path / "state"
    directory.mkdir(mode=0o700)
    file = directory / "journal.sqlite3"
    file.write_bytes(whole[: len(whole) // 2])
    with pytest.raises(JournalCorrupt, match="move the file aside and start again"):
        Journal.open(directory)
    file.rename(directory / "journal.damaged")
    journal = Journal.open(directory)
    assert journal.latest("main") is None
    journal.close()


FILL = """
import asyncio, sys
from pathlib import Path
from failoverd.core.states import StateName, name_of
from failoverd.daemon.journal import Journal, JournalFailed
from tests.unit.story import failover
from tests.unit.test_journal import records_of

async def fill():
    journal = Journal.open(Path(sys.argv[1]) / "state")
    kept = 0
    try:
        for _ in range(1000):
            for record in records_of(failover()):
                await journal.append(record)
                kept += 1
    except JournalFailed as error:
        print(f"refused after {kept}: {error}")
    assert len(journal.records("main", limit=10**6)) == kept
    (Path(sys.argv[1]) / "ballast").unlink()
    await journal.append(record)
    print("goes on")
    journal.close()

asyncio.run(fill())
"""
OPEN = """
import sys
from pathlib import Path
from failoverd.core.states import StateName, name_of
from failoverd.daemon.journal import Journal, JournalFailed
try:
    Journal.open(Path(sys.argv[1]) / "state")
except JournalFailed as error:
    print(error)
"""


def in_a_file_system(prepare, program, place):
    """Mounted by ourselves in namespaces of our own, which needs no right of root."""
    script = f'{prepare} && exec "$0" -c "$1" "$2"'
    done = subprocess.run(
        ["unshare", "--map-root-user", "--mount", "sh", "-ec", script,
         sys.executable, program, str(place)],
        cwd=CHECKOUT, capture_output=True, text=True, timeout=100, check=False,
        env={"PATH": "/usr/sbin:/usr/bin:/sbin:/bin", "PYTHONPATH": str(CHECKOUT)},
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_a_full_disk_fails_what_was_not_written_and_room_lets_it_go_on(tmp_path):
    said = in_a_file_system(
        'mount -t tmpfs -o size=2m tmpfs "$2" && head -c 1m /dev/zero >"$2/ballast"', FILL, tmp_path
    )
    assert "refused after" in said
    assert "journal.sqlite3: database or disk is full" in said
    assert said.endswith("goes on\n")


def test_a_state_directory_that_is_read_only_is_said_at_the_start(tmp_path):
    (tmp_path / "state").mkdir()
    said = in_a_file_system(
        'mount --bind "$2" "$2" && mount -o remount,bind,ro "$2"', OPEN, tmp_path
    )
    assert "the state directory cannot be used" in said
    assert "Read-only file system" in said
