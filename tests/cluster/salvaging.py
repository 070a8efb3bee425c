"""A primary that died with WAL that its standby lacks, and a salvage between the two."""

from __future__ import annotations

import subprocess
from collections.abc import AsyncIterator, Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from failoverd.core.effects import Salvage
from failoverd.core.events import NotConfigured
from failoverd.core.lsn import Lsn
from failoverd.core.memory import Memory
from failoverd.core.model import (
    ClusterView,
    Epoch,
    NodeName,
    SystemIdentifier,
    Timeline,
)
from failoverd.core.policy import StepLimits
from failoverd.core.wal_answers import NotSalvaged, Salvaged
from failoverd.demo import postgres
from failoverd.demo.postgres import Server
from failoverd.effect.perform import perform
from failoverd.effect.world import Node, World
from failoverd.transport.host import Host, HostAnswer
from failoverd.transport.local import LocalHost
from failoverd.transport.postgres import SqlAddress
from failoverd.transport.stream import Take
from tests.cluster import servers
from tests.cluster.servers import RETRIES_SOON, Ground, ask_about, monotonic

EPOCH = Epoch(7)
MEGABYTE = 1024 * 1024


def write(server: Server, megabytes: float = 0.2, table: str = "t") -> None:
    """Committed and flushed when this returns; about so much WAL."""
    rows = max(1, int(megabytes * 6500))
    postgres.sql(
        server,
        f"create table if not exists {table} (a bigint, b text);"
        f" insert into {table} select n, repeat('x', 100) from generate_series(1, {rows}) n;",
    )


def rows(server: Server, table: str = "t") -> int:
    return int(postgres.sql(server, f"select count(*) from {table};"))


def flushed(server: Server) -> Lsn:
    return Lsn.parse(postgres.sql(server, "select pg_current_wal_flush_lsn();"))


def received(server: Server) -> Lsn:
    said = postgres.sql(
        server, "select greatest(pg_last_wal_receive_lsn(), pg_last_wal_replay_lsn());"
    )
    return Lsn.parse(said)


def hold_back(standby: Server) -> None:
    """It receives no more, as with a network that is slow; its position stands."""
    postgres.sql(standby, "alter system set primary_conninfo = '';")
    postgres.sql(standby, "select pg_reload_conf();")
    receivers = "select count(*) from pg_stat_wal_receiver;"
    servers.wait_until(lambda: postgres.sql(standby, receivers) == "0", "it receives no more")


@dataclass
class Scene:
    primary: Server
    standby: Server
    others: tuple[Server, ...] = ()
    timeline: int = 1
    limits: StepLimits = field(default_factory=StepLimits)
    hosts: dict[str, Host] = field(default_factory=dict)
    progress: list[tuple[int, int]] = field(default_factory=list)
    wanted: int = 0
    """Rows that were acknowledged."""

    def lag(self, megabytes: float) -> Scene:
        """The standby is held back, the primary writes on, and dies."""
        hold_back(self.standby)
        write(self.primary, megabytes)
        return self.crash()

    def crash(self) -> Scene:
        self.wanted = rows(self.primary)
        postgres.kill(self.primary)
        return self

    async def freeze(self, server: Server | None = None) -> Lsn:
        answer = await ask_about(server or self.standby).act("freeze")
        assert answer.done, answer.run.output
        return Lsn.parse(answer.field("position"))

    def world(self) -> World:
        everybody = (self.primary, self.standby, *self.others)
        identifier = control(self.primary, "Database system identifier")
        return World(
            nodes={NodeName(server.name): self._node(server) for server in everybody},
            memory=Memory(system_identifier=SystemIdentifier(identifier)),
            view=ClusterView({}),
            limits=self.limits,
            monotonic=monotonic,
            boottime=monotonic,
            poll_timeout_s=10.0,
            progress=lambda done, of: self.progress.append((done, of)),
        )

    def _node(self, server: Server) -> Node:
        name = NodeName(server.name)
        host = self.hosts.get(server.name) or LocalHost(name, monotonic)
        address = SqlAddress(
            "127.0.0.1", server.port, "postgres", "postgres", lambda: "", "disable"
        )
        return Node(name, host, address, ask_about(server).arguments)

    async def salvage(
        self, position: Lsn, source: Server | None = None, epoch: int = EPOCH
    ) -> Salvaged | NotSalvaged | NotConfigured:
        effect = Salvage(
            NodeName(self.primary.name),
            NodeName(self.standby.name),
            NodeName((source or self.primary).name),
            position,
            Timeline(self.timeline),
            Epoch(epoch),
        )
        found = await perform(effect, self.world())
        assert isinstance(found, (Salvaged, NotSalvaged, NotConfigured))
        return found

    def promoted(self) -> int:
        """How many rows the standby has as a primary; its timeline began where the WAL ended."""
        postgres.sql(self.standby, "select pg_promote();")
        servers.wait_until(lambda: not servers.in_recovery(self.standby), "it takes writes")
        return rows(self.standby)

    def switch_point(self) -> Lsn:
        timeline = self.timeline + 1
        text = (self.standby.data_dir / "pg_wal" / f"{timeline:08X}.history").read_text()
        return Lsn.parse(text.strip().splitlines()[-1].split()[1])


