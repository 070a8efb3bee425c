"""What readiness is judged by: everything that was looked at, slowly and beside the watch.

A part that could not be looked at is absent, and why is told by its `Look`: absent is not well.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from failoverd.core.memory import Memory
from failoverd.core.model import NOT_TRIED, ClusterView, Look, NodeName, NodeReport, WallTime
from failoverd.core.objectives import Means, Objective
from failoverd.core.policy import Policy, TargetName
from failoverd.core.target import TargetReport


@dataclass(frozen=True, slots=True)
class Reader:
    """The session on a standby whose snapshot is the oldest."""

    pid: int
    user: str
    application: str
    seconds: float
    superuser: bool = False


@dataclass(frozen=True, slots=True)
class ServerStanding:
    """What a server tells of its settings and of our role, beside what each poll asks."""

    version: int
    settings: Mapping[str, str] = field(default_factory=dict[str, str])
    """By name, as `current_setting` has them; without primary_conninfo and restore_command."""
    privileges: frozenset[str] = frozenset()
    """Of PRIVILEGES, those that our role has."""
    role: str = ""
    reader: Reader | None = None
    other_daemons: tuple[str, ...] = ()
    """Addresses from which another failoverd watches it."""
    server_address: str = ""
    """Where our connection arrived, by the server's word; empty: on a Unix socket."""
    server_port: int = 0
    databases_bytes: int | None = None
    """Size of all databases, asked of a primary alone."""
    own_name: str = ""
    """`application_name` in its primary_conninfo."""
    own_user: str = ""
    """The user in its primary_conninfo."""
    restore_command: str = field(default="", repr=False)
    certificate_ends_at: WallTime | None = None
    """Of the server, where TLS is used."""


PRIVILEGES: Mapping[str, str] = {
    "pg_monitor": "to see replication, settings and sessions",
    "pg_promote": "to promote by SQL",
    "pg_signal_backend": "to end sessions that hold up a promotion",
    "pg_checkpoint": "to make a checkpoint before a rewind",
    "synchronous_standby_names": "to keep synchronous replication, where that is managed",
}
"""What `failoverd grants` gives, and what for."""


@dataclass(frozen=True, slots=True)
class HostStanding:
    """What a database host tells of its programs, disks and rights."""

    user: str
    owns_data: bool
    """Whoever runs there is the owner of the data directory, or root."""
    major: int
    """Of the data directory: PG_VERSION."""
    tools: Mapping[str, str] = field(default_factory=dict[str, str])
    """By name, its version as it tells it; empty: it is missing."""
    data_free_bytes: int | None = None
    wal_free_bytes: int | None = None
    local_sql: str = ""
    """Why the owner could not ask over the Unix socket; empty: it could."""
    epoch_kept: str = ""
    """Why the host could not keep an epoch; empty: it could."""
    unit: str = ""
    """The systemd unit that runs the server, where systemd does."""
    unit_loaded: bool = True
    restart: str = ""
    """`Restart=` of that unit."""
    sudo: bool | None = None
    """Whether the unit may be stopped; None: it need not be asked for."""
    address_secondary: bool = False
    """The node's address is a second one of its interface, as a virtual IP is."""
    login_s: float = 0.0
    """What a call took beside the time that the host program ran: network and login shell."""
    clock_ahead_s: float = 0.0
    """How far its clock is ahead of ours; negative: behind."""


@dataclass(frozen=True, slots=True)
class OwnStanding:
    """The host of the daemon."""

    in_daemon: bool = True
    """False: `failoverd check` looks by itself."""
    state_dir: str = ""
    state_dir_fault: str = ""
    """Why nothing could be written there; empty: it could."""
    state_free_bytes: int | None = None


@dataclass(frozen=True, slots=True)
class Login:
    """As whom failoverd logs in on a database host, and by which key."""

    user: str
    known_hosts: str
    public_key: str = ""
    """As it stands in authorized_keys; empty: the key could not be read."""


@dataclass(frozen=True, slots=True)
class RungTrial:
    """A rung of a node's ladder, tried without harm. `works` None: there is no way to try it."""

    node: NodeName
    rung: str
    works: bool | None
    sentence: str


@dataclass(frozen=True, slots=True)
class Shared:
    """The watch, with other daemons."""

    leads: bool
    leader: str = ""
    """Empty: no daemon leads."""
    failing: str = ""
    """Why the store that tells cannot be used; empty: it can."""
    others: tuple[str, ...] = ()
    """Those that are there, beside this one."""


@dataclass(frozen=True, slots=True)
class Survey:
    at: WallTime
    view: ClusterView
    memory: Memory
    policy: Policy
    server_looks: Mapping[NodeName, Look] = field(default_factory=dict[NodeName, Look])
    servers: Mapping[NodeName, ServerStanding] = field(
        default_factory=dict[NodeName, ServerStanding]
    )
    host_looks: Mapping[NodeName, Look] = field(default_factory=dict[NodeName, Look])
    hosts: Mapping[NodeName, HostStanding] = field(default_factory=dict[NodeName, HostStanding])
    logins: Mapping[NodeName, Login] = field(default_factory=dict[NodeName, Login])
    """Of those that SSH leads to."""
    rungs: tuple[RungTrial, ...] = ()
    targets: Mapping[TargetName, TargetReport] = field(
        default_factory=dict[TargetName, TargetReport]
    )
    own: OwnStanding = field(default_factory=OwnStanding)
    dead_man: str | None = None
    """Why none is armed; empty: one is; None: the ladder has none, or nobody could arm it."""
    obstacles: tuple[str, ...] = ()
    """Why no failover would be begun this second, or would come to nothing."""
    shared: Shared | None = None
    """None: this daemon is alone, as far as it knows."""
    means: Means = field(default_factory=Means)
    objectives: tuple[Objective, ...] = ()

    def report(self, node: NodeName) -> NodeReport:
        return self.view.report(node)

    def server_look(self, node: NodeName) -> Look:
        return self.server_looks.get(node, NOT_TRIED)

    def host_look(self, node: NodeName) -> Look:
        return self.host_looks.get(node, NOT_TRIED)

    @property
    def primary(self) -> NodeName | None:
        return self.memory.primary

    @property
    def standbys(self) -> tuple[NodeName, ...]:
        """Those that are in recovery, as far as they answer; of the others, all but the primary."""
        return tuple(name for name in sorted(self.policy.nodes) if name != self.primary)
