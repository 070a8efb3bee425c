"""The lab: database hosts, a monitor and an application on one wire. See host, network, server."""

from __future__ import annotations

import contextlib
import functools
import shutil
from pathlib import Path
from typing import Protocol, Self, TypeVar

from tests.lab.host import Host
from tests.lab.ledger import ApplicationHost
from tests.lab.machine import require_lab_machine
from tests.lab.monitor import Monitor
from tests.lab.network import Network
from tests.lab.python_tree import require_python
from tests.lab.server import DatabaseHost, tail

AnyHost = TypeVar("AnyHost", bound=Host)


class _Ends(Protocol):
    def stop(self) -> None: ...


Ending = TypeVar("Ending", bound=_Ends)
MONITOR_ADDRESS = "192.0.2.1"
APPLICATION_ADDRESS = "192.0.2.2"


class Lab:
    """A context manager. Whatever happens to this process, nothing of the lab outlives it."""

    def __init__(self, directory: Path, network: Network) -> None:
        self.directory = directory
        self.network = network
        self._hosts = contextlib.ExitStack()
        self._hosts.callback(network.stop)
        self.servers: list[DatabaseHost] = []

    @classmethod
    def start(cls, directory: Path) -> Self:
        """An empty lab below `directory`. Fails with the reason where the machine cannot run it."""
        require_lab_machine()
        return cls(directory, Network())

    @functools.cached_property
    def monitor(self) -> Monitor:
        monitor = self.connected(Monitor("monitor", MONITOR_ADDRESS, self.directory / "monitor"))
        require_python(monitor)
        return monitor

    def watched_from(self, kind: type[Monitor]) -> Monitor:
        """The monitor is of that kind. Before anything else of the lab."""
        assert "monitor" not in self.__dict__
        made = self.connected(kind("monitor", MONITOR_ADDRESS, self.directory / "monitor"))
        self.__dict__["monitor"] = made
        return made

    @functools.cached_property
    def app(self) -> ApplicationHost:
        return self.connected(ApplicationHost("app", APPLICATION_ADDRESS, self.directory / "app"))

    def database_host(
        self, name: str, address: str, kind: type[DatabaseHost] = DatabaseHost
    ) -> DatabaseHost:
        """A host with an sshd that the monitor's key opens, and no server yet."""
        host = self.connected(kind(name, address, self.directory / name))
        host.start_sshd(self.monitor.public_key)
        self.monitor.trust(host)
        self.servers.append(host)
        return host

    def pair(
        self, *, synchronous: bool = True, kind: type[DatabaseHost] = DatabaseHost
    ) -> tuple[DatabaseHost, DatabaseHost]:
        """A primary pg1 and its streaming standby pg2, which pg1 waits for when `synchronous`."""
        pg1 = self.database_host("pg1", "192.0.2.11", kind)
        pg2 = self.database_host("pg2", "192.0.2.12")
        pg1.initdb_primary()
        pg2.clone_from(pg1, slot="pg2")
        if synchronous:
            make_synchronous(pg1, "pg2")
        return pg1, pg2

    def trio(self) -> tuple[DatabaseHost, DatabaseHost, DatabaseHost]:
        """A primary pg1, and pg2 and pg3, either of which must hold each commit."""
        pg1, pg2 = self.pair(synchronous=False)
        pg3 = self.database_host("pg3", "192.0.2.13")
        pg3.clone_from(pg1, slot="pg3")
        return pg1, pg2, pg3

    def connected(self, host: AnyHost) -> AnyHost:
        """It is on the wire, and ends with the lab."""
        self._hosts.callback(host.stop)
        self.network.connect(host)
        return host

    def keep(self, one: Ending) -> Ending:
        """It ends with the lab."""
        self._hosts.callback(one.stop)
        return one

    # Faults of the network

    def link_down(self, host: Host) -> None:
        self.network.link_down(host)

    def link_up(self, host: Host) -> None:
        self.network.link_up(host)

    def drop(
        self, source: Host, target: Host, port: int | None = None, percent: int | None = None
    ) -> None:
        self.network.drop(source, target, port=port, percent=percent)

    def part(self, one: Host, other: Host) -> None:
        self.network.part(one, other)

    def heal(self) -> None:
        self.network.heal()

    # The end

    def evidence(self) -> str:
        """What a failed test shows."""
        parts = [tail(server.data / "log/postgresql.log", 25) for server in self.servers]
        if "monitor" in self.__dict__:
            parts.append(self.monitor.evidence())
        return "\n".join(parts)

    def stop(self) -> None:
        """End everything. Logs, configuration and state stay; data directories do not."""
        self._hosts.close()
        for server in self.servers:
            log = server.data / "log/postgresql.log"
            if log.exists():
                shutil.copyfile(log, self.directory / f"{server.name}.log")
            shutil.rmtree(server.home, ignore_errors=True)
        self.servers.clear()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()


def make_synchronous(primary: DatabaseHost, names: str) -> None:
    """Set `synchronous_standby_names` and wait until commits are held by it; '' for none."""
    quoted = names.replace("'", "''")
    primary.sql(f"alter system set synchronous_standby_names = '{quoted}'")
    primary.sql("select pg_reload_conf()")
    wanted = "t" if names else "f"
    primary.wait_for_sql(
        "select exists (select from pg_stat_replication where sync_state in ('sync', 'quorum'))",
        wanted,
    )