def control(server: Server, field_name: str) -> str:
    program = server.binaries.directory / "pg_controldata"
    said = subprocess.run(
        [program, "-D", server.data_dir], capture_output=True, text=True, check=True, timeout=20,
        env=postgres.clean_environment(),
    ).stdout  # fmt: skip
    return next(line for line in said.splitlines() if line.startswith(field_name)).split()[-1]


def scene(ground: Ground, room: Path, running, *standbys: str, **settings: str) -> Scene:
    primary = running(servers.start_primary(ground, room, autovacuum="off", **settings))
    write(primary)
    names = standbys or ("pg2",)
    each = [
        running(servers.start_standby(ground, room, primary, name, **RETRIES_SOON))
        for name in names
    ]
    return Scene(primary, each[0], tuple(each[1:]))


def with_segments_of(megabytes: int, like: Ground, place: Path) -> Ground:
    """An empty cluster whose WAL segments have that size."""
    directory = place / f"segments-of-{megabytes}"
    directory.mkdir(mode=0o755)
    ground = Ground(like.binaries, like.become, directory / "template" / "data")
    template = ground.server("template", directory)
    postgres.initdb(template, f"--wal-segsize={megabytes}")
    hba = template.data_dir / "pg_hba.conf"
    hba.write_text(servers.TRUST + hba.read_text())
    return ground


def local(name: str) -> LocalHost:
    return LocalHost(NodeName(name), monotonic)


Spoil = Callable[[AsyncIterator[bytes]], AsyncIterator[bytes]]


@dataclass
class Spoilt:
    """A host on the way to which data is spoilt."""

    host: LocalHost
    spoil: Spoil

    @property
    def node(self) -> NodeName:
        return self.host.node

    async def call(
        self, verb: str, arguments: Mapping[str, str], *, timeout_s: float
    ) -> HostAnswer:
        return await self.host.call(verb, arguments, timeout_s=timeout_s)

    async def fetch(
        self, verb: str, arguments: Mapping[str, str], take: Take, *, timeout_s: float
    ) -> HostAnswer:
        return await self.host.fetch(verb, arguments, take, timeout_s=timeout_s)

    async def feed(
        self,
        verb: str,
        arguments: Mapping[str, str],
        blocks: AsyncIterator[bytes],
        *,
        timeout_s: float,
    ) -> HostAnswer:
        return await self.host.feed(verb, arguments, self.spoil(blocks), timeout_s=timeout_s)

    async def close(self) -> None:
        await self.host.close()
