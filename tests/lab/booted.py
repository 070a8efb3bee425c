"""A host that a real systemd runs as its PID 1, over an overlay of somebody's root.

It boots into a target of its own, so that nothing else of that root is started with it.
"""

from __future__ import annotations

import os
import shutil
import subprocess
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import ClassVar

from tests.lab.host import Host
from tests.lab.machine import ENVIRONMENT, run
from tests.lab.network import Network
from tests.waiting import wait_until

CGROUPS = ("/sys/fs/cgroup/systemd", "/sys/fs/cgroup/unified")
TARGET = """\
[Unit]
Requires=basic.target
After=basic.target
AllowIsolate=yes
Wants={wants}
"""


class BootedHost(Host):
    lower = "/"
    """What it is an overlay of: all of that is seen in it, and nothing that is mounted there."""
    shown: ClassVar[Mapping[str, Path]] = {}
    """What else is seen, read-only, by its place there."""
    service = ""
    """The unit that it is about."""
    wants = ""
    """What is in its boot."""

    def _boot(self, _: Sequence[Path], writable: Mapping[str, Path]) -> int:
        assert shutil.which("systemd-nspawn"), "systemd-nspawn is missing: make system-packages"
        self._place = self.directory / "overlay"
        self._place.mkdir()
        run(["mount", "-t", "tmpfs", "tmpfs", self._place])  # no overlay on an overlay
        upper, work, root = (self._place / name for name in ("upper", "work", "root"))
        for made in (upper, work, root):
            made.mkdir()
        options = f"lowerdir={self.lower},upperdir={upper},workdir={work}"
        run(["mount", "-t", "overlay", "overlay", "-o", options, root])
        self._root = root
        self._install_target()
        self._install()
        self._binds = [f"--bind={source}:{target}" for target, source in writable.items()]
        self._binds += [f"--bind-ro={source}:{target}" for target, source in self.shown.items()]
        self._container = f"lab-{os.getpid()}-{self.name}"
        return self._power_on()

    def _install_target(self) -> None:
        (self._root / "etc/systemd/system/lab.target").write_text(TARGET.format(wants=self.wants))

    def _install(self) -> None:
        """What it has beyond, before it boots."""

    def _power_on(self) -> int:
        """In a control group of its own: two containers in one would end each other."""
        self._groups = [Path(group, self._container) for group in CGROUPS if Path(group).is_dir()]
        for group in self._groups:
            group.mkdir(exist_ok=True)
        enter = "".join(f"echo $$ >{group}/cgroup.procs; " for group in self._groups)
        command = [
            "sh", "-c", f'{enter}exec "$@"', "sh",
            "systemd-nspawn", "--register=no", "--keep-unit", "--settings=no", "-D", self._root,
            "-M", self._container, "--private-network", "--console=pipe", "--link-journal=no",
            *self._binds, "--boot", "--", "systemd.unit=lab.target", "systemd.firstboot=off",
        ]  # fmt: skip
        with (self.directory / "boot.log").open("wb") as output:
            self._init = subprocess.Popen(
                command, stdin=subprocess.DEVNULL, stdout=output, stderr=subprocess.STDOUT,
                env=dict(ENVIRONMENT),
            )  # fmt: skip

        return self._booted()

    def _booted(self) -> int:
        """Its PID 1, once its target is reached."""
        log = self.directory / "boot.log"
        children = Path(f"/proc/{self._init.pid}/task/{self._init.pid}/children")

        def found() -> int:
            assert self._init.poll() is None, log.read_text(errors="replace")
            pids = [int(pid) for pid in children.read_text().split()]
            return next((pid for pid in pids if _is_systemd(pid)), 0)

        pid = wait_until(found, 30, "systemd is started", evidence=log.read_text)
        self._enter_as(pid)
        wait_until(
            lambda: self._systemctl("is-active", "lab.target").stdout.strip() == "active",
            60,
            f"{self.name} is booted",
            evidence=lambda: log.read_text(errors="replace"),
        )
        return pid

    def _enter_as(self, init_pid: int) -> None:
        super()._enter_as(init_pid)
        self._enter.append("--cgroup")

    def _systemctl(self, *words: str) -> subprocess.CompletedProcess[str]:
        return self.run(["systemctl", *words], check=False)

    def systemctl(self, *words: str) -> str:
        done = self._systemctl(*words)
        assert done.returncode == 0, f"systemctl {words}: {done.stderr}\n{self.unit_log()}"
        return done.stdout.strip()

    def show(self, name: str, unit: str = "") -> str:
        """A property of the unit."""
        return self.systemctl("show", unit or self.service, "-p", name, "--value")

    def unit_log(self) -> str:
        return self._systemctl("status", "--no-pager", "-n", "30", self.service).stdout

    def reboot(self, network: Network) -> None:
        """All of its processes end, and it boots anew: another boot id, the same files."""
        self._systemctl("reboot")
        self._init.wait(60)
        self._enter_as(self._power_on())
        network.connect(self)

    def stop(self) -> None:
        if self._init.poll() is None:
            subprocess.run(["kill", "-9", str(self.init_pid)], check=False, capture_output=True)
            try:
                self._init.wait(15)
            except subprocess.TimeoutExpired:
                self._init.kill()
                self._init.wait()
        for mounted in (self._root, self._place):
            subprocess.run(["umount", "-q", "-l", str(mounted)], check=False)
        _remove(Path("/run/systemd/nspawn/propagate", self._container))
        for group in self._groups:
            for folder in sorted(group.rglob("*"), reverse=True):
                if folder.is_dir():
                    _remove(folder)
            _remove(group)


def _remove(group: Path) -> None:
    subprocess.run(["rmdir", str(group)], check=False, capture_output=True)


def _is_systemd(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/comm").read_text().strip() == "systemd"
    except OSError:
        return False
