"""What is remembered from one view to the next: a pure fold of observations.

The threshold counts both failed rounds and time since the last proof of life, and any
well-formed PostgreSQL answer, from whoever heard it, is such a proof. What must survive
a restart (who the primary is, calibrations, the synchronous promise) is journaled with
the machine; instants begin anew.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace

from failoverd.core.model import (
    SILENT,
    SPOKE,
    ClusterView,
    Epoch,
    Instant,
    Lsn,
    NodeName,
    NodeReport,
    Outcome,
    SystemIdentifier,
    Timeline,
)
from failoverd.core.policy import Policy


@dataclass(frozen=True, slots=True)
class Calibration:
    """In this boot, as this user, the host's look has seen this very server alive."""

    boot_id: str
    user: str
    directory_identity: str
    postmaster_pid: int
    postmaster_started: str


@dataclass(frozen=True, slots=True)
class Promise:
    """What synchronous replication promised, as the primary last said it."""

    standby_names: str
    synchronous: frozenset[str]
    """Application names that were sync or quorum members when last seen."""


@dataclass(frozen=True, slots=True)
class Doubt:
    """Since when the primary does not answer us, to tell what standbys hear after it."""

    since: Instant
    """When the first failed round began."""
    began_at: Instant
    """When the latest failed round began."""
    round: int
    previous_began_at: Instant | None = None
    previous_positions: Mapping[NodeName, Lsn] = field(default_factory=dict)
    positions: Mapping[NodeName, Lsn] = field(default_factory=dict)

    @property
    def heard_after(self) -> Instant:
        """A standby that heard the primary later than this hears it still."""
        return self.began_at if self.previous_began_at is None else self.previous_began_at


@dataclass(frozen=True, slots=True)
class Memory:
    primary: NodeName | None = None
    system_identifier: SystemIdentifier | None = None
    timeline: Timeline = Timeline(0)
    """The highest timeline on which a primary was seen or confirmed."""
    version: int = 0
    seen_healthy: bool = False
    highest_epoch: Epoch = Epoch(0)
    calibrations: Mapping[NodeName, Calibration] = field(default_factory=dict)
    standby_timelines: Mapping[NodeName, Timeline] = field(default_factory=dict)
    promise: Promise | None = None
    directories: Mapping[NodeName, str] = field(default_factory=dict)
    # Of this process alone.
    primary_lsn: Lsn | None = None
    primary_lsn_at: Instant | None = None
    peak_wal_rate: float = 0.0
    """Bytes a second, the highest seen between two rounds."""
    last_alive_at: Instant | None = None
    failed_rounds: int = 0
    doubt: Doubt | None = None


def observe(memory: Memory, view: ClusterView, policy: Policy) -> Memory:
    """Fold one view into the memory."""
    for report in view.nodes.values():
        memory = _remember_host(memory, report)
        memory = _remember_standby(memory, report)
    if memory.primary is None:
        return memory
    primary = view.report(memory.primary)
    memory = _remember_primary(memory, primary, policy)
    return _count_round(memory, primary, view)


def answered_writable(report: NodeReport) -> bool:
    """Held session and fresh connection answer, and the server is not in recovery."""
    return report.held.ok and report.fresh.ok and report.writable


def _remember_host(memory: Memory, report: NodeReport) -> Memory:
    facts = report.host.facts
    if facts is None:
        return memory
    memory = replace(memory, highest_epoch=max(memory.highest_epoch, facts.epoch))
    server = report.server
    pids = {pid for pid, _ in facts.processes}
    if (
        server is None
        or server.system_identifier != facts.system_identifier
        or server.backend_pid not in pids
        or facts.postmaster_pid is None
        or facts.postmaster_pid not in pids
        or not facts.listener
        or not _same_start(server.postmaster_started, facts.postmaster_started)
    ):
        return memory
    calibration = Calibration(
        boot_id=facts.boot_id,
        user=facts.user,
        directory_identity=facts.directory_identity,
        postmaster_pid=facts.postmaster_pid,
        postmaster_started=facts.postmaster_started,
    )
    if memory.calibrations.get(report.name) == calibration:
        return memory
    return replace(memory, calibrations={**memory.calibrations, report.name: calibration})


def _same_start(by_sql: str, by_host: str) -> bool:
    """Both are seconds of the same host's clock; postmaster.pid is written up to 1 s apart."""
    try:
        return abs(int(by_sql) - int(by_host)) <= 1
    except ValueError:
        return False


def _remember_standby(memory: Memory, report: NodeReport) -> Memory:
    server = report.server
    if server is None or not server.in_recovery or server.receiver is None:
        return memory
    if server.system_identifier != memory.system_identifier or not server.timeline:
        return memory
    if memory.standby_timelines.get(report.name) == server.timeline:
        return memory
    return replace(
        memory, standby_timelines={**memory.standby_timelines, report.name: server.timeline}
    )


