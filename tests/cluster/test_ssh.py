"""The SSH transport against a real sshd of our own, else against asyncssh's server."""

import asyncio
import contextlib
import getpass
import os
import pwd
import shutil
import signal
import socket
import subprocess
from dataclasses import dataclass, replace
from pathlib import Path

import asyncssh
import pytest

from failoverd.core.model import NodeName, Outcome
from failoverd.demo import postgres
from failoverd.transport.ssh import SshAddress, SshHost
from tests.cluster import servers
from tests.waiting import until

SSHD = shutil.which("sshd", path="/usr/sbin:/usr/local/sbin:/usr/bin")
HANG = "#!/bin/sh\necho $$ >{file}\nexec sleep 600\n"


@dataclass(frozen=True, slots=True)
class Keys:
    directory: Path

    @property
    def of_host(self) -> Path:
        return self.directory / "host_key"

    @property
    def of_client(self) -> Path:
        return self.directory / "client_key"

    @property
    def authorized(self) -> Path:
        return self.directory / "authorized_keys"

    def address(self, port: int, known_key: Path | None = None) -> SshAddress:
        public = (known_key or self.of_host).with_suffix(".pub").read_text()
        known = self.directory / "known_hosts"
        known.write_text(f"[127.0.0.1]:{port} {public}")
        return SshAddress("127.0.0.1", port, getpass.getuser(), self.of_client, known)


def make_keys(directory: Path) -> Keys:
    keys = Keys(directory)
    for file in (keys.of_host, keys.of_client):
        key = asyncssh.generate_private_key("ssh-ed25519")
        key.write_private_key(file)
        key.write_public_key(file.with_suffix(".pub"))
        file.chmod(0o600)
    shutil.copy(keys.of_client.with_suffix(".pub"), keys.authorized)
    return keys


@dataclass(frozen=True, slots=True)
class Sshd:
    process: subprocess.Popen[bytes]
    port: int

    def sessions(self) -> list[int]:
        """PIDs of the sshd processes that serve connections."""
        return [pid for pid in descendants(self.process.pid) if name_of(pid).startswith("sshd")]

    def signal(self, number: signal.Signals, *, listener: bool = False) -> None:
        for pid in [*self.sessions(), *([self.process.pid] if listener else [])]:
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, number)


def name_of(pid: int) -> str:
    try:
        return Path(f"/proc/{pid}/comm").read_text()
    except OSError:
        return ""


def descendants(pid: int) -> list[int]:
    try:
        children = Path(f"/proc/{pid}/task/{pid}/children").read_text().split()
    except OSError:
        return []
    return [each for child in map(int, children) for each in [child, *descendants(child)]]


