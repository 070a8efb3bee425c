"""An old primary comes back as a standby: rewound, copied or merely started."""

import asyncio
import contextlib
import os
import signal
import subprocess
import time
from dataclasses import replace
from pathlib import Path

import pytest

from failoverd.config.grants import replication_grants
from failoverd.core.effects import Rejoin
from failoverd.core.model import Epoch, NodeName
from failoverd.core.schedule import Rejoined, Rejoining
from failoverd.demo import postgres
from failoverd.effect.rejoin import rejoin
from failoverd.effect.replication import Replication
from tests.cluster import servers
from tests.cluster.servers import ask_about
from tests.cluster.worlds import world_of
from tests.waiting import in_vain, wait_until

OVER = ("started", "failed")
ROLE = "replicator"
"""It may do what is granted to it, and no more."""

NEWEST, *OLDER = servers.binaries_by_major()


def named(found):
    return f"postgresql-{found.major}"


@pytest.fixture(params=[NEWEST, *OLDER], ids=named)
def ground_of_each(request, grounds):
    if not (request.param.directory / "pg_rewind").exists():
        pytest.skip("these binaries have no pg_rewind")
    return grounds(request.param)


@pytest.fixture(
    params=[NEWEST, *(pytest.param(found, marks=pytest.mark.campaign) for found in OLDER)],
    ids=named,
)
def ground_of_newest(request, grounds):
    return grounds(request.param)


class Pair:
    """An old primary that is down and guarded, and a new one, which has gone on."""

    def __init__(self, ground, room, running, **settings):
        self.old = running(servers.start_primary(ground, room, wal_log_hints="on", **settings))
        self.new = running(servers.start_standby(ground, room, self.old))
        postgres.sql(self.old, "create table kept (n int); insert into kept values (1);")
        postgres.sql(self.old, replication_grants(ROLE))
        self.wait_until_received()

    def wait_until_received(self):
        end = postgres.sql(self.old, "select pg_current_wal_lsn();")
        caught_up = f"select pg_last_wal_replay_lsn() >= '{end}';"
        postgres.wait_for(lambda: postgres.sql(self.new, caught_up) == "t", "the standby has it")

    def promote(self):
        postgres.sql(self.new, "select pg_promote();")
        postgres.sql(self.new, "insert into kept values (2);")

    def diverge(self):
        """The standby is detached, and the old primary commits on."""
        postgres.sql(self.new, "alter system set primary_conninfo = '';")
        postgres.sql(self.new, "select pg_reload_conf();")
        nobody = "select count(*) from pg_stat_wal_receiver;"
        postgres.wait_for(lambda: postgres.sql(self.new, nobody) == "0", "it is detached")
        postgres.sql(self.old, "create table lost as select generate_series(1, 5000) n;")

    async def source(self):
        answer = await ask_about(self.new).act("rejoin_source", slot="pg1")
        assert answer.done, answer.run.output
        return answer

    async def arguments(self, method="auto"):
        source = await self.source()
        conninfo = f"host=127.0.0.1 port={self.new.port} user={ROLE} dbname=postgres"
        ours = ask_about(self.old)
        return {
            "method": method,
            "source": "pg2",
            "history": " ".join(source.fields.get("history", ())),
            "timeline": source.field("timeline"),
            "total": source.field("size_kb"),
            "tablespaces": source.field("tablespaces"),
            "source_conninfo": conninfo,
            "secret_passfile": "*:*:*:*:a word that nobody asks for",
            "secret_settings": "primary_conninfo = 'host=127.0.0.1"
            f" port={self.new.port} user={ROLE} application_name=pg1'\nprimary_slot_name = 'pg1'",
            "slot": "pg1",
            "limit": "60",
            "forward": " ".join(ours.arguments),
        }

    async def start(self, method="auto", **right):
        arguments = await self.arguments(method)
        answer = await ask_about(self.old).act("rejoin_start", **arguments, **right)
        assert answer.done, answer.run.output
        return answer

    async def state(self):
        return await ask_about(self.old).call("rejoin_status")

    async def until_over(self):
        return await answered(self.state, lambda state: state.field("phase") in OVER)

    def catch_in(self, phase):
        """Looks at the file itself, since some phases are over before a verb has answered."""
        state = self.old.directory / "data.failoverd" / "state"

        def seen():
            found = state.read_text().partition("\n")[0].removeprefix("phase=")
            assert found not in OVER, f"not within {phase}: it was over before it was looked at"
            return found == phase

        wait_until(seen, 60, f"it is {phase}", evidence=state.read_text, interval_s=0.001)

    async def comes_back(self, method="auto", **right):
        await self.start(method, **right)
        state = await self.until_over()
        assert state.field("phase") == "started", state.run.output
        postgres.wait_until_streaming(self.new, self.old)
        finished = await ask_about(self.old).act("rejoin_finish", **right)
        assert finished.done, finished.run.output
        postgres.sql(self.new, "insert into kept values (3);")
        count = "select count(*) from kept;"
        postgres.wait_for(lambda: postgres.sql(self.old, count) == "3", "it follows")
        assert postgres.sql(self.old, "show port;") == str(self.old.port)
        assert (self.old.data_dir / "standby.signal").exists()
        assert not (self.old.data_dir / "failoverd.guard").exists()
        assert self.old.data_dir.stat().st_mode & 0o007 == 0
        return finished


