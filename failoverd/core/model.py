"""Facts about a cluster, as values, each with the time it was seen.

Nothing here decides. A look that failed is a fact too: its `Outcome` says what kind
of silence it was, because a refused port, a lost connection and a time-out are
different evidence. Instants are seconds of the daemon's monotonic clock; they mean
nothing on another host or after a reboot.
"""

from __future__ import annotations

import enum
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import NewType

from failoverd.core.lsn import Lsn as Lsn  # noqa: PLC0414 - a word of every fact here
from failoverd.core.replication import Receiver, Sender, Slot

NodeName = NewType("NodeName", str)
Instant = NewType("Instant", float)
"""Seconds of the daemon's monotonic clock."""
WallTime = NewType("WallTime", float)
"""Seconds since 1970, for people and for the cooldown only."""
Timeline = NewType("Timeline", int)
SystemIdentifier = NewType("SystemIdentifier", str)
Epoch = NewType("Epoch", int)
"""Number of an incident; every act on a host carries it."""


class Outcome(enum.StrEnum):
    """What one look at one thing came to; made from exceptions by one table in transport."""

    OK = "ok"
    NOT_TRIED = "not_tried"
    # The other side spoke: it is alive.
    TOO_MANY_CONNECTIONS = "too_many_connections"
    STARTING_UP = "starting_up"
    SHUTTING_DOWN = "shutting_down"
    MISCONFIGURED = "misconfigured"
    REJECTED = "rejected"
    # It spoke, and what it said is that it is dying (53100, 58xxx, XX, 42501 at connect).
    FAILING = "failing"
    # Nothing there, or silence.
    REFUSED = "refused"
    LOST = "lost"
    TIMED_OUT = "timed_out"
    HOST_UNREACHABLE = "host_unreachable"
    UNKNOWN = "unknown"
    # It is us: never evidence against a node.
    OUR_FAULT = "our_fault"


SPOKE = frozenset(
    {
        Outcome.OK,
        Outcome.TOO_MANY_CONNECTIONS,
        Outcome.STARTING_UP,
        Outcome.SHUTTING_DOWN,
        Outcome.MISCONFIGURED,
        Outcome.REJECTED,
    }
)
"""A well-formed PostgreSQL answer, whatever it says, is a proof of life."""

SILENT = frozenset(
    {
        Outcome.REFUSED,
        Outcome.LOST,
        Outcome.TIMED_OUT,
        Outcome.HOST_UNREACHABLE,
        Outcome.UNKNOWN,
    }
)


@dataclass(frozen=True, slots=True)
class Look:
    """One look: what came of it, when it began and ended, and the words that were heard."""

    outcome: Outcome = Outcome.NOT_TRIED
    began_at: Instant = Instant(0.0)
    ended_at: Instant = Instant(0.0)
    detail: str = ""

    @property
    def ok(self) -> bool:
        return self.outcome is Outcome.OK


NOT_TRIED = Look()


@dataclass(frozen=True, slots=True)
class ServerFacts:
    """What a server says of itself by SQL, in one row of one statement."""

    seen_at: Instant
    system_identifier: SystemIdentifier
    in_recovery: bool
    timeline: Timeline
    """Of the WAL being written (primary) or received (standby); 0 where a standby cannot say."""
    version: int
    """`server_version_num`: 150020."""
    postmaster_started: str
    """`pg_postmaster_start_time()` as whole seconds since 1970, by the server's clock."""
    backend_pid: int
    data_directory: str
    written_lsn: Lsn | None
    """`pg_current_wal_lsn()` on a primary."""
    received_lsn: Lsn | None
    """greatest(received, replayed) on a standby: what a promotion starts from, at least."""
    replayed_lsn: Lsn | None
    replay_paused: bool = False
    """By a user, or by PostgreSQL since its settings are below the primary's."""
    limits: tuple[tuple[str, int], ...] = ()
    """Settings that must not be lower on a standby than on its primary."""
    position_unknown: bool = False
    """A standby without a receiver since its start: its disk may hold more than it says."""
    read_only: bool = False
    """`default_transaction_read_only` on a server that is not in recovery."""
    receiver: Receiver | None = None
    receiver_readable: bool = True
    """False where our role lacks pg_monitor, so that the absence of a row means nothing."""
    senders: tuple[Sender, ...] = ()
    slots: tuple[Slot, ...] = ()
    synchronous_standby_names: str = ""
    sync_waiters: int = 0
    """Sessions that wait in SyncRep for a synchronous standby."""
    primary_slot_name: str = ""
    apply_delay_ms: int = 0
    recovery_target: bool = False
    """Set by somebody, most likely left over: it ends replay there, and a promotion the server."""
    replay_lag_s: float | None = None
    upstream_host: str = ""
    """Where its primary_conninfo leads, as it is written there; empty where it leads nowhere."""
    upstream_port: int = 5432