def start_sshd(keys: Keys) -> Sshd:
    (port,) = postgres.free_ports(1)
    config = keys.directory / "sshd_config"
    config.write_text(
        f"ListenAddress 127.0.0.1\nPort {port}\nHostKey {keys.of_host}\n"
        f"AuthorizedKeysFile {keys.authorized}\nPidFile none\nStrictModes no\nUsePAM no\n"
        "PermitRootLogin yes\nPasswordAuthentication no\nUseDNS no\nPrintLastLog no\n"
    )
    if os.geteuid() == 0:
        Path("/run/sshd").mkdir(mode=0o755, exist_ok=True)  # where it shuts its children up
    assert SSHD is not None
    process = subprocess.Popen(
        [SSHD, "-D", "-E", keys.directory / "sshd.log", "-f", config],
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    sshd = Sshd(process, port)
    servers.wait_until(lambda: accepts(port), "sshd")
    return sshd


def accepts(port: int) -> bool:
    with socket.socket() as attempt:
        return attempt.connect_ex(("127.0.0.1", port)) == 0


def stop_sshd(sshd: Sshd) -> None:
    sshd.signal(signal.SIGCONT, listener=True)
    sshd.signal(signal.SIGKILL, listener=True)
    sshd.process.wait(10)


def may_log_in() -> bool:
    """A locked account is refused by an sshd without PAM."""
    shadow = Path("/etc/shadow")
    if not os.access(shadow, os.R_OK):
        return True
    name = pwd.getpwuid(os.geteuid()).pw_name
    return not any(line.startswith(f"{name}:!") for line in shadow.read_text().splitlines())


needs_sshd = pytest.mark.skipif(SSHD is None or not may_log_in(), reason="no sshd to log in to")


@pytest.fixture
def keys(tmp_path):
    return make_keys(tmp_path)


@pytest.fixture
def sshd(keys):
    running = start_sshd(keys)
    yield running
    stop_sshd(running)


@pytest.fixture
async def connect():
    """Makes hosts and closes them; afterwards no task of theirs is left."""
    before = other_tasks()
    async with contextlib.AsyncExitStack() as hosts:

        def host(address: SshAddress) -> SshHost:
            made = SshHost(NodeName("pg1"), address, servers.monotonic)
            hosts.push_async_callback(made.close)
            return made

        yield host
    await until(lambda: other_tasks() <= before, "what asyncio closes in its next rounds is closed")


def other_tasks():
    return asyncio.all_tasks() - {asyncio.current_task()}


def open_descriptors() -> int:
    return len(list(Path("/proc/self/fd").iterdir()))


def data_directory(directory: Path) -> dict[str, str]:
    """Nothing runs there; what looks at it never ends, and writes its PID to `pid`."""
    data, programs = directory / "data", directory / "bin"
    data.mkdir()
    programs.mkdir()
    (data / "PG_VERSION").write_text("18\n")
    for name in ("pg_controldata", "pg_isready"):
        (programs / name).write_text(HANG.format(file=directory / "pid"))
        (programs / name).chmod(0o755)
    return {"data_dir": str(data), "bin_dir": str(programs), "port": "5432"}


def pid_in(file: Path) -> int:
    servers.wait_until(lambda: file.exists() and file.read_text().endswith("\n"), "its pid")
    return int(file.read_text())


REACH = {"bin_dir": "/nowhere", "port": "5432"}
"""Answered at once, with exit status 16."""


@needs_sshd
async def test_a_host_answers_over_one_warm_connection(sshd, keys, connect, primary):
    host = connect(keys.address(sshd.port))
    asked = servers.ask_about(primary, host)
    answers = await asyncio.gather(*(asked.call("status") for _ in range(8)))
    assert all(answer.done for answer in answers)
    assert answers[0].field("directory_identity")
    # Whoever looked whether it listens is about to be gone.
    servers.wait_until(lambda: len(connections(sshd)) == 1, "one connection")
    stopped = await asked.act("stop", mode="immediate")
    assert stopped.done
    assert postgres.processes(primary) == ()
    started = await asked.act("start")
    assert started.done
    assert postgres.postmaster_pid(primary)


def connections(sshd: Sshd) -> list[int]:
    """The processes that its listener has begun."""
    listener = sshd.process.pid
    children = Path(f"/proc/{listener}/task/{listener}/children").read_text().split()
    return [int(pid) for pid in children if name_of(int(pid)).startswith("sshd")]


@needs_sshd
async def test_a_host_with_another_key_is_not_spoken_to(sshd, keys, connect):
    host = connect(keys.address(sshd.port, known_key=keys.of_client))
    answer = await host.call("reach", REACH, timeout_s=10)
    assert (answer.outcome, answer.done) == (Outcome.MISCONFIGURED, False)
    assert "host key" in answer.run.output


@needs_sshd
async def test_a_host_that_is_not_known_at_all_is_not_spoken_to(sshd, keys, connect):
    address = keys.address(sshd.port)
    address.known_hosts.write_text("")
    answer = await connect(address).call("reach", REACH, timeout_s=10)
    assert answer.outcome is Outcome.MISCONFIGURED


@needs_sshd
async def test_a_login_that_is_refused_is_a_mistake_of_ours(sshd, keys, connect):
    keys.authorized.write_text("")
    answer = await connect(keys.address(sshd.port)).call("reach", REACH, timeout_s=10)
    assert answer.outcome is Outcome.MISCONFIGURED
    assert "no login" in answer.run.output


def test_without_known_host_keys_there_is_no_address(keys):
    with pytest.raises(ValueError, match="known host keys"):
        SshAddress("127.0.0.1", 22, "postgres", keys.of_client, None)


@needs_sshd
async def test_files_of_ours_that_cannot_be_read_are_no_silence_of_a_host(sshd, keys, connect):
    address = keys.address(sshd.port)
    garbage = keys.directory / "garbage"
    garbage.write_text("not a key")
    for wrong in (
        replace(address, known_hosts=keys.directory / "missing"),
        replace(address, key_file=keys.directory / "missing"),
        replace(address, key_file=garbage),
    ):
        answer = await connect(wrong).call("reach", REACH, timeout_s=5)
        assert answer.outcome in {Outcome.OUR_FAULT, Outcome.MISCONFIGURED}, answer


@needs_sshd
async def test_a_connection_that_dies_under_a_command_leaves_it_unknown(sshd, keys, connect):
    host = connect(keys.address(sshd.port))
    arguments = data_directory(keys.directory)
    call = asyncio.create_task(host.call("status", arguments, timeout_s=20))
    pid = await asyncio.to_thread(pid_in, keys.directory / "pid")
    sshd.signal(signal.SIGKILL)
    answer = await call
    assert (answer.outcome, answer.exit_status, answer.done) == (Outcome.LOST, None, False)
    with contextlib.suppress(ProcessLookupError):
        os.kill(pid, signal.SIGKILL)
    again = await host.call("reach", REACH, timeout_s=10)
    assert (again.outcome, again.exit_status) == (Outcome.OK, 16)


@needs_sshd
async def test_a_program_that_is_killed_is_unknown(sshd, keys, connect):
    host = connect(keys.address(sshd.port))
    arguments = data_directory(keys.directory)
    call = asyncio.create_task(host.call("status", arguments, timeout_s=20))
    pid = await asyncio.to_thread(pid_in, keys.directory / "pid")
    shells = [each for each in descendants(sshd.process.pid) if name_of(each).strip() == "sh"]
    for each in [*shells, pid]:
        with contextlib.suppress(ProcessLookupError):
            os.kill(each, signal.SIGKILL)
    answer = await call
    assert answer.outcome in {Outcome.LOST, Outcome.TIMED_OUT}
    assert not answer.done


@needs_sshd
async def test_a_host_that_hangs_times_out_and_is_asked_anew_when_it_is_back(sshd, keys, connect):
    host = connect(keys.address(sshd.port))
    assert (await host.call("reach", REACH, timeout_s=10)).outcome is Outcome.OK
    sshd.signal(signal.SIGSTOP)
    warm = await host.call("reach", REACH, timeout_s=0.5)
    assert (warm.outcome, warm.exit_status) == (Outcome.TIMED_OUT, None)
    assert 0.4 < warm.run.duration_s < 5
    # The listener still lives, so that a fresh connection gets through where the warm one hung.
    fresh = await host.call("reach", REACH, timeout_s=10)
    assert fresh.outcome is Outcome.OK
    sshd.signal(signal.SIGSTOP, listener=True)
    assert (await host.call("reach", REACH, timeout_s=0.5)).outcome is Outcome.TIMED_OUT
    assert (await host.call("reach", REACH, timeout_s=0.5)).outcome is Outcome.TIMED_OUT
    sshd.signal(signal.SIGCONT, listener=True)
    assert (await host.call("reach", REACH, timeout_s=10)).outcome is Outcome.OK


@needs_sshd
async def test_a_call_that_times_out_does_not_cut_off_the_others(sshd, keys, connect):
    host = connect(keys.address(sshd.port))
    assert (await host.call("reach", REACH, timeout_s=10)).outcome is Outcome.OK
    arguments = {**data_directory(keys.directory), "host": "127.0.0.1", "seconds": "600"}
    long = asyncio.create_task(host.call("reach", arguments, timeout_s=60))
    pid = await asyncio.to_thread(pid_in, keys.directory / "pid")
    (keys.directory / "pid").unlink()
    short = await host.call("reach", arguments, timeout_s=5)
    assert short.outcome is Outcome.TIMED_OUT
    os.kill(pid, signal.SIGKILL)
    answer = await long
    assert (answer.outcome, answer.field("answer")) == (Outcome.OK, "no_response")
    os.kill(pid_in(keys.directory / "pid"), signal.SIGKILL)


async def test_a_port_that_accepts_and_says_nothing_times_out(keys, connect):
    with socket.socket() as silent:
        silent.bind(("127.0.0.1", 0))
        silent.listen()
        host = connect(replace(keys.address(silent.getsockname()[1]), connect_timeout_s=0.3))
        answer = await host.call("reach", REACH, timeout_s=60)
        assert answer.outcome is Outcome.TIMED_OUT
        assert answer.run.duration_s < 30


async def test_a_login_slower_than_one_look_is_there_for_the_next(keys, connect):
    """Each look is short, but what they wait for goes on between them."""
    release = asyncio.Event()

    class SlowServer(asyncssh.SSHServer):
        async def begin_auth(self, _username):
            await release.wait()
            return False

    async def process(channel):
        await channel.stdin.read()
        channel.exit(0)

    listener = await asyncssh.listen(
        "127.0.0.1",
        0,
        server_host_keys=[str(keys.of_host)],
        server_factory=SlowServer,
        process_factory=process,
    )
    async with listener:
        port = listener.get_port()
        host = connect(keys.address(port))
        first = await host.call("reach", REACH, timeout_s=0.2)
        assert first.outcome is Outcome.TIMED_OUT
        release.set()
        second = await host.call("reach", REACH, timeout_s=20)
        # It logged in, and what came back was not our program's answer.
        assert (second.outcome, second.exit_status) == (Outcome.LOST, 0)


async def test_fifty_failures_leave_nothing_behind(keys, connect):
    (port,) = postgres.free_ports(1)
    host = connect(keys.address(port))
    hang_up = await asyncio.start_server(lambda _, writer: writer.close(), "127.0.0.1", 0)
    other = connect(replace(keys.address(port), port=hang_up.sockets[0].getsockname()[1]))
    await host.call("reach", REACH, timeout_s=5)
    await other.call("reach", REACH, timeout_s=5)
    tasks = len(asyncio.all_tasks())
    descriptors = open_descriptors()
    async with hang_up:
        for _ in range(25):
            refused = await host.call("reach", REACH, timeout_s=5)
            assert refused.outcome is Outcome.REFUSED
            lost = await other.call("reach", REACH, timeout_s=5)
            assert lost.outcome is Outcome.LOST
        await nothing_is_left_of_more_than(tasks, descriptors)


async def nothing_is_left_of_more_than(tasks: int, descriptors: int) -> None:
    await until(lambda: len(asyncio.all_tasks()) <= tasks, "every task has ended")
    await until(lambda: open_descriptors() <= descriptors, "every descriptor is closed")


@needs_sshd
async def test_refusals_of_a_real_host_leave_nothing_behind(sshd, keys, connect):
    host = connect(keys.address(sshd.port, known_key=keys.of_client))
    await host.call("reach", REACH, timeout_s=10)
    tasks, descriptors = len(asyncio.all_tasks()), open_descriptors()
    for _ in range(10):
        answer = await host.call("reach", REACH, timeout_s=10)
        assert answer.outcome is Outcome.MISCONFIGURED
    await nothing_is_left_of_more_than(tasks, descriptors)


@needs_sshd
async def test_a_closed_host_has_no_connection(sshd, keys, connect):
    host = connect(keys.address(sshd.port))
    assert (await host.call("reach", REACH, timeout_s=10)).outcome is Outcome.OK
    await host.close()
    servers.wait_until(lambda: not sshd.sessions(), "the end of the connection")
