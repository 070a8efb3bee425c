"""A real etcd of one member on this machine."""

from __future__ import annotations

import asyncio
import signal
import subprocess
from pathlib import Path

from failoverd.daemon import clock
from failoverd.demo.postgres import free_ports
from failoverd.transport.etcd import Etcd, EtcdClient, EtcdFailed
from tests.waiting import in_vain, wait_until


class Store:
    """One member."""

    def __init__(self, directory: Path, *more: str, scheme: str = "http") -> None:
        client, peer = free_ports(2)
        self.url = f"{scheme}://127.0.0.1:{client}"
        peers = f"http://127.0.0.1:{peer}"
        words = [
            "etcd", "--data-dir", str(directory / "etcd"), "--listen-client-urls", self.url,
            "--advertise-client-urls", self.url, "--listen-peer-urls", peers,
            "--initial-advertise-peer-urls", peers, "--initial-cluster", f"default={peers}",
            "--logger", "zap", "--log-level", "error", "--bcrypt-cost", "4", *more,
        ]  # fmt: skip
        with (directory / "etcd.log").open("ab") as log:
            self.process = subprocess.Popen(words, stdout=log, stderr=log)

    def wait(self) -> None:
        """Until it takes writes."""
        client = EtcdClient(Etcd((self.url,)))

        async def answers() -> None:
            await until_answered(client)
            await client.close()

        asyncio.run(answers())

    def pause(self) -> None:
        """Every thread stands still on return."""
        self.process.send_signal(signal.SIGSTOP)
        threads = Path(f"/proc/{self.process.pid}/task")

        def stand_still() -> bool:
            return all("\nState:\tT" in (one / "status").read_text() for one in threads.iterdir())

        wait_until(stand_still, 20, "every thread of etcd stands still")

    def end(self) -> None:
        self.process.send_signal(signal.SIGCONT)
        self.process.kill()
        self.process.wait()


async def until_answered(client):
    deadline = clock.monotonic() + 30
    while True:
        try:
            await client.read("/t/", 10.0)
        except EtcdFailed as failed:
            if clock.monotonic() > deadline:
                raise in_vain(30, "etcd answers", str(failed)) from None
            await asyncio.sleep(0.1)
        else:
            return
