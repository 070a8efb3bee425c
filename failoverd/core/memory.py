"""What is remembered from one view to the next: a pure fold of observations.

The threshold counts both failed rounds and time since the last proof of life, and any
well-formed PostgreSQL answer, from whoever heard it, is such a proof. What must survive
a restart is journaled with the machine; instants begin anew.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace

from failoverd.core.calibration import Calibration, calibrating
from failoverd.core.model import (
    SILENT,
    SPOKE,
    ClusterView,
    Epoch,
    HostFacts,
    Instant,
    Lsn,
    NodeName,
    NodeReport,
    Outcome,
    ServerFacts,
    SystemIdentifier,
    Timeline,
)
from failoverd.core.other_daemons import heard_it
from failoverd.core.policy import Policy
from failoverd.core.promise import Promise, promised
from failoverd.core.replaying import Replay, replaying
from failoverd.core.replication import Receiver, Slot, lasting
from failoverd.core.simultaneous import writing_since
from failoverd.core.waited_for import Keeping


@dataclass(frozen=True, slots=True)
class Doubt:
    """Since when the primary does not answer us, to tell what standbys hear after it."""

    since: Instant
    """When the first failed round began."""
    began_at: Instant
    """When the latest failed round began."""
    previous_began_at: Instant | None = None
    previous_positions: Mapping[NodeName, Lsn] = field(default_factory=dict[NodeName, Lsn])
    positions: Mapping[NodeName, Lsn] = field(default_factory=dict[NodeName, Lsn])
    dead_at: Instant | None = None
    """When its host was first seen to run nothing of it, and ever since; None: it may write."""

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
    calibrations: Mapping[NodeName, Calibration] = field(
        default_factory=dict[NodeName, Calibration]
    )
    standby_timelines: Mapping[NodeName, Timeline] = field(default_factory=dict[NodeName, Timeline])
    upstreams: Mapping[NodeName, NodeName] = field(default_factory=dict[NodeName, NodeName])
    """Standbys that were last seen streaming from another standby, and from which one."""
    application_names: Mapping[NodeName, str] = field(default_factory=dict[NodeName, str])
    """What a standby calls itself on the primary, where its address alone tells them apart."""
    slots: tuple[Slot, ...] = ()
    """Of the primary, as they were last seen."""
    slots_owed: tuple[Slot, ...] = ()
    """Of the primary before, to be made on the present one."""
    required: tuple[tuple[str, int], ...] = ()
    """The primary's settings that must not be lower on a standby."""
    other_managers: Mapping[NodeName, str] = field(default_factory=dict[NodeName, str])
    """Patroni and the like, by the node on whose host it was last seen to run."""
    promise: Promise | None = None
    # Of this process alone.
    primary_since: Instant = Instant(0.0)
    """Looks that began before this one became the primary say nothing of it as one."""
    primary_lsn: Lsn | None = None
    """The furthest position known of the primary, from itself or from its control file."""
    primary_lsn_at: Instant | None = None
    """None: of an earlier process, or of the control file."""
    peak_wal_rate: float = 0.0
    """Bytes a second, the highest seen between two rounds, of whichever primary."""
    last_alive_at: Instant | None = None
    failed_rounds: int = 0
    replay_stands: Mapping[NodeName, Replay] = field(default_factory=dict[NodeName, Replay])
    keeping: Mapping[NodeName, Keeping] = field(default_factory=dict[NodeName, Keeping])
    doubt: Doubt | None = None
    writable_since: Mapping[NodeName, Instant] = field(default_factory=dict[NodeName, Instant])
    shutting_down_since: Instant | None = None
    """Since when it says that it is shutting down, and nothing else."""
    blinded: bool = False
    """The last look was spoilt by our own fault."""
    seen_since: Instant = Instant(0.0)
    """Since when we have not been blind to it for longer than it may be silent."""
    thawed_at: Mapping[NodeName, Instant] = field(default_factory=dict[NodeName, Instant])
    """When we thawed each: looks that began before may say that it is frozen."""


