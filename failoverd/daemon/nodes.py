"""From a cluster's configuration to how each of its nodes is reached."""

from __future__ import annotations

from collections.abc import Mapping

from failoverd.config.models import Cluster
from failoverd.config.nodes import NodeSettings, node_settings
from failoverd.config.secrets import password
from failoverd.core.model import NodeName
from failoverd.daemon.clock import monotonic
from failoverd.effect.world import Node
from failoverd.transport.host import Host
from failoverd.transport.local import LocalHost
from failoverd.transport.postgres import SqlAddress
from failoverd.transport.ssh import SshAddress, SshHost


def nodes_of(name: str, cluster: Cluster) -> Mapping[NodeName, Node]:
    """Nothing is connected to yet."""
    return {NodeName(node): _node(node_settings(name, cluster, node)) for node in cluster.nodes}


def _node(settings: NodeSettings) -> Node:
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
        application_name=f"failoverd/{settings.cluster}",
    )
    arguments = {
        "data_dir": str(postgres.data_dir),
        "bin_dir": str(postgres.bin_dir),
        "port": str(postgres.port),
        "socket_dir": str(postgres.socket_dir),
        "superuser": postgres.superuser,
        "become": " ".join(postgres.become),
        "service": postgres.service,
        "server_log": postgres.server_log,
        "state_dir": postgres.host_state_dir,
    }
    return Node(name, _host(settings), address, arguments)


def _host(settings: NodeSettings) -> Host:
    name, ssh = NodeName(settings.name), settings.ssh
    if settings.transport == "local":
        return LocalHost(name, monotonic)
    if ssh.key_file is None or ssh.known_hosts is None:
        raise ValueError("transport ssh without key_file and known_hosts")
    return SshHost(
        name,
        SshAddress(
            host=settings.host,
            port=ssh.port,
            user=ssh.user,
            key_file=ssh.key_file,
            known_hosts=ssh.known_hosts,
            connect_timeout_s=ssh.connect_timeout,
        ),
        monotonic,
    )