async def answered(ask, accepted, timeout_s=90):
    """The first answer that is accepted; else the last one is told."""
    until = time.monotonic() + timeout_s
    while not accepted(answer := await ask()):
        if time.monotonic() > until:
            raise in_vain(timeout_s, "it is at its end", str(answer))
        await asyncio.sleep(0.1)
    return answer


@pytest.fixture
def pair(ground, room, running):
    return Pair(ground, room, running)


async def guarded(server):
    answer = await ask_about(server).act("stop", mode="dead_only")
    assert answer.done, answer.run.output


async def test_what_was_shut_down_and_received_whole_is_started_and_follows(pair):
    postgres.stop(pair.old)
    await guarded(pair.old)
    pair.promote()
    assert (await pair.comes_back()).field("method") == "follow"


def restored_to_a_point_in_time(server):
    """What a restore leaves in the settings; of the next start on it counts."""
    postgres.sql(server, "alter system set recovery_target_time = '2020-01-01';")
    postgres.sql(server, "alter system set recovery_target_action = 'promote';")


async def test_what_was_once_restored_to_a_point_in_time_does_not_promote_itself(pair):
    restored_to_a_point_in_time(pair.old)
    postgres.stop(pair.old)
    pair.promote()
    await guarded(pair.old)
    await pair.comes_back()
    assert servers.in_recovery(pair.old)


async def test_under_the_guard_a_recovery_target_that_was_left_over_promotes_nobody(pair):
    restored_to_a_point_in_time(pair.old)
    led = f"host=127.0.0.1 port={pair.new.port} user=postgres"
    postgres.sql(pair.old, f"alter system set primary_conninfo = '{led}';")
    assert (await ask_about(pair.old).act("stop", mode="fast")).done
    pair.promote()
    postgres.start(pair.old)
    paused = "select pg_is_in_recovery() and pg_is_wal_replay_paused();"
    postgres.wait_for(lambda: postgres.sql(pair.old, paused) == "t", "it pauses at its target")
    assert (await ask_about(pair.old).act("stop", mode="dead_only")).done


async def test_what_was_replaced_by_hand_comes_back_where_no_incident_ever_was(pair):
    postgres.stop(pair.old)
    pair.promote()
    finished = await pair.comes_back(epoch="0", owner="the only daemon")
    assert finished.field("method") == "follow"


async def test_what_crashed_and_had_nothing_more_is_recovered_as_a_standby_and_follows(pair):
    postgres.kill(pair.old)
    await guarded(pair.old)
    pair.promote()
    assert (await pair.comes_back()).field("method") == "follow"


