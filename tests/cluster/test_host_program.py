"""The program that a database host runs, against real servers and real processes."""

import asyncio
import fcntl
import os
import shutil
import signal
import subprocess
import time

import pytest

from failoverd.core.model import ControlState, Guard
from failoverd.demo import postgres
from tests.cluster import servers
from tests.cluster.servers import A_MINUTE_EACH, ask_about


def child_of(server):
    """The PID of some process of the server that is not the postmaster."""
    return next(pid for pid in postgres.processes(server) if pid != postgres.postmaster_pid(server))


@pytest.fixture
def stranger(room):
    """A live process named `postgres`, in a directory of its own."""
    with _sleeper(room, room) as process:
        yield process
        process.kill()


def _sleeper(room, directory):
    """Reaped only when left: until then, once killed, a zombie."""
    program_file = room / "postgres"
    if not program_file.exists():
        shutil.copy(shutil.which("sleep"), program_file)
    return _program(program_file, directory)


def _program(sleeper, directory):
    return subprocess.Popen([sleeper, "600"], cwd=directory)


async def test_a_look_agrees_with_what_sql_says_of_the_same_server(primary):
    facts = await ask_about(primary).facts()
    backend, started, identifier = postgres.sql(
        primary,
        "select pg_postmaster_start_time() is not null, extract(epoch from"
        " pg_postmaster_start_time())::bigint, system_identifier from pg_control_system();",
    ).split("|")
    assert backend == "t"
    assert facts.postmaster_pid == postgres.postmaster_pid(primary)
    assert {pid for pid, _ in facts.processes} >= {facts.postmaster_pid, child_of(primary)}
    assert abs(int(facts.postmaster_started) - int(started)) <= 1
    assert facts.system_identifier == identifier
    where = primary.data_dir.stat()
    assert facts.directory_identity == f"{where.st_dev}:{where.st_ino}"
    assert facts.control_state is ControlState.IN_PRODUCTION
    assert (facts.control_timeline, facts.listener, facts.guard) == (1, True, Guard.NONE)
    assert (facts.epoch, facts.guard_epoch) == (0, None)
    assert facts.checkpoint_lsn is not None


async def test_the_backend_that_sql_names_is_among_the_processes(primary):
    client = servers.keeps_committing(primary)
    try:
        pid = postgres.sql(primary, "select pid from pg_stat_activity where query like 'do %';")
        facts = await ask_about(primary).facts()
        assert int(pid) in dict(facts.processes)
    finally:
        client.kill()
        client.communicate()


async def test_a_stopped_server_is_seen_as_shut_down_without_processes_or_listener(primary):
    postgres.stop(primary)
    facts = await ask_about(primary).facts()
    assert (facts.processes, facts.listener, facts.postmaster_pid) == ((), False, None)
    assert facts.control_state is ControlState.SHUT_DOWN


async def test_a_data_directory_behind_a_symbolic_link_is_looked_at_all_the_same(primary):
    link = primary.directory / "link"
    link.symlink_to(primary.data_dir)
    answer = await ask_about(primary).call("status", data_dir=str(link))
    assert len(answer.fields["process"]) == len(postgres.processes(primary))


async def test_a_zombie_is_nobody_and_a_shell_in_the_directory_is_not_a_server(primary, room):
    postgres.stop(primary)
    asked = ask_about(primary)
    with _program("sleep", primary.data_dir) as visitor:
        try:
            assert (await asked.facts()).processes == ()
        finally:
            visitor.kill()
    with _sleeper(room, primary.data_dir) as process:
        servers.wait_until(lambda: postgres.processes(primary) == (process.pid,), "the process")
        assert [pid for pid, _ in (await asked.facts()).processes] == [process.pid]
        process.kill()
        servers.wait_until(lambda: servers.state_letter(process.pid) == "Z", "a zombie")
        assert (await asked.facts()).processes == ()


async def test_what_is_missing_is_named_and_nothing_is_made_up(primary):
    asked = ask_about(primary)
    nowhere = await asked.call("status", data_dir="/nowhere/data")
    assert (nowhere.exit_status, nowhere.field("verdict")) == (12, "no_data_dir")
    no_tools = await asked.call("status", bin_dir="/nowhere/bin")
    assert (no_tools.exit_status, no_tools.done) == (16, False)
    unknown = await asked.call("format")
    assert unknown.exit_status == 16
    no_port = await asked.call("status", port="")
    assert no_port.exit_status == 16
    no_shell = await asked.act("stop", mode="")
    assert no_shell.exit_status == 16
    assert postgres.postmaster_pid(primary)