def observe(memory: Memory, view: ClusterView, policy: Policy) -> Memory:
    """Fold one view into the memory."""
    replays = memory.replay_stands
    for report in view.nodes.values():
        memory = _remember_host(memory, report)
        memory = _remember_standby(memory, report, policy)
        replays = replaying(replays, report)
    since = writing_since(memory.writable_since, view)
    if replays is not memory.replay_stands or since != memory.writable_since:
        memory = replace(memory, replay_stands=replays, writable_since=since)
    if memory.primary is None:
        return memory
    primary = view.report(memory.primary)
    if primary.began_at <= memory.primary_since:
        return memory
    memory = _remember_primary(memory, primary, policy)
    memory = _remember_checkpoint(memory, primary)
    return _count_round(memory, primary, view, policy)


def answered_writable(report: NodeReport) -> bool:
    """Held session and fresh connection answer, and the server is not in recovery."""
    return report.held.ok and report.fresh.ok and report.writable


def _well(report: NodeReport, policy: Policy) -> bool:
    """It serves, and takes writes as far as that is tried."""
    return answered_writable(report) and (report.write.ok or not policy.write_check)


def _remember_host(memory: Memory, report: NodeReport) -> Memory:
    calibrations = calibrating(memory.calibrations, report)
    if calibrations is not memory.calibrations:
        memory = replace(memory, calibrations=calibrations)
    facts = report.host.facts
    if facts is None:
        return memory
    if facts.epoch > memory.highest_epoch:
        memory = replace(memory, highest_epoch=facts.epoch)
    return _remember_other_manager(memory, report, facts.other_manager)


def _remember_other_manager(memory: Memory, report: NodeReport, found: str) -> Memory:
    """Gone only where the server is well: what died with the server may come back with it."""
    known = memory.other_managers.get(report.name, "")
    if known == found or (not found and report.server is None):
        return memory
    others = {n: one for n, one in memory.other_managers.items() if n != report.name}
    return replace(memory, other_managers={**others, **({report.name: found} if found else {})})


def _remember_standby(memory: Memory, report: NodeReport, policy: Policy) -> Memory:
    server = report.server
    if server is None or not server.in_recovery or server.receiver is None:
        return memory
    if server.system_identifier != memory.system_identifier or not server.timeline:
        return memory
    memory = _remember_upstream(memory, report.name, server.receiver, policy)
    if memory.standby_timelines.get(report.name) == server.timeline:
        return memory
    return replace(
        memory, standby_timelines={**memory.standby_timelines, report.name: server.timeline}
    )


def _remember_upstream(
    memory: Memory, node: NodeName, receiver: Receiver, policy: Policy
) -> Memory:
    """Another standby, where addresses tell; the primary is the rule, and is not written down."""
    if memory.primary is None or not receiver.streams:
        return memory
    at = [
        n
        for n, other in policy.nodes.items()
        if (other.host, other.port) == (receiver.sender_host, receiver.sender_port)
    ]
    cascades = len(at) == 1 and at[0] not in (memory.primary, node)
    upstreams = {n: u for n, u in memory.upstreams.items() if n != node}
    upstreams = {**upstreams, **({node: at[0]} if cascades else {})}
    return memory if upstreams == memory.upstreams else replace(memory, upstreams=upstreams)


