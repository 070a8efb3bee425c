"""The applications' ways: built from the configuration, and looked at now and then."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Callable, Mapping

from failoverd.config import redirect as section
from failoverd.config.models import Cluster
from failoverd.config.nodes import merged
from failoverd.config.secrets import reveal
from failoverd.core.model import Instant, NodeName
from failoverd.core.policy import TargetName
from failoverd.core.target import TargetReport
from failoverd.daemon import clock
from failoverd.daemon.nodes import ssh_address
from failoverd.effect.redirect.target import look_at
from failoverd.effect.way import DnsName, Haproxy, OwnWay, PgBouncer, VirtualIp, Way
from failoverd.effect.world import World
from failoverd.transport.dns import DnsZone
from failoverd.transport.haproxy import RuntimeApi
from failoverd.transport.host import Host
from failoverd.transport.local import LocalHost
from failoverd.transport.postgres import SqlAddress
from failoverd.transport.ssh import SshHost

LOOK_EVERY_S = 30.0


def ways_of(cluster: Cluster) -> Mapping[TargetName, Way]:
    """Nothing is connected to yet."""
    return {TargetName(one.called): _way(one, cluster) for one in cluster.redirect}


def _way(target: section.Target, cluster: Cluster) -> Way:
    if target.haproxy is not None:
        return _haproxy(target.haproxy, cluster)
    if target.pgbouncer is not None:
        return _pgbouncer(target.called, target.pgbouncer, cluster)
    if target.virtual_ip is not None:
        return _virtual_ip(target.virtual_ip, cluster)
    if target.dns is not None:
        return _dns(target.dns, cluster)
    assert target.command is not None
    command = target.command
    return OwnWay(command.argv, command.check, command.timeout)


def _haproxy(one: section.Haproxy, cluster: Cluster) -> Haproxy:
    names = {NodeName(node): one.servers.get(node, node) for node in cluster.nodes}
    return Haproxy(
        api=RuntimeApi(one.socket, one.host or "", one.port),
        backend=one.backend,
        servers={} if one.server is not None else names,
        server=one.server or "",
        addresses=_addresses(cluster, one.addresses),
        timeout_s=one.timeout,
    )


def _pgbouncer(name: str, one: section.PgBouncer, cluster: Cluster) -> PgBouncer:
    secret = one.password
    return PgBouncer(
        admin=SqlAddress(
            host=one.host,
            port=one.port,
            user=one.user,
            database="pgbouncer",
            password=lambda: None if secret is None else reveal(secret),
            sslmode=one.sslmode,
        ),
        host=_host(name, one, cluster),
        file=str(one.file),
        databases=one.databases,
        addresses=_addresses(cluster, one.addresses),
        pause_timeout_s=one.pause_timeout,
        timeout_s=one.timeout,
    )


def _host(name: str, one: section.PgBouncer, cluster: Cluster) -> Host:
    called = NodeName(name)
    if one.transport == "local":
        return LocalHost(called, clock.monotonic)
    ssh = merged(cluster.ssh, one.ssh)
    return SshHost(called, ssh_address(one.host, ssh), clock.monotonic)


def _virtual_ip(one: section.VirtualIp, cluster: Cluster) -> VirtualIp:
    return VirtualIp(
        address=one.address,
        interfaces={NodeName(n): one.interfaces.get(n, one.interface) for n in cluster.nodes},
        become=" ".join(one.become),
        timeout_s=one.timeout,
    )


def _dns(one: section.Dns, cluster: Cluster) -> DnsName:
    key = one.key
    zone = DnsZone(
        one.server, one.port, one.zone, key.name, key.algorithm, lambda: reveal(key.secret)
    )
    addresses = {n: host for n, (host, _) in _addresses(cluster, one.addresses).items()}
    return DnsName(zone, one.record, one.ttl, addresses, one.timeout)


async def close_ways(ways: Mapping[TargetName, Way]) -> None:
    """What they hold open."""
    for way in ways.values():
        if isinstance(way, PgBouncer):
            await way.host.close()


def _addresses(cluster: Cluster, written: Mapping[str, str]) -> Mapping[NodeName, tuple[str, int]]:
    return {
        NodeName(name): (written.get(name, node.host), node.postgres.port)
        for name, node in cluster.nodes.items()
    }


class TargetLooks:
    """Looks at every target, each in a task of its own; what was seen goes with the next view."""

    def __init__(self, world: Callable[[], World]) -> None:
        self._world = world
        self._hurry: dict[TargetName, asyncio.Event] = {}
        self.seen: Mapping[TargetName, TargetReport] = {}

    def begin(self, group: asyncio.TaskGroup) -> list[asyncio.Task[None]]:
        """One task for each target, to be cancelled in the end."""
        names = self._world().targets
        self.seen = {name: report for name, report in self.seen.items() if name in names}
        self._hurry = {name: asyncio.Event() for name in names}
        return [group.create_task(self._watch(name)) for name in names]

    def hasten(self) -> None:
        """A new primary, or a node that is back: whatever leads to it is looked at again."""
        for event in self._hurry.values():
            event.set()

    async def _watch(self, name: TargetName) -> None:
        while True:
            self._hurry[name].clear()
            due = Instant(clock.monotonic() + LOOK_EVERY_S)
            report = await look_at(name, self._world())
            if report is not None:
                self.seen = {**self.seen, name: report}
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(max(0.0, due - clock.monotonic())):
                    await self._hurry[name].wait()
