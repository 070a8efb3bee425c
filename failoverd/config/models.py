"""What may be written in the configuration file. The text under a key is its documentation."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any, Literal, Self

from pydantic import BaseModel, ConfigDict, Field, model_validator

from failoverd.config.quantities import Duration, Size, Span, duration, size
from failoverd.config.words import (
    AbsolutePath,
    Credential,
    Host,
    Line,
    Listen,
    MaybePath,
    Name,
    Port,
    Priority,
    SocketPath,
    Unit,
    Variable,
    Words,
)
from failoverd.core.policy import Choice, Mode


class Section(BaseModel):
    model_config = ConfigDict(
        extra="forbid", frozen=True, strict=True, use_attribute_docstrings=True
    )


OVER = Field(json_schema_extra={"default": {}})
"""A section of a node: what is not written in it is the cluster's, not the default."""


class Secret(Section):
    """Where a secret is kept; it is never written in this file. Exactly one of the three."""

    file: AbsolutePath | None = None
    """A file that only its owner may read."""
    env: Variable | None = None
    """The name of an environment variable."""
    credential: Credential | None = None
    """The name of a systemd credential (LoadCredential=)."""

    @model_validator(mode="after")
    def _exactly_one(self) -> Self:
        if sum(one is not None for one in (self.file, self.env, self.credential)) != 1:
            raise ValueError("must name one place; write one of file, env and credential")
        return self


class Postgres(Section):
    """How PostgreSQL is installed on the nodes. Each key can be given per node, too."""

    port: Port = 5432
    """The port that it listens on."""
    bin_dir: AbsolutePath | None = None
    """The directory of pg_ctl, pg_controldata, pg_isready and psql. Must be given."""
    data_dir: AbsolutePath | None = None
    """The data directory. Must be given."""
    service: Unit = ""
    """The systemd unit that runs it; without one, pg_ctl and signals are used."""
    become: Words = ()
    """Words put before psql, pg_ctl and the start, to become the owner of the data directory,
    such as `sudo -n -u postgres`; empty where the SSH user is the owner."""
    superuser: Line = "postgres"
    """The role that the owner of the data directory may use over the local socket."""
    socket_dir: AbsolutePath = Path("/var/run/postgresql")
    """The directory of the server's Unix socket."""
    server_log: MaybePath = ""
    """The server's log file, quoted in reports; empty: the server is asked for it."""
    host_state_dir: MaybePath = ""
    """Where a host keeps the highest epoch it has seen; empty: ~/.failoverd of the SSH user."""


class Sql(Section):
    """The role that watches by SQL (`failoverd grants` prints how to make it)."""

    user: Line = "failoverd"
    """The role's name."""
    password_file: AbsolutePath | None = None
    """A file with the password alone, which only its owner may read."""
    password: Secret | None = None
    """The password from another place than a file."""
    database: Line = "postgres"
    """The database to connect to."""
    sslmode: Literal["disable", "prefer", "require", "verify-ca", "verify-full"] = "prefer"
    """As libpq has it; verify-full is the only one that nobody in between can defeat."""
    sslrootcert: AbsolutePath | None = None
    """The certificate authorities for verify-ca and verify-full."""


class Ssh(Section):
    """How the database hosts are reached. Host keys are always verified."""

    user: Line = "postgres"
    """The user to log in as: best the owner of the data directory."""
    port: Port = 22
    """The port of sshd."""
    key_file: AbsolutePath | None = None
    """The private key, which only its owner may read. Must be given for transport ssh."""
    known_hosts: AbsolutePath | None = None
    """The hosts' keys. Must be given for transport ssh."""
    connect_timeout: Span = duration("5s")
    """For a new connection."""


class Detection(Section):
    """How failoverd notices that the primary has failed."""

    interval: Span = duration("1s")
    """From the beginning of one round of looks to the next."""
    fresh_interval: Span = duration("1s")
    """How often a fresh connection is made beside the held session; always when in doubt."""
    timeout: Span = duration("1s")
    """For each look."""
    failures: Annotated[int, Field(ge=2, le=1000)] = 3
    """Failed rounds in a row before a diagnosis that is not conclusive counts."""
    write_check: bool = True
    """Commit a WAL message on the primary now and then, and whenever in doubt."""
    write_check_interval: Span = duration("10s")
    """How often."""
    fast_path: bool = True
    """Conclusive evidence, seen in two looks, does not wait for the threshold."""
    busy_limit: Duration = duration("60s")
    """A primary that only refuses for so long is alerted."""
    recovery_limit: Duration = duration("5min")
    """A primary may take so long for its own crash recovery."""
    half_hung_after: Duration = duration("30s")
    """New connections time out for so long before `failover.on_half_hung` counts."""