def _remember_primary(memory: Memory, report: NodeReport, policy: Policy) -> Memory:
    server = report.server
    if server is None or server.in_recovery:
        return memory
    if memory.system_identifier not in (None, server.system_identifier):
        return memory
    lsn, lsn_at, rate = memory.primary_lsn, memory.primary_lsn_at, memory.peak_wal_rate
    if server.written_lsn is not None:
        rate = _fastest(memory, server, server.written_lsn, policy)
        lsn, lsn_at = server.written_lsn, server.seen_at
    return replace(
        memory,
        system_identifier=server.system_identifier,
        timeline=max(memory.timeline, server.timeline),
        version=server.version,
        seen_healthy=memory.seen_healthy or _well(report, policy),
        promise=promised(
            memory.promise, server.synchronous_standby_names, server.senders, server.written_lsn
        ),
        slots=lasting(server.slots, memory.slots),
        required=server.limits or memory.required,
        application_names=_application_names(memory, server, policy),
        primary_lsn=lsn,
        primary_lsn_at=lsn_at,
        peak_wal_rate=rate,
    )


def _fastest(memory: Memory, server: ServerFacts, written: Lsn, policy: Policy) -> float:
    """Bytes a second, the highest seen between two rounds, this one included."""
    rate = memory.peak_wal_rate
    if memory.primary_lsn is not None and memory.primary_lsn_at is not None:
        seconds = server.seen_at - memory.primary_lsn_at
        if seconds >= policy.interval_s / 2:
            rate = max(rate, (written - memory.primary_lsn) / seconds)
    return rate


def _remember_checkpoint(memory: Memory, report: NodeReport) -> Memory:
    """Whoever starts beside a dead primary knows at least how far its last checkpoint was."""
    facts = report.host.facts
    ours = facts is not None and facts.system_identifier == memory.system_identifier
    if facts is None or facts.checkpoint_lsn is None or not ours:
        return memory
    if memory.primary_lsn is not None and memory.primary_lsn >= facts.checkpoint_lsn:
        return memory
    return replace(memory, primary_lsn=facts.checkpoint_lsn)


def _application_names(
    memory: Memory, server: ServerFacts, policy: Policy
) -> Mapping[NodeName, str]:
    if not server.senders:
        return memory.application_names
    hosts = [node.host for node in policy.nodes.values()]
    found: dict[NodeName, str] = {}
    for name, node in policy.nodes.items():
        names = {s.application_name for s in server.senders if s.client_address == node.host}
        if len(names) == 1 and hosts.count(node.host) == 1:
            found[name] = names.pop()
    new = {**memory.application_names, **found}
    return memory.application_names if new == memory.application_names else new


def _count_round(memory: Memory, primary: NodeReport, view: ClusterView, policy: Policy) -> Memory:
    if primary.ours or view.our_network_down or view.journal_failing or not primary.round:
        return memory if memory.blinded else replace(memory, blinded=True)
    # Silence is counted from our first look, never from before it.
    alive_at = primary.began_at if memory.last_alive_at is None else memory.last_alive_at
    if memory.blinded or memory.doubt is not None:
        memory = _sees_again(memory, primary, alive_at, policy)
    life = _proofs_of_life(memory, primary, view, policy)
    heard_at = max([alive_at, *life])
    down_since = _shutting_down_since(memory, primary)
    if primary.heard:
        return replace(
            memory,
            last_alive_at=heard_at,
            shutting_down_since=down_since,
            failed_rounds=0,
            doubt=None,
        )
    memory = replace(memory, last_alive_at=heard_at, shutting_down_since=down_since)
    if primary.fresh.outcome not in SILENT | {Outcome.FAILING}:
        return memory
    heard_since = alive_at > primary.began_at or any(at >= primary.began_at for at in life)
    if memory.doubt is not None and memory.doubt.began_at == primary.began_at:
        return replace(memory, failed_rounds=0) if heard_since else memory
    # Rounds that failed before somebody heard it are void: it was alive.
    void = memory.doubt is not None and alive_at < heard_at >= memory.doubt.began_at
    counted = 0 if void else memory.failed_rounds
    return replace(
        memory,
        failed_rounds=0 if heard_since else counted + 1,
        doubt=_next_doubt(memory, primary, view),
    )


