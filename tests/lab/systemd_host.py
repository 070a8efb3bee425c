"""A database host that a real systemd runs: units, automatic restarts, and boots."""

from __future__ import annotations

from collections.abc import Mapping
from typing import ClassVar

from tests.lab.booted import BootedHost
from tests.lab.machine import BIN_DIR
from tests.lab.python_tree import CHECKOUT
from tests.lab.server import DATA_DIR, START_LOG, DatabaseHost
from tests.waiting import wait_until

UNIT = "postgresql-lab"
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


class SystemdHost(BootedHost, DatabaseHost):
    """`pg_ctl start` and `stop` are the unit's; its server is enabled once it was started."""

    service = UNIT
    wants = "lab-sshd.service systemd-user-sessions.service"
    units: ClassVar[Mapping[str, str]] = {f"lib/systemd/system/{UNIT}.service": POSTGRES}
    """By their place: as a package has them; one in /etc cannot be masked."""
    may = MAY
    """What `postgres` may have systemctl do with its unit."""

    def _install(self) -> None:
        ours = {"etc/systemd/system/lab-sshd.service": SSHD}
        for place, text in {**ours, **self.units}.items():
            (self._root / place).write_text(text)
        shipped = (CHECKOUT / "deploy/sudoers").read_text().replace("postgresql-17", self.service)
        lines = [
            line
            for line in shipped.splitlines(keepends=True)
            if line.startswith("postgres ") and line.split()[-2] in self.may
        ]
        sudoers = self._root / "etc/sudoers.d/failoverd"
        sudoers.write_text("".join(lines))
        sudoers.chmod(0o440)

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
