"""How the world is seen: what a round of looks finds in it."""

from __future__ import annotations

import functools

from failoverd.core.dead_man import FIRED
from failoverd.core.model import (
    SPOKE,
    ClusterView,
    ControlState,
    Epoch,
    Guard,
    HostFacts,
    HostReport,
    Instant,
    Look,
    Lsn,
    NodeName,
    NodeReport,
    Outcome,
    ServerFacts,
    Timeline,
)
from failoverd.core.replication import Receiver, Sender
from tests.explore.world import CLEAN, HUNG, NAMES, SYSTEM, UP, Server, World, address_of


@functools.lru_cache(maxsize=4096)
def view_of(world: World, now: Instant, primary: NodeName | None, round_: int) -> ClusterView:
    return ClusterView({n: report(world, n, now, primary, round_) for n in world.names})


def report(
    world: World, name: NodeName, now: Instant, primary: NodeName | None, round_: int
) -> NodeReport:
    server = world[name]
    look = Look(_sql(server), now, now)
    host = Look(Outcome.OK if server.host else Outcome.TIMED_OUT, now, now)
    facts = server_facts(world, name, now) if server.answers else None
    reach = Look()
    if primary is not None and name != primary and server.host:
        reach = Look(_sql(world[primary]), now, now)
    return NodeReport(
        name=name,
        round=round_,
        began_at=now,
        held=look if look.outcome in SPOKE else Look(Outcome.LOST, now, now),
        fresh=look,
        server=facts,
        last_server=facts,
        write=look if server.answers and not server.recovery else Look(),
        host=HostReport(
            host, host_facts(server, now) if server.host else None, _local(server, now)
        ),
        reach_primary=reach,
    )


def _sql(server: Server) -> Outcome:
    if not server.host or server.process == HUNG:
        return Outcome.TIMED_OUT
    return Outcome.OK if server.process == UP else Outcome.REFUSED


def _local(server: Server, now: Instant) -> Look:
    return Look(_sql(server) if server.host else Outcome.NOT_TRIED, now, now)


def server_facts(world: World, name: NodeName, now: Instant) -> ServerFacts:
    server, upstream = world[name], world.upstream()
    receiver = None
    if world.streams(name) and upstream is not None:
        receiver = Receiver("streaming", address_of(upstream), 5432, 0.0)
    return ServerFacts(
        seen_at=now,
        system_identifier=SYSTEM,
        in_recovery=server.recovery,
        timeline=Timeline(server.timeline),
        version=160000,
        postmaster_started="1",
        backend_pid=2,
        data_directory="/data",
        written_lsn=None if server.recovery else Lsn(server.position),
        received_lsn=Lsn(server.position) if server.recovery else None,
        replayed_lsn=None,
        receiver=receiver,
        senders=tuple(
            Sender(n, f"10.0.0.{NAMES.index(n) + 1}", "streaming", "async", None)
            for n in world.names
            if upstream == name and world.streams(n)
        ),
        upstream_host=""
        if server.frozen
        else f"10.0.0.{NAMES.index(NodeName(server.follows)) + 1}",
    )


def host_facts(server: Server, now: Instant) -> HostFacts:
    runs = server.process in (UP, HUNG)
    return HostFacts(
        seen_at=now,
        boot_id="boot",
        uptime_s=1.0,
        user="postgres",
        directory_identity="1:2",
        system_identifier=SYSTEM,
        control_state=control(server),
        control_timeline=Timeline(server.timeline),
        checkpoint_lsn=Lsn(server.position),
        processes=((1, "S"), (2, "S")) if runs else (),
        postmaster_pid=1 if runs else None,
        postmaster_started="1",
        listener=runs,
        guard=Guard.OURS if server.guard else Guard.NONE,
        guard_epoch=Epoch(server.guard) if server.guard else None,
        epoch=Epoch(server.epoch),
        dead_man=FIRED if server.fired else "armed" if server.dead_man else "",
    )


def control(server: Server) -> ControlState:
    if server.process == CLEAN:
        return ControlState.SHUT_DOWN
    return ControlState.IN_ARCHIVE_RECOVERY if server.recovery else ControlState.IN_PRODUCTION
