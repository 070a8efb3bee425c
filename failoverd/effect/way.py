"""The applications' ways to the primary, as they are configured."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from failoverd.core.model import NodeName
from failoverd.transport.dns import DnsZone
from failoverd.transport.haproxy import RuntimeApi
from failoverd.transport.host import Host
from failoverd.transport.postgres import SqlAddress


@dataclass(frozen=True, slots=True)
class Haproxy:
    """One server of a backend for each node, or one whose address is set."""

    api: RuntimeApi
    backend: str
    servers: Mapping[NodeName, str]
    """Its name for each node; empty where `server` is given."""
    server: str
    addresses: Mapping[NodeName, tuple[str, int]]
    timeout_s: float


@dataclass(frozen=True, slots=True)
class PgBouncer:
    """Its databases are lines of a file of ours; its console makes clients wait meanwhile."""

    admin: SqlAddress
    host: Host
    """Where its file is."""
    file: str
    databases: Mapping[str, str]
    """By name, what stands in its line beside host and port."""
    addresses: Mapping[NodeName, tuple[str, int]]
    pause_timeout_s: float
    timeout_s: float


@dataclass(frozen=True, slots=True)
class VirtualIp:
    """An address of the primary's host alone."""

    address: str
    """With its prefix length."""
    interfaces: Mapping[NodeName, str]
    become: str
    timeout_s: float


@dataclass(frozen=True, slots=True)
class DnsName:
    """A name whose one address record leads to the primary."""

    zone: DnsZone
    record: str
    ttl: int
    addresses: Mapping[NodeName, str]
    timeout_s: float


@dataclass(frozen=True, slots=True)
class OwnWay:
    """A program of the operator's."""

    argv: tuple[str, ...]
    check: bool
    timeout_s: float


Way = Haproxy | PgBouncer | VirtualIp | DnsName | OwnWay
