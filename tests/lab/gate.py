"""Where a call of the daemon is held on its way, from outside, until the test lets it go.

A gate is a folder: `armed` names the one call that it waits for and the moment (`request`: it
has left the daemon and did not arrive; `answer`: it was done and its answer did not arrive);
`held` appears once it is held; `go` lets it through (`deliver`) or loses it (`drop`); `log` has
a line for each call that came by.
"""

from __future__ import annotations

import shutil
import subprocess
import sys
from collections.abc import Iterable
from pathlib import Path

from tests.lab.host import UNPRIVILEGED_ID
from tests.lab.machine import ENVIRONMENT
from tests.lab.monitor import Monitor
from tests.lab.server import HOME, PORT, DatabaseHost, give_to_postgres

SSH_GATE = Path(__file__).with_name("ssh_gate.sh")
SQL_GATE = Path(__file__).with_name("sql_gate.py")
SQL_GATE_PORT = 15432
REDIRECT = f"""
add table ip gate
add chain ip gate output {{ type nat hook output priority -100; }}
add rule ip gate output meta skuid {UNPRIVILEGED_ID} tcp dport {PORT} redirect to :{SQL_GATE_PORT}
"""


class Gate:
    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def arm(self, *words: str) -> None:
        for name in ("armed", "taken", "held", "go"):
            (self.folder / name).unlink(missing_ok=True)
        self._put("armed", " ".join(words))

    def disarm(self) -> None:
        """It waits for nothing any more, and what it holds goes on."""
        (self.folder / "armed").unlink(missing_ok=True)
        self.let_go("deliver")

    @property
    def holds(self) -> bool:
        return (self.folder / "held").exists()

    def let_go(self, how: str) -> None:
        self._put("go", how)

    def _put(self, name: str, text: str) -> None:
        """Whole at once: whoever waits for it never reads half of it."""
        new = self.folder / f"{name}.new"
        new.write_text(text + "\n")
        new.chmod(0o644)
        new.rename(self.folder / name)

    @property
    def seen(self) -> list[str]:
        log = self.folder / "log"
        return log.read_text().splitlines() if log.exists() else []


def ssh_gate(host: DatabaseHost) -> Gate:
    """Before each program that is run over SSH on this host; from the next connection on."""
    folder = host.home / "gate"
    folder.mkdir()
    give_to_postgres(folder)
    shutil.copy(SSH_GATE, folder / SSH_GATE.name)
    with (host.ssh / "sshd_config").open("a") as config:
        config.write(f"ForceCommand {HOME}/gate/{SSH_GATE.name}\n")
    host.run(["sh", "-c", "kill -HUP $(cat /run/sshd.pid)"])
    return Gate(folder)


class SqlGate(Gate):
    """Before each statement that the monitor's host sends to a server of the lab."""

    def __init__(self, monitor: Monitor) -> None:
        super().__init__(monitor.directory / "gate")
        self.folder.mkdir()
        enter = ["nsenter", "--target", str(monitor.init_pid), "--net", "--"]
        self._process = subprocess.Popen(
            [*enter, sys.executable, "-I", "-S", SQL_GATE, self.folder, str(SQL_GATE_PORT)],
            stdout=subprocess.PIPE, env=dict(ENVIRONMENT),
        )  # fmt: skip
        assert self._process.stdout is not None
        assert self._process.stdout.readline() == b"ready\n"
        monitor.run_in_network(["nft", "-f", "-"], input=REDIRECT)

    def stop(self) -> None:
        self._process.kill()
        self._process.communicate()


def let_go(gates: Iterable[Gate], how: str) -> None:
    for gate in gates:
        gate.let_go(how)