async def test_where_a_postmaster_lives_dead_only_touches_nothing(primary):
    answer = await ask_about(primary).act("stop", mode="dead_only")
    assert (answer.exit_status, answer.field("verdict")) == (13, "alive")
    assert not (primary.data_dir / "standby.signal").exists()
    assert postgres.sql(primary, "select 1;") == "1"


async def test_a_postmaster_without_its_pid_file_is_alive(primary):
    pid_file = primary.data_dir / "postmaster.pid"
    pid_file.rename(primary.directory / "kept")
    answer = await ask_about(primary).act("stop", mode="dead_only")
    (primary.directory / "kept").rename(pid_file)
    assert answer.exit_status == 13
    assert postgres.sql(primary, "select 1;") == "1"


async def test_after_a_crash_an_orphan_that_goes_on_committing_is_ended(primary):
    client = servers.keeps_committing(primary)
    asked = ask_about(primary)
    postmaster = postgres.postmaster_pid(primary)
    try:
        os.kill(postmaster, signal.SIGKILL)
        servers.wait_until(lambda: len(postgres.processes(primary)) == 1, "one orphan alone")
        before = await asked.facts()
        assert [pid for pid, _ in before.processes] == list(postgres.processes(primary))
        answer = await asked.act("stop", mode="dead_only")
        assert (answer.exit_status, answer.field("verdict")) == (0, "stopped")
        assert "process" not in answer.fields
        assert postgres.processes(primary) == ()
    finally:
        client.kill()
        client.communicate()
    facts = await asked.facts()
    assert (facts.guard, facts.guard_epoch, facts.listener) == (Guard.OURS, 7, False)
    assert facts.control_state is ControlState.IN_PRODUCTION


@pytest.mark.parametrize("mode", ["immediate", "fast"])
async def test_a_server_all_of_whose_processes_are_stopped_is_killed_at_once(primary, mode):
    postgres.signal_all(primary, signal.SIGSTOP)
    answer = await ask_about(primary).act("stop", mode=mode, **A_MINUTE_EACH)
    assert answer.done
    assert answer.field("guard") == "ours"
    assert postgres.processes(primary) == ()


async def test_a_postmaster_alone_that_is_stopped_does_not_keep_its_children(primary):
    os.kill(postgres.postmaster_pid(primary), signal.SIGSTOP)
    answer = await ask_about(primary).act("stop", mode="immediate")
    assert answer.done
    assert postgres.processes(primary) == ()


async def test_a_fast_stop_shuts_down_and_an_immediate_one_does_not(primary):
    asked = ask_about(primary)
    immediate = await asked.act("stop", mode="immediate")
    assert immediate.field("control_state") == "in production"
    (primary.data_dir / "standby.signal").unlink()
    postgres.start(primary)
    fast = await asked.act("stop", mode="fast")
    assert fast.done
    assert fast.field("control_state") == "shut down"


async def test_a_server_that_somebody_stopped_is_guarded_and_stopping_again_does_no_harm(primary):
    postgres.stop(primary)
    asked = ask_about(primary)
    for _ in range(2):
        answer = await asked.act("stop", mode="dead_only")
        assert answer.done
        assert (answer.field("control_state"), answer.field("guard")) == ("shut down", "ours")


async def test_something_else_on_the_port_is_no_proof(primary):
    postgres.stop(primary)
    other = await asyncio.start_server(lambda r, w: w.close(), "127.0.0.1", primary.port)
    async with other:
        answer = await ask_about(primary).act("stop", mode="dead_only")
        assert (answer.exit_status, answer.field("listener")) == (11, "yes")


async def test_a_stranger_named_in_a_stale_pid_file_is_left_alone(primary, stranger):
    postgres.stop(primary)
    (primary.data_dir / "postmaster.pid").write_text(f"{stranger.pid}\n/\n1700000000\n")
    answer = await ask_about(primary).act("stop", mode="immediate")
    assert answer.done
    assert stranger.poll() is None


