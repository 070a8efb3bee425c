"""What a round of looks finds, made from the true state and the links, as probe/ makes it."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from failoverd.core.model import (
    NOT_TRIED,
    Cause,
    HostReport,
    Instant,
    Look,
    NodeName,
    NodeReport,
    Outcome,
    ServerFacts,
    SystemIdentifier,
    Timeline,
)
from failoverd.core.replication import Receiver, Sender
from failoverd.probe.node import HESITATION_S, Attention
from tests.sim.host_program import facts
from tests.sim.kernel import Steps
from tests.sim.postgres import Server, lsn
from tests.sim.reach import Session, connect_outcome, held_outcome, look
from tests.sim.world import World

if TYPE_CHECKING:
    from tests.sim.daemon import Daemon


@dataclass(slots=True)
class Eye:
    """What stays from one round of a node to the next."""

    round: int = 0
    session: Session | None = None
    last_server: ServerFacts | None = None
    last_host: HostReport = field(default_factory=HostReport)
    last_write: Look = NOT_TRIED
    last_fresh: Look = NOT_TRIED


def round_of(daemon: Daemon, name: NodeName, eye: Eye, attention: Attention, cause: Cause) -> Steps:
    world, place = daemon.world, daemon.name
    began, true_began = daemon.monotonic(), world.now
    eye.round += 1
    limit = attention.timeout_s
    yield world.delay(place, name) + world.delay(name, place)
    held, fresh, server = look_by_sql(daemon, name, eye, attention, began)
    silent = Outcome.TIMED_OUT in (held.outcome, fresh.outcome)
    write = NOT_TRIED
    if attention.write_check and server is not None and not server.in_recovery:
        write = _write(world, world.server(name), daemon.monotonic())
    host, late = None, 0.0
    answers = held.ok and fresh.ok
    failed = not (silent or answers or daemon.stalled_since(true_began))
    if attention.is_primary and not attention.in_doubt and (silent or failed):
        if silent:
            late = HESITATION_S
            yield late
        daemon.raise_doubt()
        host = look_at_host(daemon, name, local_socket=True)
    elif attention.is_primary and attention.in_doubt:
        host = look_at_host(daemon, name, local_socket=True)
    elif attention.host:
        host = look_at_host(daemon, name, local_socket=False)
    reached = _reach(daemon, name, attention)
    waits = silent or Outcome.TIMED_OUT in (
        reached.outcome,
        NOT_TRIED.outcome if host is None else host.look.outcome,
        NOT_TRIED.outcome if host is None else host.local_socket.outcome,
    )
    if waits:
        yield max(0.0, limit - (world.now - true_began))
    if server is not None:
        eye.last_server = server
    if write.outcome is not Outcome.NOT_TRIED:
        eye.last_write = write
    if host is not None:
        eye.last_host = host
    return NodeReport(
        name=name,
        round=eye.round,
        began_at=Instant(began),
        held=held,
        fresh=fresh,
        server=server,
        last_server=eye.last_server,
        write=eye.last_write,
        host=eye.last_host,
        reach_primary=reached,
        cause=cause,
        ours=daemon.stalled_since(true_began),
    )


def look_by_sql(
    daemon: Daemon, name: NodeName, eye: Eye, attention: Attention, began: float
) -> tuple[Look, Look, ServerFacts | None]:
    world, place = daemon.world, daemon.name

    def seen(outcome: Outcome) -> Look:
        took = attention.timeout_s if outcome is Outcome.TIMED_OUT else 0.003
        return look(outcome, began, began + took)

    held = seen(held_outcome(world, place, name, eye.session))
    if not (attention.fresh or attention.in_doubt) and eye.last_fresh.ok and held.ok:
        return held, eye.last_fresh, _server(world, name, began)
    fresh = seen(connect_outcome(world, place, name))
    if fresh.ok and not held.ok:
        eye.session = Session(world.server(name).life)
        held = fresh
    eye.last_fresh = fresh
    return held, fresh, _server(world, name, began) if held.ok or fresh.ok else None


def _server(world: World, name: NodeName, began: float) -> ServerFacts:
    server = world.server(name)
    receiver = None
    if server.recovery and server.stream is not None:
        age = world.now - server.stream.heard_at
        receiver = Receiver("streaming", address(world, server.stream.upstream), 5432, age)
    elif server.recovery and world.waits_in_vain(server):
        receiver = Receiver("waiting", address(world, server.conninfo or name), 5432, None)
    timeline = server.timeline if receiver is not None or not server.recovery else 0
    position = len(server.wal)
    return ServerFacts(
        seen_at=Instant(began),
        system_identifier=SystemIdentifier(server.system),
        in_recovery=server.recovery,
        timeline=Timeline(timeline),
        version=160004,
        postmaster_started=str(int(server.started_at)),
        backend_pid=server.life * 10 + 1,
        data_directory="/data",
        written_lsn=None if server.recovery else lsn(position),
        received_lsn=lsn(server.received) if server.recovery else None,
        replayed_lsn=lsn(server.received) if server.recovery else None,
        replay_paused=server.recovery and server.replay_paused,
        position_unknown=server.recovery and not server.has_received,
        receiver=receiver,
        senders=() if server.recovery else _senders(world, server),
        synchronous_standby_names="" if server.sync is None else server.sync.setting,
        sync_waiters=sum(not one.client.endswith("local") for one in server.waiting),
        primary_slot_name=server.slot,
        limits=(("max_connections", server.connections),),
    )


def _senders(world: World, server: Server) -> tuple[Sender, ...]:
    connected = [n for n in world.hosts if world.connected(server, n)]
    sync = server.sync
    listed = () if sync is None else tuple(n for n in sync.names if n in connected)
    found: list[Sender] = []
    for name in connected:
        word = "async"
        if sync is not None and name in listed:
            chosen = name in listed[: sync.count]
            word = "quorum" if sync.any_of else "sync" if chosen else "potential"
        flushed = lsn(server.flushed[name])
        found.append(Sender(name, address(world, name), "streaming", word, flushed))
    return tuple(found)


def address(world: World, name: NodeName) -> str:
    return f"10.0.0.{list(world.hosts).index(name) + 1}"


def _write(world: World, server: Server, began: float) -> Look:
    if world.hosts[server.name].disk_full:
        return look(Outcome.FAILING, began, began + 0.01, "no space left on device")
    world.commit(server, "check local")
    world.release(server)
    return look(Outcome.OK, began, began + 0.01)


def look_at_host(daemon: Daemon, name: NodeName, *, local_socket: bool) -> HostReport:
    """One instant of it: a look changes nothing."""
    world, place = daemon.world, daemon.name
    host, began = world.hosts[name], daemon.monotonic()
    outcome = Outcome.OK
    if not world.both_ways(place, name) or not host.runs:
        outcome = Outcome.TIMED_OUT
    elif host.ssh_broken:
        outcome = Outcome.MISCONFIGURED
    found = look(outcome, began, began + (1.0 if outcome is Outcome.TIMED_OUT else 0.02))
    if outcome is not Outcome.OK:
        return HostReport(found)
    socket = connect_outcome(world, name, name) if local_socket else Outcome.NOT_TRIED
    if socket not in (Outcome.OK, Outcome.REFUSED, Outcome.TIMED_OUT, Outcome.NOT_TRIED):
        socket = Outcome.REJECTED
    took = 0.5 if socket is Outcome.TIMED_OUT else 0.02
    return HostReport(found, facts(world, host, began), look(socket, began, began + took))


def _reach(daemon: Daemon, name: NodeName, attention: Attention) -> Look:
    primary = daemon.machine.memory.primary
    if attention.is_primary or not attention.in_doubt or primary is None:
        return NOT_TRIED
    world, began = daemon.world, daemon.monotonic()
    host = world.hosts[name]
    if not world.both_ways(daemon.name, name) or not host.runs or host.ssh_broken:
        return look(Outcome.NOT_TRIED, began, began + 1.0)
    outcome = connect_outcome(world, name, primary)
    if outcome not in (Outcome.OK, Outcome.REFUSED, Outcome.TIMED_OUT):
        outcome = Outcome.REJECTED
    took = attention.timeout_s if outcome is Outcome.TIMED_OUT else 0.02
    return look(outcome, began, began + took)
