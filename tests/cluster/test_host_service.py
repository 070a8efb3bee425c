"""Starting and stopping a server in every state it may be in, also by commands of one's own."""

import os
import shlex
import signal
import subprocess
import time

import pytest

from failoverd.demo import postgres
from tests.cluster import servers
from tests.cluster.servers import A_MINUTE_EACH, ask_about


def script(server, name, text):
    """A program of the operator's; its path."""
    file = server.directory / name
    file.write_text(f"#!/bin/sh\n{text}\n")
    file.chmod(0o755)
    return str(file)


def pg_ctl(server, *words):
    """As an operator's own script would call it."""
    command = [*server.become, str(server.binaries.directory / "pg_ctl"), "-D", server.data_dir]
    return shlex.join([str(word) for word in (*command, *words)])


def in_a_transaction(server):
    """A client that has written and goes on computing, without an end."""
    psql = server.binaries.directory / "psql"
    client = subprocess.Popen(
        [psql, "-X", "-h", server.socket_dir, "-p", str(server.port), "-U", "postgres"],
        stdin=subprocess.PIPE,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        env=postgres.clean_environment(),
    )
    client.stdin.write(b"begin; create table long (n int); select pg_sleep(3600);\n")
    client.stdin.flush()
    servers.wait_until(
        lambda: (
            postgres.sql(
                server,
                "select count(*) from pg_stat_activity where query like '%pg_sleep(3600)%'"
                " and pid <> pg_backend_pid();",
            )
            == "1"
        ),
        "a long transaction",
    )
    return client


@pytest.mark.parametrize(("mode", "state"), [("fast", "shut down"), ("immediate", "in production")])
async def test_clients_in_long_transactions_do_not_hold_a_stop_up(primary, mode, state):
    client = in_a_transaction(primary)
    try:
        answer = await ask_about(primary).act("stop", mode=mode, **A_MINUTE_EACH)
        assert answer.done
        assert answer.field("control_state") == state
        assert postgres.processes(primary) == ()
    finally:
        client.kill()
        client.communicate()


async def test_a_standby_that_is_down_does_not_hold_a_clean_stop_up(primary, standby):
    postgres.stop(standby)
    answer = await ask_about(primary).act("stop", mode="fast")
    assert answer.done
    assert answer.field("control_state") == "shut down"


async def test_a_standby_that_hangs_costs_a_clean_stop_its_limit_and_no_more(primary, standby):
    """A walsender waits for what it has sent to be flushed: for wal_sender_timeout, 60 s."""
    postgres.signal_all(standby, signal.SIGSTOP)
    postgres.sql(primary, "create table waits as select generate_series(1, 100000);")
    try:
        answer = await ask_about(primary).act("stop", mode="fast", fast_seconds="1")
        assert answer.done
        assert 1 <= answer.run.duration_s < 20
        assert postgres.processes(primary) == ()
    finally:
        postgres.signal_all(standby, signal.SIGCONT)


async def test_children_that_are_stopped_are_not_waited_for(primary):
    os.kill(postgres.postmaster_pid(primary), signal.SIGCONT)
    for pid in postgres.processes(primary):
        if pid != postgres.postmaster_pid(primary):
            os.kill(pid, signal.SIGSTOP)
    answer = await ask_about(primary).act("stop", mode="immediate", **A_MINUTE_EACH)
    assert answer.done


async def test_without_any_pg_ctl_it_is_stopped_all_the_same(primary, room):
    """Only pg_controldata is, without which nothing is known of what lies there."""
    folder = room / "without-pg_ctl"
    folder.mkdir(mode=0o755)
    for name in ("pg_controldata", "psql"):
        (folder / name).symlink_to(primary.binaries.directory / name)
    answer = await ask_about(primary).act("stop", mode="fast", bin_dir=str(folder))
    assert answer.done
    assert postgres.processes(primary) == ()


