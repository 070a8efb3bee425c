"""The host program as a text for any shell, and as a process that is bounded and never leaks."""

import asyncio
import os
import shutil
import signal
import subprocess
from pathlib import Path

import pytest

from failoverd.core.model import NodeName, Outcome
from failoverd.demo import postgres
from failoverd.host_program.program import program
from failoverd.transport.local import LocalHost
from tests.cluster import servers
from tests.cluster.servers import ask_about
from tests.waiting import until

SHELLS = [shell for shell in ("dash", "bash", "busybox") if shutil.which(shell)]


def _shell(command, text):
    return subprocess.run(command, input=text, capture_output=True, check=False, timeout=30)


@pytest.mark.parametrize("shell", SHELLS)
async def test_every_shell_says_the_same(primary, shell):
    asked = ask_about(primary)
    facts = await asked.facts()
    command = [shell, *(["sh"] if shell == "busybox" else []), "-s"]

    def run(**arguments):
        text = program({**asked.arguments, **arguments, "nonce": "n"})
        said = _shell(command, text)
        assert said.stdout.decode().endswith("\nnonce=n\n"), said
        return said.returncode, said.stdout.decode()

    status, said = run(verb="status")
    assert status == 0
    assert said.count("\nprocess=") == len(facts.processes)
    right = {"system_identifier": facts.system_identifier, "boot_id": facts.boot_id, "epoch": "7"}
    expires = str(int((facts.uptime_s + 60) * 100))
    assert run(verb="stop", mode="dead_only", **right, expires=expires)[0] == 13
    assert run(verb="stop", mode="fast", **right, expires=expires)[0] == 0
    assert postgres.processes(primary) == ()
    assert run(verb="unguard", **right, expires=expires)[0] == 0


async def test_a_program_that_arrives_in_part_does_nothing(primary):
    asked = ask_about(primary)
    facts = await asked.facts()
    right = {
        "verb": "stop",
        "mode": "immediate",
        "system_identifier": facts.system_identifier,
        "boot_id": facts.boot_id,
        "epoch": "7",
        "expires": str(int((facts.uptime_s + 600) * 100)),
        "nonce": "n",
    }
    text = program({**asked.arguments, **right})
    cuts = [len(text) - n for n in (2, 8, 20, 60, 150, 400, 1500, 4000, 9000)]
    for cut in cuts:
        assert b"nonce=n" not in _shell(["sh", "-s"], text[:cut]).stdout
    assert postgres.sql(primary, "select 1;") == "1"
    assert not (primary.data_dir / "standby.signal").exists()


def hanging_binaries(room):
    """A bin_dir whose programs say who they are and then never end."""
    folder = room / "hanging"
    folder.mkdir()
    for name in ("pg_controldata", "pg_isready"):
        file = folder / name
        file.write_text(f'#!/bin/sh\necho "$$" >"{room}/pid"\nexec sleep 600\n')
        file.chmod(0o755)
    return folder


def pid_of(file):
    servers.wait_until(lambda: file.exists() and file.read_text().endswith("\n"), "its pid")
    return int(file.read_text())


def open_descriptors():
    return len(list(Path("/proc/self/fd").iterdir()))


def session_of(pid):
    return int(Path(f"/proc/{pid}/stat").read_text().rpartition(") ")[2].split()[3])


def is_gone(pid):
    try:
        return servers.state_letter(pid) in "ZX"
    except OSError:
        return True


async def test_a_call_ends_in_time_and_leaves_no_process(primary, room):
    asked = ask_about(primary)
    folder = hanging_binaries(room)
    arguments = {**asked.arguments, "bin_dir": str(folder), "seconds": "600"}
    descriptors = open_descriptors()
    answer = await asked.host.call("reach", arguments, timeout_s=5)
    assert (answer.outcome, answer.exit_status, answer.done) == (Outcome.TIMED_OUT, None, False)
    pid = pid_of(room / "pid")
    servers.wait_until(lambda: is_gone(pid), "the end of what was started")
    await until(lambda: open_descriptors() == descriptors, "every descriptor is closed")


async def test_a_cancelled_call_leaves_no_process(primary, room):
    asked = ask_about(primary)
    arguments = {**asked.arguments, "bin_dir": str(hanging_binaries(room))}
    call = asyncio.create_task(asked.host.call("status", arguments, timeout_s=20))
    pid = await asyncio.to_thread(pid_of, room / "pid")
    call.cancel()
    with pytest.raises(asyncio.CancelledError):
        await call
    servers.wait_until(lambda: is_gone(pid), "the end of what was started")


async def test_a_program_that_is_killed_is_lost_and_never_done(primary, room):
    asked = ask_about(primary)
    arguments = {**asked.arguments, "bin_dir": str(hanging_binaries(room))}
    call = asyncio.create_task(asked.host.call("status", arguments, timeout_s=20))
    pid = await asyncio.to_thread(pid_of, room / "pid")
    os.killpg(session_of(pid), signal.SIGKILL)
    answer = await call
    assert (answer.outcome, answer.done) == (Outcome.LOST, False)
    os.kill(pid, signal.SIGKILL)


async def test_without_a_shell_it_is_our_own_fault(primary, room, monkeypatch):
    monkeypatch.setenv("PATH", str(room))
    answer = await LocalHost(NodeName("pg1"), servers.monotonic).call("status", {}, timeout_s=5)
    assert (answer.outcome, answer.exit_status) == (Outcome.OUR_FAULT, None)