async def test_a_dead_postmaster_that_nobody_reaps_keeps_nobody_from_starting_it(pair):
    postgres.kill(pair.old)
    await guarded(pair.old)
    pair.promote()
    with of_its_owner(pair.old, "true") as zombie:
        servers.wait_until(lambda: servers.state_letter(zombie.pid) == "Z", "it is a zombie")
        socket_lock(pair.old).write_text(f"{zombie.pid}\n{pair.old.data_dir}\n")
        await pair.comes_back()


async def test_what_crashed_with_commits_of_its_own_is_rewound(ground_of_each, room, running):
    pair = Pair(ground_of_each, room, running)
    pair.diverge()
    postgres.kill(pair.old)
    await guarded(pair.old)
    pair.promote()
    (pair.old.data_dir / "own.conf").write_text("# of this node alone\n")
    finished = await pair.comes_back()
    assert finished.field("method") == "rewind"
    kept = Path(finished.field("kept"))
    assert any(file.name.startswith("00000001") for file in kept.iterdir())  # noqa: ASYNC240
    assert postgres.sql(pair.old, "select to_regclass('lost') is null;") == "t"
    assert (pair.old.data_dir / "own.conf").exists()


async def test_what_cannot_be_rewound_is_copied_and_the_old_directory_is_kept(
    ground_of_newest, room, running
):
    pair = Pair(ground_of_newest, room, running)
    pair.diverge()
    postgres.kill(pair.old)
    await guarded(pair.old)
    pair.promote()
    finished = await pair.comes_back("copy")
    assert finished.field("method") == "copy"
    kept = Path(finished.field("kept"))
    assert (kept / "PG_VERSION").exists()
    assert (kept / "standby.signal").exists()


async def test_without_room_for_a_copy_nothing_is_copied_and_it_stays_fenced(pair):
    postgres.kill(pair.old)
    await guarded(pair.old)
    pair.promote()
    too_much = {**await pair.arguments("copy"), "total": str(1 << 50)}
    started = await ask_about(pair.old).act("rejoin_start", **too_much)
    assert started.done, started.run.output
    state = await pair.until_over()
    assert state.field("phase") == "failed"
    assert f"{1 << 50} kB and a tenth more are needed" in state.field("failure")
    assert not (pair.old.directory / "data.failoverd" / "new").exists()
    assert (pair.old.data_dir / "standby.signal").exists()
    assert not postgres.processes(pair.old)


def of_its_owner(server, *command):
    return subprocess.Popen([*server.become, *command])


def socket_lock(server):
    return server.socket_dir / f".s.PGSQL.{server.port}.lock"


def runners_of(server):
    """The PIDs of the process that rejoins this server, and of its children."""
    said = subprocess.run(
        ["fuser", str(server.directory / "data.failoverd" / "lock")],
        capture_output=True, text=True, check=False,
    )  # fmt: skip
    return [int(word) for word in said.stdout.split()]


def forget_the_dead(server):
    """What would keep anybody from starting it while its last postmaster is not reaped."""
    (server.data_dir / "postmaster.pid").unlink(missing_ok=True)
    socket_lock(server).unlink(missing_ok=True)


def starts_read_write(server):
    """Whether somebody who starts it now has a primary."""
    forget_the_dead(server)
    try:
        postgres.start(server, timeout_s=10)
        return not servers.in_recovery(server)
    except postgres.PostgresFailed:
        assert "has invalid permissions" in server.log.read_text()
        return False
    finally:
        postgres.kill(server)


async def killed_in(pair, phase, method):
    """The process that rejoins, its children and the server, all at once, in that phase."""
    pair.diverge()
    postgres.kill(pair.old)
    await guarded(pair.old)
    pair.promote()
    await pair.start(method)
    first = runners_of(pair.old)
    pair.catch_in(phase)
    for pid in first:
        end(pid)
    for pid in runners_of(pair.old):
        end(pid)
    postgres.kill(pair.old)


def end(pid):
    with contextlib.suppress(ProcessLookupError):
        os.kill(pid, signal.SIGKILL)