@pytest.mark.parametrize("verb", ["guard", "unguard", "stop", "start", "freeze", "thaw", "promote"])
async def test_no_act_without_identity_epoch_and_time(primary, verb):
    asked = ask_about(primary)
    more = {"mode": "immediate"}
    wrong = await asked.act(verb, **more, system_identifier="1234567890123456789")
    assert (wrong.exit_status, wrong.field("verdict")) == (10, "wrong_cluster")
    unnamed = await asked.act(verb, **more, system_identifier="")
    assert unnamed.exit_status == 10
    late = await asked.act(verb, **more, expires="1")
    assert (late.exit_status, late.field("verdict")) == (15, "expired")
    for_ever = await asked.act(verb, **more, expires="")
    assert for_ever.exit_status == 15
    booted = await asked.act(verb, **more, boot_id="00000000-0000-0000-0000-000000000000")
    assert booted.exit_status == 15
    nameless = await asked.act(verb, **more, epoch="")
    assert nameless.exit_status == 14
    assert not (primary.data_dir / "standby.signal").exists()
    assert postgres.sql(primary, "select pg_is_in_recovery();") == "f"
    assert not (primary.directory / "host-state").exists()


async def test_a_host_keeps_the_highest_epoch_and_refuses_older_ones(primary):
    asked = ask_about(primary)
    assert (await asked.act("unguard", epoch="9")).done
    older = await asked.act("stop", mode="immediate", epoch="8")
    assert (older.exit_status, older.field("verdict")) == (14, "stale_epoch")
    assert postgres.sql(primary, "select 1;") == "1"
    assert (await asked.act("unguard", epoch="9")).done
    assert (await asked.facts()).epoch == 9


async def test_the_epoch_of_another_daemon_is_refused_even_where_the_number_is_the_same(primary):
    asked = ask_about(primary)
    assert (await asked.act("guard", epoch="9", owner="one")).done
    assert (await asked.act("guard", epoch="9", owner="one")).done
    refused = await asked.act("guard", epoch="9", owner="other")
    assert (refused.exit_status, refused.field("verdict")) == (14, "stale_epoch")
    assert "taken on this host by another daemon" in refused.field("reason")
    assert (await asked.act("guard", epoch="10", owner="other")).done


async def test_an_incident_is_taken_up_under_its_number_by_the_next_holder_of_the_lease(primary):
    asked = ask_about(primary)
    assert (await asked.act("guard", epoch="9", owner="c0ffee.7")).done
    assert (await asked.act("guard", epoch="9", owner="c0ffee.1000000000001")).done
    for earlier in ("c0ffee.7", "c0ffee.8", "c0ffee", "decade.1000000000002"):
        refused = await asked.act("guard", epoch="9", owner=earlier)
        assert (refused.exit_status, refused.field("verdict")) == (14, "stale_epoch"), earlier
    assert (await asked.act("guard", epoch="9", owner="c0ffee.1000000000001")).done


async def test_a_daemon_that_was_alone_hands_its_epoch_on_to_those_that_share_a_lease(primary):
    asked = ask_about(primary)
    assert (await asked.act("guard", epoch="9", owner="c0ffee")).done
    assert (await asked.act("guard", epoch="9", owner="c0ffee.7")).done
    refused = await asked.act("guard", epoch="9", owner="c0ffee")
    assert refused.field("verdict") == "stale_epoch"


async def test_an_epoch_that_cannot_be_read_is_not_taken_for_none(primary):
    asked = ask_about(primary)
    await asked.act("unguard", epoch="9")
    (file,) = (primary.directory / "host-state").iterdir()
    file.write_text("")
    answer = await asked.call("status")
    assert answer.exit_status == 16
    file.write_text("9\n")
    assert (await asked.facts()).epoch == 9


async def test_one_act_at_a_time_and_looks_meanwhile(primary):
    asked = ask_about(primary)
    directory = os.open(primary.data_dir, os.O_RDONLY)
    try:
        fcntl.flock(directory, fcntl.LOCK_EX)
        answer = await asked.act("guard")
        assert (answer.exit_status, answer.field("verdict")) == (11, "busy")
        assert (await asked.facts()).guard is Guard.NONE
    finally:
        os.close(directory)
    assert (await asked.act("guard")).done


async def test_a_standby_by_right_is_neither_guarded_nor_stopped_nor_unguarded(standby):
    asked = ask_about(standby)
    assert (await asked.facts()).guard is Guard.FOREIGN
    for verb in ("guard", "stop", "unguard"):
        answer = await asked.act(verb, mode="immediate")
        assert (answer.exit_status, answer.field("verdict")) == (17, "foreign_guard")
    assert servers.in_recovery(standby)
    assert not (standby.data_dir / "failoverd.guard").exists()


