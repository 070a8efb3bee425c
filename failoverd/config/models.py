"""What may be written in the configuration file. The text under a key is its documentation."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any, Literal, Self

from pydantic import (
    Field,
    SerializerFunctionWrapHandler,
    field_validator,
    model_serializer,
    model_validator,
)

from failoverd.config.daemon import Daemon
from failoverd.config.quantities import Duration, Size, Span, duration, size
from failoverd.config.redirect import Target
from failoverd.config.section import OVER, Secret, Section, Ssh
from failoverd.config.words import (
    AbsolutePath,
    DebianCluster,
    Host,
    Line,
    MaybePath,
    Name,
    OptionName,
    Options,
    Port,
    Priority,
    Unit,
    Words,
)
from failoverd.core.dead_man import LONGEST_TTL_S, SHORTEST_TTL_S
from failoverd.core.policy import Choice, Mode, OnSplitBrain, RejoinChoice


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
    debian_cluster: DebianCluster = ""
    """As pg_lsclusters has it, such as 15/main, where Debian's pg_ctlcluster runs it; its unit is
    postgresql@15-main unless `service` names another."""
    start_command: Words = ()
    """Your own way to start it, run on its host; instead of unit, pg_ctlcluster and pg_ctl."""
    stop_command: Words = ()
    """Your own way to stop it cleanly; what is left after it is signalled."""
    command_timeout: Span = duration("10s")
    """For start_command and stop_command, each; then it is killed."""
    become: Words = ()
    """Words that make the SSH user the owner of the data directory, such as `sudo -n -u postgres`:
    put before everything that is run there, or, for root, before psql and pg_ctl; empty where the
    SSH user is the owner."""
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
    """Bring missing WAL over from the old primary's disk before anybody is promoted."""
    salvage_rate: Size = size("0")
    """WAL is brought over no faster, a second; 0: as fast as it goes."""
    rto: Duration | None = None
    """The longest outage that you accept: a covered kind of fault whose worst case is longer is a
    failure of readiness (docs/readiness.md); null: none is set."""
    on_clean_stop: Annotated[Choice, Field(strict=False)] = Choice.FAILOVER
    """failover | wait, where the primary was shut down cleanly and stays down."""
    on_half_hung: Annotated[Choice, Field(strict=False)] = Choice.WAIT
    """failover | wait, where only new connections hang."""
    on_unwritable: Annotated[Choice, Field(strict=False)] = Choice.WAIT
    """failover | wait, where reads answer and the local write fails."""
    on_split_brain: Annotated[OnSplitBrain, Field(strict=False)] = OnSplitBrain.ALERT
    """alert | fence: whether a former primary that takes writes beside the one that took its
    place, in the journal, is fenced; what was fenced before is fenced again in any case."""


class Agent(Section):
    """Turn the host off by any program of the standard fence-agent interface."""

    path: AbsolutePath
    """The program on this machine, such as /usr/sbin/fence_ipmilan."""
    options: Options = {}
    """Its options that all nodes share; those of one node (ip, plug) stand at the node."""
    secrets: dict[OptionName, Secret] = {}
    """Options that are secret, and where each is kept: `password: {file: /etc/failoverd/bmc}`."""
    timeout: Span = duration("20s")
    """For `off`, and for `status`, each; then it is killed."""


class OwnCommand(Section):
    """A program of your own on this machine. Its exit status 0 is your word for it."""

    argv: Annotated[Words, Field(min_length=1)]
    """Program and arguments; what it is told stands in its environment (docs/fencing.md)."""
    timeout: Span = duration("20s")
    """Then it is killed."""


class Stop(Section):
    """Guard the data directory and stop the server, over SSH."""


class DeadMan(Section):
    """A process on the primary's host that ends the server once it is cut off from everybody."""

    ttl: Span = duration("5s")
    """Without a renewal for so long it asks the standbys; 3s to 30s. A primary that is cut off is
    replaced about 3 s after that."""
    standbys: Annotated[list[Name], Field(min_length=1)] | None = None
    """Who may keep it from firing by an answer, and must be frozen before its expiry is a proof;
    null: every standby that may take over. Those that stream at the moment are named to it."""

    @field_validator("ttl")
    @classmethod
    def _in_bounds(cls, ttl: float) -> float:
        if not SHORTEST_TTL_S <= ttl <= LONGEST_TTL_S:
            raise ValueError(
                f"is too {'short' if ttl < SHORTEST_TTL_S else 'long'}; write 3s to 30s"
            )
        return ttl


class Rung(Section):
    """One way to fence: exactly one of these. `stop` may be written as a word."""

    stop: Stop | None = None
    """Guard and stop over SSH: proof `stopped`."""
    agent: Agent | None = None
    """Turn the host off: proof `powered_off`."""
    command: OwnCommand | None = None
    """Your own: proof `vouched`."""
    dead_man: DeadMan | None = None
    """The primary ends itself: proof `dead_man_expired`. Last, and only beside `stop`."""

    @model_serializer(mode="wrap")
    def _as_written(self, dump: SerializerFunctionWrapHandler) -> Any:
        return "stop" if self.stop is not None else dump(self)

    @model_validator(mode="before")
    @classmethod
    def _from_word(cls, written: Any) -> Any:
        words = [written] if isinstance(written, str) else written
        known = isinstance(words, list | dict)
        refused = next((word for word in words if word in _REFUSED_RUNGS), None) if known else None
        if refused is not None:
            raise ValueError(f"{_REFUSED_RUNGS[refused]}; {_RUNGS}")
        if isinstance(written, str) and written != "stop":
            raise ValueError(f"is no rung; {_RUNGS}")
        return {"stop": {}} if written == "stop" else written

    @model_validator(mode="after")
    def _exactly_one(self) -> Self:
        kinds = (self.stop, self.agent, self.command, self.dead_man)
        if sum(one is not None for one in kinds) != 1:
            raise ValueError(f"must be one rung; {_RUNGS}")
        return self


