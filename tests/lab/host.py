"""A machine of the lab: its own network, processes, files, names and System V memory.

What the product may see of a host it sees over the network. The harness alone looks in from
outside: it enters the namespaces, and finds the host's processes in the machine's /proc.
"""

from __future__ import annotations

import contextlib
import json
import os
import pwd
import shutil
import signal
import subprocess
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Self

from tests.lab.machine import ENVIRONMENT, Argument, run
from tests.waiting import wait_until

MACHINE = Path("/")
HOST_INIT = Path(__file__).with_name("host_init.py")
UNPRIVILEGED = "failoverd-lab"
UNPRIVILEGED_ID = 61001
ACCOUNTS = {
    "passwd": [f"{UNPRIVILEGED}:x:{UNPRIVILEGED_ID}:{UNPRIVILEGED_ID}::/var/lib/failoverd:/bin/sh"],
    "group": [f"{UNPRIVILEGED}:x:{UNPRIVILEGED_ID}:"],
    "shadow": [f"{UNPRIVILEGED}:!:20000::::::"],
}


@dataclass(frozen=True, slots=True)
class Process:
    pid: int
    """As the host itself counts."""
    outer_pid: int
    parent: int
    """0: entered from outside; 1: an orphan or a daemon."""
    state: str
    """As in /proc/PID/stat: R, S, D, T (stopped), Z (zombie)."""
    name: str
    command: str


class Host:
    """Namespaces that live as long as their PID 1. `directory` holds what outlives its tmpfs."""

    def __init__(
        self,
        name: str,
        address: str,
        directory: Path,
        *,
        read_only: Sequence[Path] = (),
        writable: Mapping[str, Path] | None = None,
        tree: Path = MACHINE,
    ) -> None:
        """`tree`: whose programs it has, and whose /etc."""
        self.name = name
        self.address = address
        self.directory = directory
        self._tree = tree
        (directory / "root").mkdir(parents=True)
        self._enter_as(self._boot(read_only, writable or {}))

    def _boot(self, read_only: Sequence[Path], writable: Mapping[str, Path]) -> int:
        """Start its PID 1; its number on the machine."""
        plan = {
            "name": self.name,
            "root": str(self.directory / "root"),
            "tree": str(self._tree),
            "accounts": ACCOUNTS,
            "read_only": [str(path) for path in read_only],
            "writable": [(str(path), target) for target, path in writable.items()],
        }
        self._init = start_init(
            plan, ["--mount", "--uts", "--ipc", "--net", "--pid", "--fork", "--kill-child"]
        )
        (child,) = (
            Path(f"/proc/{self._init.pid}/task/{self._init.pid}/children").read_text().split()
        )
        return int(child)

    def _enter_as(self, init_pid: int) -> None:
        self.init_pid = init_pid
        self._pid_namespace = Path(f"/proc/{init_pid}/ns/pid").stat().st_ino
        self._enter = ["nsenter", "--target", str(init_pid)]
        self._enter += ["--mount", "--uts", "--ipc", "--net", "--pid"]

    def argv(self, command: Sequence[Argument], user: str = "root") -> list[str]:
        """`command` as a command of the machine that runs inside the host as `user`."""
        words = [*self._enter, "--"]
        if user != "root":
            words += ["setpriv", f"--reuid={user}", f"--regid={user}", "--init-groups", "--"]
        return [*words, *(os.fspath(word) for word in command)]

    @staticmethod
    def environment(user: str) -> dict[str, str]:
        home = "/root" if user == "root" else "/var/lib/failoverd"
        if user != UNPRIVILEGED:
            home = pwd.getpwnam(user).pw_dir
        return {**ENVIRONMENT, "HOME": home, "USER": user, "LOGNAME": user}

    def run(
        self,
        command: Sequence[Argument],
        *,
        user: str = "root",
        check: bool = True,
        input: str | None = None,  # noqa: A002 - as in subprocess.run
        timeout_s: float = 60,
        env: Mapping[str, str] | None = None,
    ) -> subprocess.CompletedProcess[str]:
        environment = {**self.environment(user), **(env or {})}
        argv = self.argv(command, user)
        return run(argv, input=input, check=check, timeout_s=timeout_s, env=environment)

    def spawn(self, command: Sequence[Argument], *, user: str = "root") -> subprocess.Popen[str]:
        """A program in the background, standard streams as pipes; ends with the host."""
        return subprocess.Popen(
            self.argv(command, user),
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            env=self.environment(user),
            cwd="/",
        )

    def run_in_network(self, command: Sequence[Argument], *, input: str | None = None) -> str:  # noqa: A002
        """A program of the machine, in the host's network only."""
        enter = ["nsenter", "--target", str(self.init_pid), "--net", "--"]
        return run([*enter, *command], input=input).stdout

    def processes(self, name: str | None = None) -> list[Process]:
        """The host's processes without PID 1, or those whose name (`comm`) is `name`."""
        found = []
        for entry in os.scandir("/proc"):
            if entry.name.isdecimal() and int(entry.name) != self.init_pid:
                with contextlib.suppress(FileNotFoundError, ProcessLookupError):
                    process = self._process(int(entry.name))
                    if process is not None and name in (None, process.name):
                        found.append(process)
        return sorted(found, key=lambda process: process.pid)

    def _process(self, outer_pid: int) -> Process | None:
        proc = Path(f"/proc/{outer_pid}")
        status = dict(
            line.split(":\t", 1)
            for line in (proc / "status").read_text().splitlines()
            if ":\t" in line
        )
        # A zombie has no namespace link any more: NSpid tells that it is in one like ours.
        pids = status["NSpid"].split()
        if len(pids) < 2:
            return None
        if not self._is_ours(outer_pid, int(status["PPid"])):
            return None
        return Process(
            pid=int(pids[-1]),
            outer_pid=outer_pid,
            parent=self._inner_pid(int(status["PPid"])),
            state=status["State"][0],
            name=status["Name"],
            command=(proc / "cmdline").read_text().replace("\0", " ").strip(),
        )

    def _is_ours(self, outer_pid: int, outer_parent: int) -> bool:
        for pid in (outer_pid, outer_parent):
            # PermissionError: PID 1 of the machine, whom an orphan of another run fell to.
            with contextlib.suppress(FileNotFoundError, ProcessLookupError, PermissionError):
                return Path(f"/proc/{pid}/ns/pid").stat().st_ino == self._pid_namespace
        return False

    def _inner_pid(self, outer_pid: int) -> int:
        if outer_pid == self.init_pid:
            return 1
        # A parent that has just ended has left its child to another; that child still lives.
        with contextlib.suppress(FileNotFoundError, ProcessLookupError):
            if outer_pid and self._is_ours(outer_pid, 0):
                for line in Path(f"/proc/{outer_pid}/status").read_text().splitlines():
                    if line.startswith("NSpid:"):
                        return int(line.split()[-1])
        return 0

    def stop(self) -> None:
        """End every process of the host and free what it held. May be called twice."""
        stop_init(self._init)
        shutil.rmtree(self.directory / "root", ignore_errors=True)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()