async def test_a_stop_command_of_ones_own_stops_it_and_a_start_command_starts_it(primary):
    asked = ask_about(primary)
    stop = script(
        primary, "stop", f'echo "$1" >{primary.directory}/told; {pg_ctl(primary, "stop")}'
    )
    start = script(primary, "start", f"{pg_ctl(primary, '-w', '-l', primary.log, 'start')}")
    own = {"stop_command": f"{stop}\ntwo words", "start_command": start}
    stopped = await asked.act("stop", mode="fast", **own)
    assert stopped.done
    assert stopped.field("control_state") == "shut down"
    assert (primary.directory / "told").read_text() == "two words\n"
    assert (await asked.act("unguard")).done
    started = await asked.act("start", **own)
    assert started.done
    assert postgres.sql(primary, "select pg_is_in_recovery();") == "f"
    assert (await asked.act("unguard")).done  # the server holds no lock of the act


async def test_what_a_stop_command_leaves_is_signalled(primary):
    stop = script(primary, "stop", "exit 0")
    answer = await ask_about(primary).act("stop", mode="fast", stop_command=stop)
    assert answer.done
    assert answer.field("control_state") == "shut down"


async def test_a_stop_command_that_hangs_is_killed_at_its_limit_and_signals_follow(primary):
    stop = script(primary, "stop", "exec sleep 600")
    answer = await ask_about(primary).act(
        "stop", mode="fast", stop_command=stop, command_seconds="1"
    )
    assert answer.done


async def test_a_crash_is_never_stopped_by_commands(primary):
    """They are not on the fast path: who knows how long they take."""
    postgres.kill(primary)
    stop = script(primary, "stop", f"touch {primary.directory}/ran")
    assert (await ask_about(primary).act("stop", mode="dead_only", stop_command=stop)).done
    assert not (primary.directory / "ran").exists()


async def test_a_start_command_that_fails_is_told_with_its_last_words(primary):
    postgres.stop(primary)
    start = script(primary, "start", "echo no such container >&2; exit 3")
    answer = await ask_about(primary).act("start", start_command=start)
    assert (answer.exit_status, answer.field("verdict")) == (11, "not_started")
    assert answer.field("reason").endswith("/start ended with 3: no such container")


async def test_a_start_command_that_hangs_is_killed_at_its_limit(primary):
    postgres.stop(primary)
    start = script(primary, "start", "exec sleep 600")
    answer = await ask_about(primary).act("start", start_command=start, command_seconds="1")
    assert answer.exit_status == 11


async def test_what_was_started_after_the_guard_is_told_by_the_clock_of_the_boot(primary):
    """A wall clock that was set back made every server seem to have been started later."""
    asked = ask_about(primary)
    assert (await asked.act("guard")).done
    marker = primary.data_dir / "failoverd.guard"
    text = marker.read_text()
    laid = next(line for line in text.splitlines() if line.startswith("laid_at="))
    marker.write_text(text.replace(laid, "laid_at=1000000000"))
    answer = await asked.act("stop", mode="immediate")
    assert answer.done
    assert answer.field("in_recovery_under_guard") == ""
    assert postgres.processes(primary) == ()


async def test_a_guard_outlives_a_boot_and_what_starts_after_it_is_a_standby(primary):
    asked = ask_about(primary)
    assert (await asked.act("stop", mode="immediate")).done
    marker = primary.data_dir / "failoverd.guard"
    boot = next(line for line in marker.read_text().splitlines() if line.startswith("boot_id="))
    later = int(time.time()) + 3600  # the clock of a host may be wrong when it boots
    marker.write_text(
        f"epoch=7\nincident=7\nboot_id=0{boot[9:]}\nlaid_at_uptime=99999999.00\nlaid_at={later}\n"
    )
    postgres.start(primary)
    again = await asked.act("stop", mode="dead_only")
    assert (again.exit_status, again.field("in_recovery_under_guard")) == (0, "yes")
    assert servers.in_recovery(primary)