_RUNGS = "write stop, {agent: {...}}, {command: {...}} or {dead_man: {...}}"
_REFUSED_RUNGS = {
    "quorum": "is not available before it has been simulated: it proves only that commits wait",
}


class Fencing(Section):
    """How the old primary is kept from taking writes."""

    require: Literal["proof"] = "proof"
    """Without a proof nothing is promoted."""
    ladder: Annotated[list[Rung], Field(min_length=1, json_schema_extra={"default": ["stop"]})] = (
        Field(default_factory=lambda: [Rung(stop=Stop())])
    )
    """The rungs, tried in order: `stop` guards and stops over SSH, `agent` turns the host off,
    `command` is your own, `dead_man` has the primary end itself once it is cut off."""

    @property
    def dead_man(self) -> DeadMan | None:
        return next((rung.dead_man for rung in self.ladder if rung.dead_man is not None), None)


class Limits(Section):
    """How long a step may take before it counts as failed and is asked again."""

    fence: Span = duration("20s")
    """Guard, stop, proof."""
    freeze: Span = duration("5s")
    """Detach one standby."""
    promote: Span = duration("60s")
    """From the request until the standby is out of recovery."""
    stop_fast: Span = duration("5s")
    """Of `fence`: for a clean stop, before SIGQUIT; only where the server may answer."""
    stop_immediate: Span = duration("2s")
    """Of `fence`: from SIGQUIT to SIGKILL; one that is stopped (SIGSTOP) gets SIGKILL at once."""
    start: Span = duration("60s")
    """From the start of an old primary, when a failover is taken back, until it answers."""
    confirm: Span = duration("10s")
    """New timeline and a committed write."""
    salvage: Duration = duration("60s")
    """Bring over what the standby lacks; what was not in time is lost, or too much."""
    redirect: Span = duration("10s")
    """All ways of the applications; what is late is retried while the watch goes on."""
    rejoin: Span = duration("12h")
    """Each of pg_rewind, pg_basebackup and the replay before them; then it has failed."""


class NodeAgent(Section):
    """What the fence agents of the ladder are told of this node alone."""

    options: Options = {}
    """Options of this node, such as ip or plug."""
    secrets: dict[OptionName, Secret] = {}
    """Secret options of this node, and where each is kept."""


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
    agent: NodeAgent = NodeAgent()


class Replication(Section):
    """How a node connects to the primary, where failoverd brings it back or makes it a standby."""

    user: Annotated[str, Field(pattern=r"^[^\x00-\x1f]*$")] = ""
    """A role with REPLICATION and the functions of pg_rewind (`failoverd grants --replication
    ROLE`); empty: none, and then no node is brought back and there is no switchover."""
    password_file: AbsolutePath | None = None
    """A file with the password alone, which only its owner may read; on the daemon's host."""
    password: Secret | None = None
    """The password from another place than a file."""
    database: Line = "postgres"
    """The database that pg_rewind connects to."""
    sslmode: Literal["disable", "prefer", "require", "verify-ca", "verify-full"] = "prefer"
    """As libpq has it."""
    sslrootcert: MaybePath = ""
    """The certificate authorities for verify-ca and verify-full; a file on the database hosts."""


class Switchover(Section):
    """What is planned, and may be refused."""

    max_lag: Size = size("16MB")
    """WAL that the standby may be behind, received or replayed, for a switchover to begin."""
    checkpoint: Span = duration("60s")
    """For the checkpoint before the stop; one that takes longer ends the switchover."""


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
    synchronous: Literal["unmanaged", "managed"] = "unmanaged"
    """Who sets synchronous_standby_names: unmanaged is you, and what you set is honoured; managed
    keeps it at ANY `synchronous_count` of the standbys that keep up, on whichever is primary."""
    synchronous_count: Annotated[int, Field(ge=1, le=100)] = 1
    """Standbys that a commit waits for under `synchronous: managed`, where so many keep up."""
    replication: Replication = Replication()
    rejoin: Annotated[RejoinChoice, Field(strict=False)] = RejoinChoice.AUTO
    """auto | manual (`failoverd rejoin NODE`): how an old primary, or a standby that has diverged,
    comes back. It needs `replication`; what only the old primary had written is discarded."""
    rejoin_delay: Duration = duration("60s")
    """It stays fenced for so long first, for somebody to look at it; doubled with each failure."""
    switchover: Switchover = Switchover()
    redirect: list[Target] = []
    """The ways by which applications reach the primary (docs/redirect.md); none is needed where
    they use libpq's target_session_attrs."""


class Configuration(Section):
    """The whole file."""

    clusters: Annotated[dict[Name, Cluster], Field(min_length=1)]
    """By name."""
    daemon: Daemon = Daemon()