class ControlState(enum.StrEnum):
    """`Database cluster state` of pg_controldata, grouped. Source: src/bin/pg_controldata."""

    STARTING_UP = "starting up"
    SHUT_DOWN = "shut down"
    SHUT_DOWN_IN_RECOVERY = "shut down in recovery"
    SHUTTING_DOWN = "shutting down"
    IN_CRASH_RECOVERY = "in crash recovery"
    IN_ARCHIVE_RECOVERY = "in archive recovery"
    IN_PRODUCTION = "in production"
    UNKNOWN = "unknown"


class Guard(enum.StrEnum):
    """`standby.signal` in the data directory, and whether it is ours."""

    NONE = "none"
    OURS = "ours"
    FOREIGN = "foreign"
    """A `standby.signal` without our marker beside it: a standby by right, or somebody's guard."""


@dataclass(frozen=True, slots=True)
class HostFacts:
    """What the host program saw on a database host in one round trip."""

    seen_at: Instant
    boot_id: str
    uptime_s: float
    user: str
    directory_identity: str
    """Device and inode of the data directory."""
    system_identifier: SystemIdentifier
    control_state: ControlState
    control_timeline: Timeline
    checkpoint_lsn: Lsn | None
    processes: tuple[tuple[int, str], ...]
    """PostgreSQL processes whose working directory is the data directory: (pid, state letter)."""
    postmaster_pid: int | None
    """From postmaster.pid; trusted only where `processes` has it too."""
    postmaster_started: str
    listener: bool
    guard: Guard
    guard_epoch: Epoch | None
    epoch: Epoch
    """The highest epoch this host has seen; 0 where none."""
    recovering: str = ""
    """The WAL file that its startup process is reading, where it is in recovery."""
    dead_man: str = ""
    """armed, disarmed, fired or claimed, where one was armed in this boot."""
    other_manager: str = ""
    """Patroni, repmgrd, Pacemaker or the like, which runs there: nothing is acted on beside it."""


@dataclass(frozen=True, slots=True)
class HostReport:
    look: Look = NOT_TRIED
    facts: HostFacts | None = None
    """Facts of this look, never of an earlier one."""
    local_socket: Look = NOT_TRIED
    """An attempt on the server's Unix socket, from its own host."""


class Cause(enum.StrEnum):
    """Why a round of looks began."""

    BEAT = "its beat"
    SESSION_DIED = "the held session died"
    SECOND_LOOK = "a second look at conclusive evidence"
    DOUBT = "the primary is in doubt"
    NEW_PRIMARY = "the primary has changed"


@dataclass(frozen=True, slots=True)
class NodeReport:
    """Everything one round of looks learnt about one node."""

    name: NodeName
    round: int = 0
    """Grows with each round of this node; a failure is counted once a round."""
    began_at: Instant = Instant(0.0)
    held: Look = NOT_TRIED
    fresh: Look = NOT_TRIED
    server: ServerFacts | None = None
    """From this round only."""
    last_server: ServerFacts | None = None
    """The latest ever heard, with its own `seen_at`."""
    write: Look = NOT_TRIED
    """The latest write check: a local commit."""
    host: HostReport = field(default_factory=HostReport)
    reach_primary: Look = NOT_TRIED
    """From this node's host: an attempt to connect to the primary."""
    cause: Cause = Cause.BEAT
    ours: bool = False
    """This round was spoilt by our own fault (late loop, no descriptors): it proves nothing."""

    @property
    def host_of_now(self) -> bool:
        """The host was looked at in this round; what was seen of it earlier proves nothing."""
        return self.host.look.began_at >= self.began_at

    @property
    def answers(self) -> bool:
        """By SQL or through its host: something can be asked of it."""
        return self.server is not None or (self.host.look.ok and self.host_of_now)

    @property
    def heard(self) -> bool:
        """PostgreSQL answered in this round, be it with a refusal."""
        return self.held.outcome in SPOKE or self.fresh.outcome in SPOKE

    @property
    def writable(self) -> bool:
        return self.server is not None and not self.server.in_recovery


