"""etcd in the lab: its members, each on a host of its own, and what can be done to them."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
from collections.abc import Sequence
from pathlib import Path

from tests.lab.host import (
    UNPRIVILEGED,
    UNPRIVILEGED_ID,
    Host,
    signal_all,
    wait_for_processes,
)
from tests.waiting import wait_until

CLIENT_PORT, PEER_PORT = 2379, 2380
DATA = "/var/lib/etcd"


class Member(Host):
    """One member. Its data outlives its process."""

    def __init__(self, name: str, address: str, directory: Path) -> None:
        self.data = directory / "etcd"
        self.data.mkdir(parents=True)
        self.data.chmod(0o700)
        self._log = directory / "etcd.log"
        self._member: subprocess.Popen[bytes] | None = None
        found = shutil.which("etcd")
        assert found is not None, "etcd is missing: tests/lab/install-packages"
        self._program = Path(found)
        ours = [] if self._program.is_relative_to("/usr") else [self._program.parent]
        super().__init__(name, address, directory, read_only=ours, writable={DATA: self.data})
        os.chown(self.data, UNPRIVILEGED_ID, UNPRIVILEGED_ID)

    @property
    def url(self) -> str:
        return f"http://{self.address}:{CLIENT_PORT}"

    def begin(self, members: Sequence[Member]) -> None:
        """Start it, or start it again; `members` are all that there are."""
        peers = ",".join(f"{one.name}=http://{one.address}:{PEER_PORT}" for one in members)
        peer = f"http://{self.address}:{PEER_PORT}"
        words = [
            str(self._program), "--name", self.name, "--data-dir", DATA,
            "--listen-client-urls", self.url, "--advertise-client-urls", self.url,
            "--listen-peer-urls", peer, "--initial-advertise-peer-urls", peer,
            "--initial-cluster", peers, "--initial-cluster-token", "lab",
            "--initial-cluster-state", "new", "--logger", "zap", "--log-level", "warn",
        ]  # fmt: skip
        with self._log.open("ab") as output:
            self._member = subprocess.Popen(
                self.argv(words, UNPRIVILEGED),
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT,
                env=self.environment(UNPRIVILEGED),
                cwd="/",
            )

    def kill(self) -> None:
        signal_all(self, "etcd", signal.SIGKILL)
        if self._member is not None:
            self._member.wait(10)

    def pause(self) -> None:
        """It stands still on return."""
        signal_all(self, "etcd", signal.SIGSTOP)
        wait_for_processes(self, "etcd", "TZ", 20)

    def wake(self) -> None:
        signal_all(self, "etcd", signal.SIGCONT)
        if self._member is not None:
            # nsenter stops itself when the program that it waits for is stopped.
            self._member.send_signal(signal.SIGCONT)

    @property
    def runs(self) -> bool:
        return bool(self.processes("etcd"))

    def answers(self) -> bool:
        asked = ["curl", "-sm", "2", f"{self.url}/health"]
        return '"true"' in self.run(asked, check=False).stdout

    def stop(self) -> None:
        super().stop()
        if self._member is not None:
            self._member.wait(10)


def wait_for_store(members: Sequence[Member], timeout_s: float = 30) -> None:
    wait_until(lambda: all(one.answers() for one in members), timeout_s, "etcd answers")