async def test_whoever_starts_a_guarded_server_gets_a_standby_and_that_is_proof(primary):
    asked = ask_about(primary)
    assert (await asked.act("stop", mode="immediate")).done
    laid = int(time.time())
    servers.wait_until(lambda: time.time() > laid + 1.05, "a later second")
    postgres.start(primary)
    assert servers.in_recovery(primary)
    for epoch in ("7", "8"):
        again = await asked.act("stop", mode="dead_only", epoch=epoch)
        assert (again.exit_status, again.field("in_recovery_under_guard")) == (0, "yes")
        assert again.field("guard_epoch") == epoch
    assert servers.in_recovery(primary)


async def test_the_files_of_the_guard_belong_to_the_owner_of_the_data_directory(primary):
    await ask_about(primary).act("guard")
    owner = primary.data_dir.stat()
    for name in ("standby.signal", "failoverd.guard"):
        found = (primary.data_dir / name).stat()
        assert (found.st_uid, found.st_gid) == (owner.st_uid, owner.st_gid)


async def test_a_guard_goes_only_by_its_incident_and_not_under_a_server_in_recovery(primary):
    asked = ask_about(primary)
    assert (await asked.act("stop", mode="immediate", incident="41")).done
    other = await asked.act("unguard", incident="42")
    assert (other.exit_status, other.field("verdict")) == (17, "foreign_guard")
    postgres.start(primary)
    recovering = await asked.act("unguard", incident="41")
    assert (recovering.exit_status, recovering.field("verdict")) == (13, "alive")
    postgres.stop(primary)
    assert (await asked.act("unguard", incident="41")).done
    assert (await asked.facts()).guard is Guard.NONE
    assert not (primary.data_dir / "failoverd.guard").exists()
    started = await asked.act("start")
    assert started.done
    assert not servers.in_recovery(primary)


async def test_what_was_started_under_the_guard_is_stopped_where_it_is_to_be_primary_again(primary):
    asked = ask_about(primary)
    assert (await asked.act("stop", mode="immediate", incident="41")).done
    laid = int(time.time())
    servers.wait_until(lambda: time.time() > laid + 1.05, "a later second")
    postgres.start(primary)
    assert servers.in_recovery(primary)
    assert (await asked.act("unguard", incident="41", mode="fast")).done
    assert (await asked.facts()).guard is Guard.NONE
    assert (await asked.act("start")).done
    assert not servers.in_recovery(primary)


async def test_a_guard_laid_on_a_running_primary_is_taken_back_without_touching_it(primary):
    asked = ask_about(primary)
    assert (await asked.act("guard")).done
    pid = postgres.postmaster_pid(primary)
    assert (await asked.act("unguard", incident="")).done
    assert (await asked.facts()).guard is Guard.NONE
    assert postgres.postmaster_pid(primary) == pid


async def test_a_signal_without_our_marker_is_foreign_and_a_marker_without_signal_is_none(primary):
    asked = ask_about(primary)
    await asked.act("guard")
    (primary.data_dir / "standby.signal").unlink()
    assert (await asked.facts()).guard is Guard.NONE
    (primary.data_dir / "standby.signal").touch()
    (primary.data_dir / "failoverd.guard").unlink()
    assert (await asked.facts()).guard is Guard.FOREIGN


async def test_a_server_that_was_started_outlives_its_session_and_holds_no_lock(primary):
    postgres.stop(primary)
    asked = ask_about(primary)
    answer = await asked.act("start")
    assert (answer.exit_status, answer.field("verdict")) == (0, "started")
    assert postgres.sql(primary, "select 1;") == "1"
    assert (await asked.act("start")).done
    assert (await asked.act("unguard")).done


async def test_a_server_that_does_not_start_is_said_not_to(primary):
    postgres.stop(primary)
    (primary.data_dir / "postgresql.conf").write_text("no_such_setting = 1\n")
    answer = await ask_about(primary).act("start")
    assert (answer.exit_status, answer.field("verdict")) == (11, "not_started")


async def test_a_host_says_whether_a_server_answers_there(primary):
    asked = ask_about(primary)
    assert (await asked.call("reach", host="127.0.0.1")).field("answer") == "accepting"
    assert (await asked.call("reach", host="")).field("answer") == "accepting"
    postgres.signal_all(primary, signal.SIGSTOP)
    assert (await asked.call("reach", host="127.0.0.1")).field("answer") == "no_response"