@dataclass(frozen=True, slots=True)
class DaemonReport:
    """What another daemon of this cluster said last of the primary."""

    name: str
    primary: NodeName
    """Whom it looked at."""
    heard: bool
    """A new connection of its own was answered as PostgreSQL answers."""
    looked_at: Instant
    """By our clock, and rather too late than too early."""
    blind: bool = False
    """It reaches nothing at all, or cannot journal."""


@dataclass(frozen=True, slots=True)
class ClusterView:
    """The whole cluster as it is known now. Level-triggered: always complete."""

    nodes: Mapping[NodeName, NodeReport]
    our_network_down: bool = False
    """A look failed in a way that only our own host can cause."""
    journal_failing: str = ""
    """Why the journal cannot be written: nothing is begun without it. Empty: it can."""
    daemons: Mapping[str, DaemonReport] = field(default_factory=dict[str, DaemonReport])
    """The others that are there, by identity."""

    def report(self, name: NodeName) -> NodeReport:
        return self.nodes.get(name) or NodeReport(name)

    def others(self, name: NodeName) -> tuple[NodeReport, ...]:
        return tuple(r for n, r in sorted(self.nodes.items()) if n != name)


@dataclass(frozen=True, slots=True)
class CommandRun:
    """One command, statement or remote act: what was run, what it said, how long it took."""

    node: NodeName
    command: str
    output: str
    duration_s: float
    exit_status: int | None = None


@dataclass(frozen=True, slots=True)
class RungTried:
    """One rung of a fencing ladder: fenced, still_alive or failed."""

    rung: str
    outcome: str


@dataclass(frozen=True, slots=True)
class Evidence:
    """Why an act came out as it did: one sentence, and what was run."""

    sentence: str
    runs: tuple[CommandRun, ...] = ()
    rungs: tuple[RungTried, ...] = ()
    """Of a fence, those of its ladder that were tried, in order."""


class ProofKind(enum.StrEnum):
    STOPPED = "stopped"
    POWERED_OFF = "powered_off"
    DEAD_MAN_EXPIRED = "dead_man_expired"
    VOUCHED = "vouched"


@dataclass(frozen=True, slots=True)
class WalEnd:
    """Where the WAL on a disk ends: its last whole record."""

    timeline: Timeline
    last_record: Lsn
    """Where that record begins."""
    end: Lsn
    """Where it ends: a promotion of whoever has all of it begins its timeline here."""


@dataclass(frozen=True, slots=True)
class FenceProof:
    """That one node takes no more writes. Belongs to one epoch, one daemon process, 30 s."""

    kind: ProofKind
    node: NodeName
    epoch: Epoch
    proved_at: Instant
    control_state: ControlState
    shutdown_checkpoint: Lsn | None
    """Where the control file says "shut down": the checkpoint a lossless candidate lies beyond."""
    evidence: Evidence
    wal_end: WalEnd | None = None
    """Of the fenced node's disk; None where it could not be read."""


PROOF_LIFETIME_S = 30.0

FROZEN_SLOT = "failoverd_frozen_"
"""What `primary_slot_name` of a frozen standby begins with; its epoch follows."""


@dataclass(frozen=True, slots=True)
class SavedSettings:
    """A standby's settings from before the freeze, to be put back by value or RESET.

    A conninfo may hold a password: never logged, never served, kept in the 0600 journal alone.
    """

    values: tuple[tuple[str, str | None], ...] = field(repr=False)
    """Each setting and its value in postgresql.auto.conf; None: it was not set there."""


@dataclass(frozen=True, slots=True)
class Frozen:
    """A standby that has been detached, and where it stands still."""

    node: NodeName
    position: Lsn
    timeline: Timeline
    saved: SavedSettings


@dataclass(frozen=True, slots=True)
class WalLoss:
    """What a promotion loses, in bytes of WAL. WAL bytes are not commits: hint bits count too."""

    lost_bytes: int
    proven: bool
    """True where the old primary's true end is known; else an estimate, and said to be one."""
    sentence: str

    @property
    def nothing(self) -> bool:
        """Proven that nothing is lost."""
        return self.proven and not self.lost_bytes
