"""The ways by which applications reach the primary. The text under a key is its documentation."""

from __future__ import annotations

from typing import Annotated, Any, Literal, Self

from pydantic import Field, model_validator

from failoverd.config.quantities import Span, duration
from failoverd.config.section import Secret, Section, Ssh
from failoverd.config.words import (
    AbsolutePath,
    DatabaseWords,
    Host,
    Interface,
    Ipv4WithPrefix,
    Line,
    Name,
    Port,
    SocketPath,
    Word,
    Words,
)

Addresses = dict[Name, Host]


class AgentCheck(Section):
    """What HAProxy's `agent-check` may ask of this daemon: a port for each node."""

    listen: Host = "127.0.0.1"
    """The address to listen on."""
    ports: Annotated[dict[Name, Port], Field(min_length=1)]
    """For each node the `agent-port` of its server."""


class Haproxy(Section):
    """HAProxy, by its runtime API."""

    socket: SocketPath | None = None
    """Its `stats socket` of level admin; or else `host` and `port`."""
    host: Host | None = None
    """Where its `stats socket ipv4@...` listens."""
    port: Port = 9999
    """The port there."""
    backend: Word
    """The backend, or the `listen` section, whose servers are the nodes."""
    servers: dict[Name, Word] = {}
    """The server of each node, where it is not called like the node."""
    server: Word | None = None
    """The one server whose address is set, where there is not one for each node."""
    addresses: Addresses = {}
    """With `server`: IP addresses of nodes as HAProxy reaches them; else the node's `host`."""
    agent: AgentCheck | None = None
    """Answer its agent checks. Their failure is no error to HAProxy."""
    timeout: Span = duration("3s")
    """For one exchange."""

    @model_validator(mode="after")
    def _one_place(self) -> Self:
        if (self.socket is None) == (self.host is None):
            raise ValueError("must be reached in one way; write socket, or host and port")
        if self.server is not None and self.servers:
            raise ValueError("has server and servers both; write one")
        return self


class PgBouncer(Section):
    """PgBouncer, by its admin console and an include file with its databases."""

    host: Host
    """Where it listens, and where its file is."""
    port: Port = 6432
    """The port there."""
    user: Line = "pgbouncer"
    """One of its `admin_users`."""
    password: Secret | None = None
    """That user's password, and where it is kept."""
    sslmode: Literal["disable", "prefer", "require"] = "prefer"
    """As libpq has it."""
    databases: Annotated[dict[DatabaseWords, str], Field(min_length=1)]
    """The databases that are led to the primary, each with what its line says beside host and
    port: `{app: "dbname=app pool_size=20"}`."""
    file: AbsolutePath
    """The file that its configuration includes, which only this daemon writes."""
    transport: Literal["ssh", "local"] = "ssh"
    """How the file is written: over SSH, or local where it runs beside this daemon."""
    ssh: Ssh = Ssh()
    """How its host is reached; what is not written here is the cluster's."""
    addresses: Addresses = {}
    """Addresses of nodes as PgBouncer reaches them; else the node's `host`."""
    pause_timeout: Span = duration("2s")
    """Transactions may take so long to end; after a failover their sessions are then killed."""
    timeout: Span = duration("5s")
    """For one exchange."""

    @model_validator(mode="after")
    def _no_secret(self) -> Self:
        for name, words in self.databases.items():
            if any(not " " <= character <= "~" for character in words):
                raise ValueError(f"databases: {name} has control characters; write one line")
            keys = {word.partition("=")[0].strip() for word in words.split()}
            if "password" in keys:
                raise ValueError("databases has a password; write it into PgBouncer's auth_file")
            if keys & {"host", "port"}:
                raise ValueError("databases has a host or a port; write the other words alone")
        return self


class VirtualIp(Section):
    """An address that only the primary's host has."""

    address: Ipv4WithPrefix
    """With its prefix length: 192.0.2.100/24."""
    interface: Interface
    """The network interface that has it."""
    interfaces: dict[Name, Interface] = {}
    """Of nodes where it is another."""
    become: Words = ("sudo", "-n")
    """Words put before ip and arping, to become root; empty where the SSH user is root."""
    timeout: Span = duration("5s")
    """For one host."""


class DnsKey(Section):
    """The TSIG key that signs the updates."""

    name: Line
    """Its name on the server."""
    algorithm: Literal["hmac-sha256", "hmac-sha384", "hmac-sha512"] = "hmac-sha256"
    """As the server has it."""
    secret: Secret
    """Where the secret is kept, in base64."""


class Dns(Section):
    """A DNS name, by dynamic updates (RFC 2136). Needs the extra `dns`."""

    server: Host
    """The zone's primary name server: an IP address."""
    port: Port = 53
    """Its port."""
    zone: Line
    """The zone."""
    record: Line
    """The name in the zone that leads to the primary."""
    ttl: Annotated[int, Field(ge=0, le=3600)] = 5
    """Seconds that others may remember it."""
    key: DnsKey
    """What signs the updates."""
    addresses: Addresses = {}
    """IP addresses of nodes as applications reach them; else the node's `host`."""
    timeout: Span = duration("3s")
    """For one exchange."""


class RedirectCommand(Section):
    """A program of your own on this machine."""

    argv: Annotated[Words, Field(min_length=1)]
    """Program and arguments; what it is told stands in its environment and on its standard input
    (docs/redirect.md)."""
    check: bool = False
    """Whether it can also be asked, every 30 s, where applications are led."""
    timeout: Span = duration("10s")
    """Then it is killed."""


class Target(Section):
    """One way by which applications reach the primary: exactly one of these."""

    name: Name | None = None
    """What it is called in reports and metrics; else after its kind."""
    haproxy: Haproxy | None = None
    """HAProxy, by its runtime API."""
    pgbouncer: PgBouncer | None = None
    """PgBouncer, by its admin console."""
    virtual_ip: VirtualIp | None = None
    """An IP address that moves."""
    dns: Dns | None = None
    """A DNS name that is updated."""
    command: RedirectCommand | None = None
    """Your own."""

    @model_validator(mode="before")
    @classmethod
    def _of_a_kind(cls, written: Any) -> Any:
        if not isinstance(written, dict):
            raise ValueError(f"is no target; {_KINDS}")  # noqa: TRY004
        return written

    @model_validator(mode="after")
    def _exactly_one(self) -> Self:
        if sum(one is not None for one in self.kinds().values()) != 1:
            raise ValueError(f"must be one target; {_KINDS}")
        return self

    def kinds(self) -> dict[str, Section | None]:
        return {
            "haproxy": self.haproxy,
            "pgbouncer": self.pgbouncer,
            "virtual_ip": self.virtual_ip,
            "dns": self.dns,
            "command": self.command,
        }

    @property
    def called(self) -> str:
        kind = next(kind for kind, one in self.kinds().items() if one is not None)
        return self.name or kind


_KINDS = (
    "write {haproxy: {...}}, {pgbouncer: {...}}, {virtual_ip: ...}, {dns: ...} or {command: ...}"
)