PHASES = (
    *(
        pytest.param(phase, "auto", marks=pytest.mark.campaign)
        for phase in ("begun", "recovering", "starting")
    ),
    pytest.param("copying", "copy", marks=pytest.mark.campaign),
    ("rewinding", "auto"),
)


@pytest.mark.parametrize(("phase", "method"), PHASES)
async def test_killed_in_any_phase_it_cannot_start_read_write_and_is_taken_up_again(
    pair, phase, method
):
    await killed_in(pair, phase, method)
    assert not starts_read_write(pair.old)
    finished = await pair.comes_back()
    assert finished.field("method") in ("rewind", "copy")


def cut_off_between_two_renames(server):
    """What it replaces lies aside, and the copy is not yet in its place."""
    postgres.kill(server)
    forget_the_dead(server)
    work = server.directory / "data.failoverd"
    server.data_dir.rename(work / "new")
    state = work / "state"
    state.write_text(state.read_text().replace("phase=started", "phase=swapping"))


def world_with_credentials(*them):
    world = world_of(*them)
    replication = Replication(postgres.SUPERUSER, sslmode="disable")
    nodes = {name: replace(node, replication=replication) for name, node in world.nodes.items()}
    return replace(world, nodes=nodes)


def behind_a_link(world, server):
    """Its data directory is configured by the name of a symbolic link to it."""
    link = server.directory / "link"
    link.symlink_to(server.data_dir)
    node = world.nodes[NodeName(server.name)]
    node = replace(node, arguments={**node.arguments, "data_dir": str(link)})
    return replace(world, nodes={**world.nodes, node.name: node})


async def test_cut_off_before_the_copy_is_in_place_it_is_put_there_and_streams(pair):
    postgres.stop(pair.old)
    await guarded(pair.old)
    pair.promote()
    await pair.start("copy")
    assert (await pair.until_over()).field("phase") == "started"
    cut_off_between_two_renames(pair.old)
    world = behind_a_link(world_with_credentials(pair.new, pair.old), pair.old)
    asked = Rejoin(NodeName("pg1"), NodeName("pg2"), Epoch(7), begun=True)
    answer = await answered(
        lambda: rejoin(asked, world), lambda answer: not isinstance(answer, Rejoining)
    )
    assert isinstance(answer, Rejoined), answer
    assert servers.in_recovery(pair.old)
    assert (pair.old.directory / "link").is_symlink()


async def test_one_that_streams_already_is_finished_and_not_stopped_once_more(pair):
    """The daemon was killed before it heard of the end, or somebody else has brought it back."""
    postgres.stop(pair.old)
    await guarded(pair.old)
    pair.promote()
    await pair.comes_back()
    marker = pair.old.data_dir / "failoverd.guard"
    marker.write_text("epoch=7\nincident=7\n")
    running_since = postgres.sql(pair.old, "select pg_postmaster_start_time();")
    world = world_with_credentials(pair.new, pair.old)
    asked = Rejoin(NodeName("pg1"), NodeName("pg2"), Epoch(7), begun=True)
    answer = await rejoin(asked, world)
    assert isinstance(answer, Rejoined), answer
    assert not marker.exists()
    assert postgres.sql(pair.old, "select pg_postmaster_start_time();") == running_since


async def test_a_writable_server_is_not_touched(ground, room, running):
    pair = Pair(ground, room, running)
    pair.diverge()
    pair.promote()
    answer = await ask_about(pair.old).act("rejoin_start", **await pair.arguments())
    assert (answer.exit_status, answer.field("verdict")) == (13, "alive")
    assert postgres.sql(pair.old, "select pg_is_in_recovery();") == "f"


async def test_no_secret_is_told_or_stays(ground, room, running):
    pair = Pair(ground, room, running)
    postgres.kill(pair.old)
    await guarded(pair.old)
    pair.promote()
    started = await pair.start()
    assert "nobody asks for" not in started.run.command + started.run.output
    await pair.until_over()
    await ask_about(pair.old).act("rejoin_finish")
    assert not list(pair.old.directory.rglob("passfile"))
