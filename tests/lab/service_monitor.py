"""The monitor's host, where a real systemd runs failoverd by the unit that is shipped."""

from __future__ import annotations

import json
import os
import signal
import subprocess
from collections.abc import Mapping
from pathlib import Path
from typing import Any, ClassVar

from tests.lab.booted import BootedHost
from tests.lab.machine import run
from tests.lab.monitor import CONFIG, FETCH, Monitor
from tests.lab.server import MONITOR_PASSWORD
from tests.systemd.machine import SHOWN, install

FAST_WATCHDOG = "[Service]\nWatchdogSec=3s\nTimeoutAbortSec=1s\n"


class Unit:
    """What of a daemon's process the lab asks for, asked of systemd."""

    def __init__(self, monitor: ServiceMonitor) -> None:
        self._monitor = monitor

    @property
    def exit_status(self) -> int | None:
        active = self._monitor.show("ActiveState") in ("active", "reloading", "activating")
        return None if active else int(self._monitor.show("ExecMainStatus"))

    @property
    def log_text(self) -> str:
        return self._monitor.journal()

    def tail(self) -> str:
        return "\n".join(self.log_text.splitlines()[-60:])

    def signal(self, number: signal.Signals) -> None:
        name = number.name.removeprefix("SIG")
        self._monitor.systemctl("kill", "--kill-whom=main", "-s", name, "failoverd")

    def wait(self, timeout_s: float = 30) -> int:
        """Once its machine has ended there is nothing left to wait for."""
        return 0


class ServiceMonitor(Monitor, BootedHost):
    service = "failoverd"
    shown: ClassVar[Mapping[str, Path]] = SHOWN

    def __init__(self, name: str, address: str, directory: Path) -> None:
        self.etc = directory / "etc"
        (directory / "run").mkdir(parents=True)
        self.etc.mkdir(mode=0o755)
        self._daemons = []
        self._fetcher = None
        self._fetch = FETCH
        BootedHost.__init__(self, name, address, directory, writable={"/etc/failoverd": self.etc})
        run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-C", name, "-f", self._key])
        self._private("password", MONITOR_PASSWORD + "\n")
        self._private("known_hosts", "")

    def _install(self) -> None:
        install(self._root)
        own = self._root / "etc/systemd/system/failoverd.service.d"
        own.mkdir()
        (own / "lab.conf").write_text(FAST_WATCHDOG)

    def _private(self, name: str, text: str) -> None:
        """Secrets are root's alone, as the unit wants them; what is no secret is everybody's."""
        path = self.etc / name
        path.touch(mode=0o600)
        path.write_text(text)
        path.chmod(0o600 if name in ("password", "id_ed25519") else 0o644)

    def start_daemon(self, config: str = CONFIG, **_: Any) -> Unit:
        assert config == CONFIG, "the unit says which"
        self.systemctl("start", self.service)
        self._daemons.append(Unit(self))
        return self._daemons[-1]

    def failoverd(
        self, *words: str, check: bool = True, timeout_s: float = 30, config: str = CONFIG
    ) -> subprocess.CompletedProcess[str]:
        command = ["failoverd", "-c", config, *words]
        return self.run(command, check=check, timeout_s=timeout_s)

    def journal(self, *words: str) -> str:
        """What journalctl tells of the unit."""
        command = ["journalctl", "--no-pager", "-u", self.service, *words]
        return self.run(command, check=False).stdout

    def journaled(self, *matches: str) -> list[dict[str, Any]]:
        """The lines of systemd's journal that have those fields."""
        return [json.loads(line) for line in self.journal("-o", "json", *matches).splitlines()]

    def stall(self) -> int:
        """Stop the daemon without ending it; its number on this machine."""
        main = int(self.show("MainPID"))
        found = next(process for process in self.processes() if process.pid == main)
        os.kill(found.outer_pid, signal.SIGSTOP)
        return main