def _sees_again(memory: Memory, primary: NodeReport, alive_at: Instant, policy: Policy) -> Memory:
    """What it was before we were blind for long, and is now, it need not have been in between."""
    memory = replace(memory, blinded=False)
    if not primary.heard or primary.began_at - alive_at <= policy.threshold_s:
        return memory
    return replace(memory, seen_since=primary.began_at, shutting_down_since=None)


def _shutting_down_since(memory: Memory, primary: NodeReport) -> Instant | None:
    if primary.held.ok or primary.fresh.outcome is not Outcome.SHUTTING_DOWN:
        return None
    return memory.shutting_down_since or primary.began_at


def _proofs_of_life(
    memory: Memory, primary: NodeReport, view: ClusterView, policy: Policy
) -> list[Instant]:
    """When the primary was last heard: by us, by a standby, from a host, by another daemon."""
    looks = [primary.held, primary.fresh, primary.host.local_socket]
    proofs = [look.ended_at for look in looks if look.outcome in SPOKE]
    proofs += [one.looked_at for one in heard_it(view, primary.name)]
    for standby in view.others(primary.name):
        heard_at = heard_by(standby, primary, memory, policy)
        if heard_at is not None:
            proofs.append(heard_at)
    return proofs


def heard_by(
    standby: NodeReport, primary: NodeReport, memory: Memory, policy: Policy
) -> Instant | None:
    """When a direct standby, or its host, last heard the primary, if after our doubt began.

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
    receiver = server.receiver
    if receiver is not None and not direct(receiver, primary.name, policy):
        return None
    if receiver is not None and receiver.message_age_s is not None:
        heard_at = Instant(server.seen_at - receiver.message_age_s)
        if heard_at > began:
            return heard_at
    return _moved_at(standby.name, server, doubt)


def _moved_at(name: NodeName, server: ServerFacts, doubt: Doubt | None) -> Instant | None:
    """Its received position has grown since an earlier failed round."""
    replays_alone = server.receiver is None and server.receiver_readable
    if doubt is None or server.received_lsn is None or replays_alone:
        return None
    before = doubt.previous_positions.get(name)
    if before is not None and server.received_lsn > before and server.seen_at > doubt.began_at:
        return doubt.began_at
    return None


def direct(receiver: Receiver, primary: NodeName, policy: Policy) -> bool:
    """Its upstream is the primary, as far as addresses tell: no other node has that one."""
    return not any(
        node.host == receiver.sender_host and node.port == receiver.sender_port
        for name, node in policy.nodes.items()
        if name != primary
    )


def _next_doubt(memory: Memory, primary: NodeReport, view: ClusterView) -> Doubt:
    doubt = memory.doubt
    positions = {
        standby.name: standby.server.received_lsn
        for standby in view.others(primary.name)
        if standby.server is not None and standby.server.received_lsn is not None
    }
    dead_at = _dead_at(memory, primary)
    if doubt is None:
        return Doubt(primary.began_at, primary.began_at, positions=positions, dead_at=dead_at)
    return Doubt(
        since=doubt.since,
        began_at=primary.began_at,
        previous_began_at=doubt.began_at,
        previous_positions=doubt.positions,
        positions=positions,
        dead_at=dead_at,
    )


def _dead_at(memory: Memory, primary: NodeReport) -> Instant | None:
    facts = calibrated(memory, primary)
    if facts is None or facts.processes or facts.listener:
        return None
    known = None if memory.doubt is None else memory.doubt.dead_at
    return facts.seen_at if known is None else known


def calibrated(memory: Memory, report: NodeReport) -> HostFacts | None:
    """The host's facts, if this round asked for them and this look has seen its server alive."""
    facts = report.host.facts
    if not report.host.look.ok or facts is None or not report.host_of_now:
        return None
    known = memory.calibrations.get(report.name)
    if known is None or facts.system_identifier != memory.system_identifier:
        return None
    of_then = (known.boot_id, known.user, known.directory_identity)
    same = of_then == (facts.boot_id, facts.user, facts.directory_identity)
    return facts if same else None