class Failover(Section):
    """When to act, and at what price."""

    mode: Annotated[Mode, Field(strict=False)] = Mode.AUTOMATIC
    """automatic | manual (alerts and waits for an operator) | observe (acts on nothing)."""
    max_data_loss: Size = size("16MB")
    """WAL that a failover may lose at most; 0: only without any loss."""
    cooldown: Duration = duration("10min")
    """No second automatic failover within this time of the last confirmation."""
    max_per_day: Annotated[int, Field(ge=1)] = 3
    """Automatic failovers in 24 hours."""
    salvage: bool = True
    """Bring missing WAL over from the old primary's disk. This version cannot, and says so."""
    on_clean_stop: Annotated[Choice, Field(strict=False)] = Choice.FAILOVER
    """failover | wait, where the primary was shut down cleanly and stays down."""
    on_half_hung: Annotated[Choice, Field(strict=False)] = Choice.WAIT
    """failover | wait, where only new connections hang."""
    on_unwritable: Annotated[Choice, Field(strict=False)] = Choice.WAIT
    """failover | wait, where reads answer and the local write fails."""


class Fencing(Section):
    """How the old primary is kept from taking writes."""

    require: Literal["proof"] = "proof"
    """Without a proof nothing is promoted."""
    ladder: Annotated[list[Literal["stop"]], Field(min_length=1)] = ["stop"]
    """The rungs, tried in order; this version has `stop`: guard and stop over SSH."""


class Limits(Section):
    """How long a step may take before it counts as failed and is asked again."""

    fence: Span = duration("20s")
    """Guard, stop, proof."""
    freeze: Span = duration("5s")
    """Detach one standby."""
    promote: Span = duration("60s")
    """From the request until the standby is out of recovery."""
    confirm: Span = duration("10s")
    """New timeline and a committed write."""


class Node(Section):
    """One server of the cluster."""

    host: Host
    """Its address, for SQL, for SSH and as standbys name it in primary_conninfo."""
    priority: Priority = 100
    """Between equal candidates the higher one wins; never: not a candidate."""
    transport: Literal["ssh", "local"] | None = None
    """Where it differs from the cluster's."""
    postgres: Annotated[Postgres, OVER] = Postgres()
    """Keys of `postgres` that differ for this node."""
    ssh: Annotated[Ssh, OVER] = Ssh()
    """Keys of `ssh` that differ for this node."""
    sql: Annotated[Sql, OVER] = Sql()
    """Keys of `sql` that differ for this node."""


class Cluster(Section):
    """One primary and its standbys."""

    nodes: Annotated[dict[Name, Node], Field(min_length=2)]
    """By name; a standby's application_name must be its name here."""
    transport: Literal["ssh", "local"] = "ssh"
    """ssh, or local where the daemon runs on the database host itself."""
    postgres: Postgres = Postgres()
    sql: Sql = Sql()
    ssh: Ssh = Ssh()
    detection: Detection = Detection()
    failover: Failover = Failover()
    fencing: Fencing = Fencing()
    limits: Limits = Limits()
    synchronous: Literal["unmanaged"] = "unmanaged"
    """Who sets synchronous_standby_names; this version leaves it to you."""
    rejoin: Literal["manual"] = "manual"
    """How an old primary comes back; in this version by hand (docs/recover.md)."""
    redirect: Annotated[list[Any], Field(max_length=0)] = []
    """How applications are sent over; this version has none: use target_session_attrs."""


class Log(Section):
    """Log lines go to standard output."""

    format: Literal["json", "console"] = "json"
    """json for machines, console for people."""
    level: Literal["debug", "info", "warning", "error"] = "info"
    """The least that is written."""


class Leadership(Section):
    """Which daemon acts, where several watch."""

    kind: Literal["none"] = "none"
    """none: this daemon alone."""


class Daemon(Section):
    """The daemon itself."""

    listen: Listen = "127.0.0.1:9187"
    """Address and port for metrics and the read-only API."""
    state_dir: AbsolutePath = Path("/var/lib/failoverd")
    """The journal and the incident reports; on a local disk."""
    control_socket: SocketPath = Path("/run/failoverd/control.sock")
    """The Unix socket that the command line talks to."""
    log: Log = Log()
    leadership: Leadership = Leadership()


class Configuration(Section):
    """The whole file."""

    clusters: Annotated[dict[Name, Cluster], Field(min_length=1)]
    """By name."""
    daemon: Daemon = Daemon()