def start_init(plan: Mapping[str, object], namespaces: Sequence[str]) -> subprocess.Popen[bytes]:
    """A process that holds fresh namespaces until the pipe to it ends; ready on return."""
    interpreter = os.path.realpath(sys.executable)
    init = subprocess.Popen(
        ["unshare", *namespaces, interpreter, "-I", "-S", HOST_INIT],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        start_new_session=True,
        env=dict(ENVIRONMENT),
        cwd="/",
    )
    assert init.stdin is not None
    init.stdin.write(json.dumps(plan).encode() + b"\n")
    init.stdin.flush()
    assert init.stdout is not None
    if init.stdout.readline() != b"ready\n":
        assert init.stderr is not None
        said = init.stderr.read().decode()
        stop_init(init)
        raise AssertionError(f"a host of the lab did not start:\n{said}")
    return init


def stop_init(init: subprocess.Popen[bytes]) -> None:
    if init.stdin is not None and not init.stdin.closed:
        init.stdin.close()
    try:
        init.wait(10)
    except subprocess.TimeoutExpired:
        init.kill()
        init.wait()
    for pipe in (init.stdout, init.stderr):
        if pipe is not None:
            pipe.close()


def signal_all(host: Host, name: str, number: signal.Signals) -> None:
    """Send a signal to every process of that name. A race with its end is no error."""
    for process in host.processes(name):
        with contextlib.suppress(ProcessLookupError):
            os.kill(process.outer_pid, number)


def wait_for_processes(host: Host, name: str, states: str, timeout_s: float) -> None:
    """Wait until every process of that name is in one of `states` (none at all is fine)."""
    wait_until(
        lambda: all(process.state in states for process in host.processes(name)),
        timeout_s,
        f"processes {name} of {host.name} in state {states!r}",
        evidence=lambda: "\n".join(map(str, host.processes(name))),
    )


def wait_until_listening(host: Host, port: int) -> None:
    """On that TCP port, of whatever address."""
    listens = ["ss", "--tcp", "--listening", "--numeric", "--no-header", f"sport = :{port}"]
    wait_until(
        lambda: host.run_in_network(listens) != "",
        30,
        f"{host.name} listens on port {port}",
        evidence=lambda: "\n".join(map(str, host.processes())),
    )
