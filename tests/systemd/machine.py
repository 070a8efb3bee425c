"""A real systemd as PID 1, in a container over an overlay of this machine's own root."""

from __future__ import annotations

import contextlib
import os
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

from tests.waiting import wait_until

CHECKOUT = Path(__file__).parents[2]
SITE = Path(sys.prefix) / "lib" / f"python{sys.version_info[0]}.{sys.version_info[1]}"
SHOWN = {
    "/opt/python": Path(sys.base_prefix).resolve(),
    "/opt/failoverd": CHECKOUT,
    "/opt/site-packages": SITE / "site-packages",
}
"""What the command below needs of this machine, by its place inside."""
INTERPRETER = f"/opt/python/bin/python{sys.version_info[0]}.{sys.version_info[1]}"
COMMAND = f"""#!/bin/sh
export LD_LIBRARY_PATH=/opt/python/lib PYTHONPATH=/opt/failoverd:/opt/site-packages
exec {INTERPRETER} -m failoverd "$@"
"""


class Machine:
    """Runs commands inside; `systemctl` above all."""

    def __init__(self, root: Path, init_pid: int) -> None:
        self.root = root
        self._init_pid = init_pid

    def run(self, *command: str, check: bool = True) -> subprocess.CompletedProcess[str]:
        enter = ["nsenter", "-t", str(self._init_pid), "-m", "-p", "-u", "-i", "-n", "-C", "--"]
        done = subprocess.run(
            [*enter, *command], capture_output=True, text=True, timeout=60, check=False
        )
        assert not check or done.returncode == 0, f"{command}: {done}\n{self.journal()}"
        return done

    def show(self, name: str) -> str:
        return self.run("systemctl", "show", "failoverd", "-p", name, "--value").stdout.strip()

    def wait_for(self, name: str, accepted: Callable[[str], bool], within_s: float = 30.0) -> str:
        """The property of the unit, once it is accepted."""
        values = [""]

        def comes() -> bool:
            values.append(self.show(name))
            return accepted(values[-1])

        wait_until(
            comes, within_s, f"{name} is as it should be",
            evidence=lambda: f"but {values[-1]!r}\n{self.journal()}", interval_s=0.1,
        )  # fmt: skip
        return values[-1]

    def wait_for_line(self, words: str, within_s: float = 30.0) -> None:
        """The journal has it: what a unit says is there a moment later."""
        wait_until(
            lambda: words in self.journal(), within_s, f"the journal says {words!r}",
            evidence=self.journal, interval_s=0.2,
        )  # fmt: skip

    def journal(self) -> str:
        enter = ["nsenter", "-t", str(self._init_pid), "-m", "-p", "--", "journalctl", "-n", "60"]
        done = subprocess.run(
            [*enter, "--no-pager"], capture_output=True, text=True, timeout=60, check=False
        )
        return done.stdout


@contextlib.contextmanager
def booted(place: Path) -> Iterator[Machine]:
    """Up when entered, gone when left. Fails where it cannot run: it is never skipped."""
    assert os.geteuid() == 0, "the systemd tests must run as root"
    for program in ("systemd-nspawn", "nsenter"):
        assert shutil.which(program), f"{program} is missing: make system-packages"
    root, upper, work = (place / name for name in ("root", "upper", "work"))
    for made in (root, upper, work):
        made.mkdir()
    # An overlay cannot lie on an overlay, and the place may: a tmpfs of its own cannot.
    _run("mount", "-t", "tmpfs", "tmpfs", str(place))
    for made in (root, upper, work):
        made.mkdir()
    options = f"lowerdir=/,upperdir={upper},workdir={work}"
    try:
        _run("mount", "-t", "overlay", "overlay", "-o", options, str(root))
        install(root)
        with _container(root, place / "log") as init_pid:
            machine = Machine(root, init_pid)
            _wait_until_running(machine)
            yield machine
            machine.run("systemctl", "poweroff", check=False)
    finally:
        subprocess.run(["umount", "-q", str(root)], check=False)
        subprocess.run(["umount", "-q", "-l", str(place)], check=False)


def _run(*command: str) -> None:
    done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 0, f"{command}: {done.stderr}"


def install(root: Path) -> None:
    """As docs/install.md says, with what runs these tests for an environment."""
    command = root / "usr/local/bin/failoverd"
    command.write_text(COMMAND)
    command.chmod(0o755)
    for unit in (CHECKOUT / "systemd").glob("*.service"):
        shutil.copy(unit, root / "etc/systemd/system")
    accounts = root / "usr/lib/sysusers.d/failoverd.conf"
    shutil.copy(CHECKOUT / "systemd" / "failoverd.sysusers", accounts)
    _run("systemd-sysusers", f"--root={root}", accounts.name)
    for name in ("opt/python", "opt/failoverd", "opt/site-packages"):
        (root / name).mkdir(parents=True, exist_ok=True)


@contextlib.contextmanager
def _container(root: Path, log: Path) -> Iterator[int]:
    with log.open("wb") as output:
        process = subprocess.Popen(
            ["systemd-nspawn", "--register=no", "--keep-unit", "--settings=no", "-D", str(root),
             "-M", f"failoverd-{os.getpid()}", "--private-network", "--console=pipe",
             "--link-journal=no", *(f"--bind-ro={a}:{b}" for b, a in SHOWN.items()),
             "--boot", "--", "systemd.unit=basic.target", "systemd.firstboot=off"],
            stdin=subprocess.DEVNULL, stdout=output, stderr=subprocess.STDOUT,
        )  # fmt: skip
    try:
        yield _init_of(process, log)
    finally:
        try:
            process.wait(15)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()


def _init_of(process: subprocess.Popen[bytes], log: Path) -> int:
    def said() -> str:
        return log.read_text(errors="replace")

    def pids() -> list[str]:
        assert process.poll() is None, said()
        command = ["pgrep", "-P", str(process.pid), "-x", "systemd"]
        return subprocess.run(command, capture_output=True, text=True, check=False).stdout.split()

    return int(wait_until(pids, 60, "systemd is started", evidence=said, interval_s=0.1)[0])


def _wait_until_running(machine: Machine) -> None:
    states = [""]

    def runs() -> bool:
        said = machine.run("systemctl", "is-system-running", check=False).stdout
        states.append(said.strip())
        return states[-1] in ("running", "degraded")

    wait_until(
        runs, 60, "the container is running",
        evidence=lambda: f"but {states[-1]}\n{machine.journal()}", interval_s=0.2,
    )  # fmt: skip
