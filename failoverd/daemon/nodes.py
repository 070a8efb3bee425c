"""From a cluster's configuration to how each of its nodes is reached."""

from __future__ import annotations

import functools
import math
import os
from collections.abc import Callable, Mapping
from dataclasses import replace

from failoverd.config.models import Agent, Cluster, Configuration, DeadMan, Limits, OwnCommand
from failoverd.config.models import Replication as ReplicationSection
from failoverd.config.nodes import NodeSettings, node_settings
from failoverd.config.secrets import password, reveal
from failoverd.config.section import Ssh
from failoverd.core.model import NodeName
from failoverd.core.policy import Mode
from failoverd.core.survey import Login
from failoverd.daemon.clock import monotonic
from failoverd.effect.replication import Replication
from failoverd.effect.rung import DeadManExpiry, PowerOff, Rung, Stop
from failoverd.effect.rung import OwnCommand as CommandRung
from failoverd.effect.world import Node
from failoverd.host_program.installed import installed
from failoverd.transport.fence_agent import FenceAgent
from failoverd.transport.host import Host
from failoverd.transport.local import LocalHost
from failoverd.transport.postgres import SqlAddress
from failoverd.transport.ssh import SshAddress, SshHost, login_of
from failoverd.transport.ssh_lines import SshLines


def nodes_of(name: str, cluster: Cluster, lines: SshLines | None = None) -> Mapping[NodeName, Node]:
    """Nothing is connected to yet."""
    return {
        NodeName(node): replace(
            _node(
                node_settings(name, cluster, node),
                cluster.limits,
                _NAMED[cluster.failover.mode],
                lines,
            ),
            replication=_replication(cluster.replication),
        )
        for node in cluster.nodes
    }


_NAMED = {
    Mode.AUTOMATIC: "failoverd",
    Mode.MANUAL: "failoverd",
    Mode.OBSERVE: "failoverd observes",
}
"""Its sessions tell other daemons whether it acts: probe/server_standing.py looks for that."""


def _replication(section: ReplicationSection) -> Replication | None:
    if not section.user:
        return None
    return Replication(
        user=section.user,
        database=section.database,
        sslmode=section.sslmode,
        sslrootcert=section.sslrootcert,
        password=functools.partial(password, section),
    )


def _node(settings: NodeSettings, limits: Limits, named: str, lines: SshLines | None) -> Node:
    name = NodeName(settings.name)
    postgres, sql = settings.postgres, settings.sql
    address = SqlAddress(
        host=settings.host,
        port=postgres.port,
        user=sql.user,
        database=sql.database,
        password=lambda: password(sql),
        sslmode=sql.sslmode,
        sslrootcert=sql.sslrootcert,
        application_name=f"{named}/{settings.cluster}",
    )
    rungs = tuple(_rung(rung) for rung in settings.ladder)
    return Node(
        name, _host(settings, lines), address, _arguments(settings, limits), rungs,
        become=postgres.become, login=_login(settings),
    )  # fmt: skip


def _arguments(settings: NodeSettings, limits: Limits) -> dict[str, str]:
    postgres = settings.postgres
    return {
        "data_dir": str(postgres.data_dir),
        "bin_dir": str(postgres.bin_dir),
        "port": str(postgres.port),
        "socket_dir": str(postgres.socket_dir),
        "superuser": postgres.superuser,
        "become": " ".join(postgres.become) if _is_root(settings) else "",
        "service": postgres.service,
        "debian_cluster": postgres.debian_cluster,
        "start_command": "\n".join(postgres.start_command),
        "stop_command": "\n".join(postgres.stop_command),
        "command_seconds": _seconds(postgres.command_timeout),
        "fast_seconds": _seconds(limits.stop_fast),
        "immediate_seconds": _seconds(limits.stop_immediate),
        "start_seconds": _seconds(limits.start),
        "server_log": postgres.server_log,
        "state_dir": postgres.host_state_dir,
    }


def installed_program(configuration: Configuration, cluster: str, node: str) -> str:
    """For that node's host: the only program that the daemon's key may run there."""
    section = configuration.clusters[cluster]
    settings = node_settings(cluster, section, node)
    addresses = [one.virtual_ip for one in section.redirect if one.virtual_ip is not None]
    pinned = _arguments(settings, section.limits)
    pinned["root"] = " ".join(addresses[0].become) if addresses else ""
    return installed(
        pinned,
        () if _is_root(settings) else settings.postgres.become,
        [one.address for one in addresses],
        [one.interfaces.get(NodeName(node), one.interface) for one in addresses],
    )


def _seconds(duration: float) -> str:
    """Whole ones, as timeout(1) of any host has them."""
    return str(math.ceil(duration))


def _is_root(settings: NodeSettings) -> bool:
    """Root looks and signals as itself; anybody else must be the owner in all that is run."""
    return os.geteuid() == 0 if settings.transport == "local" else settings.ssh.user == "root"


def _rung(rung: Agent | OwnCommand | DeadMan | None) -> Rung:
    match rung:
        case None:
            return Stop()
        case OwnCommand():
            return CommandRung(rung.argv, rung.timeout)
        case DeadMan():
            return DeadManExpiry(rung.ttl)
        case Agent():
            secrets = {
                option: functools.partial(reveal, secret) for option, secret in rung.secrets.items()
            }
            return PowerOff(FenceAgent(str(rung.path), rung.options, secrets, rung.timeout))


def _login(settings: NodeSettings) -> Callable[[], Login] | None:
    ssh = settings.ssh
    if settings.transport == "local" or ssh.key_file is None or ssh.known_hosts is None:
        return None
    return functools.partial(login_of, ssh.user, ssh.key_file, ssh.known_hosts)


def _host(settings: NodeSettings, lines: SshLines | None) -> Host:
    name, ssh = NodeName(settings.name), settings.ssh
    become = () if _is_root(settings) else settings.postgres.become
    if settings.transport == "local":
        return LocalHost(name, monotonic, become)
    return SshHost(name, ssh_address(settings.host, ssh, become), monotonic, lines)


def ssh_address(host: str, ssh: Ssh, become: tuple[str, ...] = ()) -> SshAddress:
    if ssh.key_file is None or ssh.known_hosts is None:
        raise ValueError("transport ssh without key_file and known_hosts")
    return SshAddress(
        host=host,
        port=ssh.port,
        user=ssh.user,
        key_file=ssh.key_file,
        known_hosts=ssh.known_hosts,
        connect_timeout_s=ssh.connect_timeout,
        become=become,
    )