def _remember_primary(memory: Memory, report: NodeReport, policy: Policy) -> Memory:
    server = report.server
    if server is None or server.in_recovery:
        return memory
    if memory.system_identifier not in (None, server.system_identifier):
        return memory
    memory = replace(
        memory,
        system_identifier=server.system_identifier,
        timeline=max(memory.timeline, server.timeline),
        version=server.version,
        seen_healthy=memory.seen_healthy or answered_writable(report),
        promise=_promise(memory, server.synchronous_standby_names, report),
    )
    if server.written_lsn is None:
        return memory
    rate = memory.peak_wal_rate
    if memory.primary_lsn is not None and memory.primary_lsn_at is not None:
        seconds = server.seen_at - memory.primary_lsn_at
        if seconds >= policy.interval_s / 2:
            rate = max(rate, (server.written_lsn - memory.primary_lsn) / seconds)
    return replace(
        memory,
        primary_lsn=server.written_lsn,
        primary_lsn_at=server.seen_at,
        peak_wal_rate=rate,
    )


def _promise(memory: Memory, names: str, report: NodeReport) -> Promise | None:
    if not names.strip():
        return None
    senders = report.server.senders if report.server is not None else ()
    synchronous = frozenset(s.application_name for s in senders if s.sync_state in _SYNCHRONOUS)
    if not synchronous and memory.promise is not None and memory.promise.standby_names == names:
        # Commits wait for a standby that is gone: what was acknowledged is where it was.
        synchronous = memory.promise.synchronous
    return Promise(names, synchronous)


_SYNCHRONOUS = frozenset({"sync", "quorum"})


def _count_round(memory: Memory, primary: NodeReport, view: ClusterView) -> Memory:
    if primary.ours or view.our_network_down or not primary.round:
        return memory
    if memory.last_alive_at is None:
        # Silence is counted from our first look, never from before it.
        memory = replace(memory, last_alive_at=primary.began_at)
    life = _proofs_of_life(memory, primary, view)
    if life:
        memory = replace(memory, last_alive_at=max(life + _known(memory.last_alive_at)))
    if primary.held.outcome in SPOKE or primary.fresh.outcome in SPOKE:
        return replace(memory, failed_rounds=0, doubt=None)
    if primary.fresh.outcome not in SILENT | {Outcome.FAILING}:
        return memory
    if memory.doubt is not None and memory.doubt.round == primary.round:
        heard = bool(life)
        return replace(memory, failed_rounds=0) if heard else memory
    return replace(
        memory,
        failed_rounds=0 if life else memory.failed_rounds + 1,
        doubt=_next_doubt(memory.doubt, primary, view),
    )


def _known(instant: Instant | None) -> list[Instant]:
    return [] if instant is None else [instant]


def _proofs_of_life(memory: Memory, primary: NodeReport, view: ClusterView) -> list[Instant]:
    """When the primary was last heard: by us, by a standby, from a host."""
    looks = [primary.held, primary.fresh, primary.host.local_socket]
    proofs = [look.ended_at for look in looks if look.outcome in SPOKE]
    for standby in view.others(primary.name):
        heard_at = heard_by(standby, primary, memory)
        if heard_at is not None:
            proofs.append(heard_at)
    return proofs


def heard_by(standby: NodeReport, primary: NodeReport, memory: Memory) -> Instant | None:
    """When a standby, or its host, last heard the primary, if that was after our doubt began.

    A row in pg_stat_wal_receiver alone is not hearing: it stays until wal_receiver_timeout.
    """
    doubt = memory.doubt
    began = primary.began_at if doubt is None else doubt.heard_after
    reached = standby.reach_primary
    if reached.outcome in SPOKE and reached.began_at >= began:
        return reached.ended_at
    server = standby.server
    if server is None or server.seen_at < began:
        return None
    if server.receiver is not None and server.receiver.message_age_s is not None:
        heard_at = Instant(server.seen_at - server.receiver.message_age_s)
        if heard_at > began:
            return heard_at
    if doubt is None or server.received_lsn is None:
        return None
    before = doubt.previous_positions.get(standby.name)
    if before is not None and server.received_lsn > before and server.seen_at > doubt.began_at:
        return doubt.began_at
    return None


def _next_doubt(doubt: Doubt | None, primary: NodeReport, view: ClusterView) -> Doubt:
    positions = {
        standby.name: standby.server.received_lsn
        for standby in view.others(primary.name)
        if standby.server is not None and standby.server.received_lsn is not None
    }
    if doubt is None:
        return Doubt(primary.began_at, primary.began_at, primary.round, positions=positions)
    return Doubt(
        since=doubt.since,
        began_at=primary.began_at,
        round=primary.round,
        previous_began_at=doubt.began_at,
        previous_positions=doubt.positions,
        positions=positions,
    )
