"""A database host that a real systemd runs: units, automatic restarts, and boots.

Its root is an overlay over the machine's own. It boots into a target of its own, so that nothing
else of the machine is started with it.
"""

from __future__ import annotations

import os
import shutil
import subprocess
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import ClassVar

from tests.lab.machine import BIN_DIR, ENVIRONMENT, run, wait_until
from tests.lab.network import Network
from tests.lab.server import DATA_DIR, START_LOG, DatabaseHost

UNIT = "postgresql-lab"
CGROUPS = ("/sys/fs/cgroup/systemd", "/sys/fs/cgroup/unified")
TARGET = """\
[Unit]
Requires=basic.target
After=basic.target
AllowIsolate=yes
Wants=lab-sshd.service systemd-user-sessions.service {wants}
"""
SSHD = """\
[Service]
RuntimeDirectory=sshd
ExecStart=/usr/sbin/sshd -D -E /var/log/sshd.log
"""
# As many run it: whatever ends it, it comes back.
POSTGRES = f"""\
[Unit]
Description=PostgreSQL of the lab
[Service]
User=postgres
RuntimeDirectory=postgresql
RuntimeDirectoryMode=2775
RuntimeDirectoryPreserve=yes
ExecStart={BIN_DIR}/postgres -D {DATA_DIR}
ExecReload=/bin/kill -HUP $MAINPID
KillMode=mixed
KillSignal=SIGINT
TimeoutStopSec=3s
Restart=always
RestartSec=100ms
StartLimitIntervalSec=0
StandardOutput=append:{START_LOG}
StandardError=inherit
[Install]
WantedBy=lab.target
"""
MAY = ("start", "stop", "mask", "unmask", "disable", "enable")


class SystemdHost(DatabaseHost):
    """`pg_ctl start` and `stop` are the unit's; its server is enabled once it was started."""

    service = UNIT
    units: ClassVar[Mapping[str, str]] = {f"lib/systemd/system/{UNIT}.service": POSTGRES}
    """By their place: as a package has them; one in /etc cannot be masked."""
    wants = ""
    """What else is in its boot."""
    may = MAY
    """What `postgres` may have systemctl do with its unit."""

    def _boot(self, read_only: Sequence[Path], writable: Mapping[str, Path]) -> int:
        assert shutil.which("systemd-nspawn"), "systemd-nspawn is missing: make system-packages"
        assert not read_only, "an overlay shows all of the machine"
        self._place = self.directory / "overlay"
        self._place.mkdir()
        run(["mount", "-t", "tmpfs", "tmpfs", self._place])  # no overlay on an overlay
        upper, work, root = (self._place / name for name in ("upper", "work", "root"))
        for made in (upper, work, root):
            made.mkdir()
        options = f"lowerdir=/,upperdir={upper},workdir={work}"
        run(["mount", "-t", "overlay", "overlay", "-o", options, root])
        self._root = root
        self._install()
        self._binds = [f"--bind={source}:{target}" for target, source in writable.items()]
        self._container = f"lab-{os.getpid()}-{self.name}"
        return self._power_on()

    def _install(self) -> None:
        system = "etc/systemd/system"
        ours = {
            f"{system}/lab.target": TARGET.format(wants=self.wants),
            f"{system}/lab-sshd.service": SSHD,
        }
        for place, text in {**ours, **self.units}.items():
            (self._root / place).write_text(text)
        lines = [
            f"postgres ALL=(root) NOPASSWD: /usr/bin/systemctl {verb} {self.service}\n"
            for verb in self.may
        ]
        sudoers = self._root / "etc/sudoers.d/failoverd"
        sudoers.write_text("".join(lines))
        sudoers.chmod(0o440)

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
        """A property of the server's unit."""
        return self.systemctl("show", unit or self.service, "-p", name, "--value")

    def unit_log(self) -> str:
        return self._systemctl("status", "--no-pager", "-n", "30", self.service).stdout

    def run_sshd(self) -> None:
        self.systemctl("restart", "lab-sshd")

    def start(self) -> None:
        self.systemctl("enable", "--quiet", self.service)
        self.systemctl("start", self.service)
        wait_until(
            lambda: self.run(
                [f"{BIN_DIR}/pg_isready", "-q", "-h", self.socket_dir], check=False
            ).returncode == 0,
            30,
            f"the server of {self.name} answers",
            evidence=self.unit_log,
        )  # fmt: skip

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
