"""A small world: one primary and its standbys, and what each effect does to them.

Everything is a value, so that a state of the world can be compared and returned to. An
effect keeps the promises of the real one: it looks before it acts, carries its epoch,
and may be done although its answer is lost.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

from failoverd.core.effects import (
    Confirm,
    Effect,
    Fence,
    Freeze,
    Promote,
    ReadSettings,
    Redirect,
    Salvage,
    StopMode,
    Thaw,
    Unfence,
    Unguard,
)
from failoverd.core.events import (
    Confirmed,
    EffectFailed,
    Fenced,
    FrozenAt,
    NotConfigured,
    Promoted,
    Redirected,
    Result,
    SettingsRead,
    StillAlive,
    Thawed,
    Unfenced,
    Unguarded,
)
from failoverd.core.model import (
    PROOF_LIFETIME_S,
    SPOKE,
    ClusterView,
    ControlState,
    Epoch,
    Evidence,
    FenceProof,
    Frozen,
    Guard,
    HostFacts,
    HostReport,
    Instant,
    Look,
    Lsn,
    NodeName,
    NodeReport,
    Outcome,
    ProofKind,
    Receiver,
    SavedSettings,
    ServerFacts,
    SystemIdentifier,
    Timeline,
)
from failoverd.core.policy import NodePolicy

SYSTEM = SystemIdentifier("7000000000000000001")
OWN = SavedSettings((("primary_conninfo", "host=upstream"),))
FREEZE = SavedSettings((("primary_conninfo", ""),))
"""What `ReadSettings` finds on a standby that is frozen already: must never be kept."""
SAID = Evidence("said by the world")
UP, HUNG, DEAD, CLEAN = "up", "hung", "dead", "clean"
NAMES = tuple(NodeName(name) for name in ("pg1", "pg2", "pg3"))
FAILED = EffectFailed("unknown", Evidence("no answer"))


@dataclass(frozen=True, slots=True)
class Server:
    """One server and its host. `process` is up, hung, dead, or clean (shut down)."""

    process: str = UP
    host: bool = True
    recovery: bool = True
    guard: int = 0
    """The epoch of our guard; 0: none."""
    frozen: int = 0
    """The epoch of the freeze; 0: it follows its upstream."""
    epoch: int = 0
    """The highest epoch that its host has seen."""
    timeline: int = 1
    position: int = 100

    @property
    def answers(self) -> bool:
        return self.host and self.process == UP

    @property
    def writable(self) -> bool:
        """Clients that still reach it could commit there, whether we see it or not."""
        return self.process in (UP, HUNG) and not self.recovery


@dataclass(frozen=True, slots=True)
class World:
    servers: tuple[Server, ...]

    def __getitem__(self, name: NodeName) -> Server:
        return self.servers[NAMES.index(name)]

    def having(self, name: NodeName, server: Server) -> World:
        at = NAMES.index(name)
        return World((*self.servers[:at], server, *self.servers[at + 1 :]))

    @property
    def names(self) -> tuple[NodeName, ...]:
        return NAMES[: len(self.servers)]

    def writable(self) -> list[NodeName]:
        return [name for name in self.names if self[name].writable]

    def upstream(self) -> NodeName | None:
        """Where standbys stream from: the running server of the highest timeline, not frozen."""
        running = [n for n in self.names if self[n].process == UP and not self[n].recovery]
        return max(running, key=lambda n: self[n].timeline, default=None)

    def streams(self, name: NodeName) -> bool:
        server, upstream = self[name], self.upstream()
        return (
            upstream is not None
            and server.process == UP
            and server.recovery
            and not server.frozen
            and not server.guard
            and server.timeline == self[upstream].timeline
        )


def beginning(standbys: int = 2) -> World:
    return World((Server(recovery=False), *(Server() for _ in range(standbys))))


def policies(world: World) -> dict[NodeName, NodePolicy]:
    return {name: NodePolicy(f"10.0.0.{n}") for n, name in enumerate(world.names, 1)}


# How the world is seen.


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
        receiver = Receiver("streaming", f"10.0.0.{NAMES.index(upstream) + 1}", 5432, 0.0)
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
        control_state=_control(server),
        control_timeline=Timeline(server.timeline),
        checkpoint_lsn=Lsn(server.position),
        processes=((1, "S"), (2, "S")) if runs else (),
        postmaster_pid=1 if runs else None,
        postmaster_started="1",
        listener=runs,
        guard=Guard.OURS if server.guard else Guard.NONE,
        guard_epoch=Epoch(server.guard) if server.guard else None,
        epoch=Epoch(server.epoch),
    )


def _control(server: Server) -> ControlState:
    if server.process == CLEAN:
        return ControlState.SHUT_DOWN
    return ControlState.IN_ARCHIVE_RECOVERY if server.recovery else ControlState.IN_PRODUCTION


# What effects do: the world after, and what is answered.


def performed(world: World, effect: Effect, now: Instant) -> tuple[World, Result]:
    match effect:
        case Salvage():
            return world, NotConfigured(SAID)
        case Redirect():
            return world, Redirected(SAID)
        case Promote():
            return _promoted(world, effect, now)
        case Confirm(candidate=name, old_timeline=old):
            server = world[name]
            if server.answers and not server.recovery and server.timeline > old:
                log = ("selected new timeline",)
                timeline = Timeline(server.timeline)
                lsn = Lsn(server.position)
                return world, Confirmed(timeline, lsn, False, log, "", SAID)
            return world, FAILED
        case _:
            server = world[effect.node]
            if not server.host or effect.epoch < server.epoch:
                return world, FAILED
            world = world.having(effect.node, replace(server, epoch=effect.epoch))
            return _on_host(world, effect, now)


def _on_host(
    world: World, effect: Fence | ReadSettings | Freeze | Thaw | Unguard | Unfence, now: Instant
) -> tuple[World, Result]:
    server = world[effect.node]
    match effect:
        case Fence():
            return _fenced(world, effect, now)
        case ReadSettings():
            if server.process != UP:
                return world, FAILED
            return world, SettingsRead(FREEZE if server.frozen else OWN, SAID)
        case Freeze(node=node, epoch=epoch, saved=saved):
            if server.process != UP or not server.recovery:
                return world, FAILED
            frozen = Frozen(node, Lsn(server.position), Timeline(server.timeline), saved)
            return world.having(node, replace(server, frozen=epoch)), FrozenAt(frozen, SAID)
        case Thaw(node=node):
            if server.process != UP:
                return world, FAILED
            return world.having(node, replace(server, frozen=0)), Thawed(SAID)
        case Unguard(node=node):
            guard = 0 if server.guard == effect.epoch else server.guard
            return world.having(node, replace(server, guard=guard)), Unguarded(SAID)
        case Unfence(node=node):
            started = replace(server, guard=0, process=UP, recovery=False)
            return world.having(node, started), Unfenced(SAID)


def _fenced(world: World, effect: Fence, now: Instant) -> tuple[World, Result]:
    server = world[effect.node]
    held_down = server.process == UP and server.recovery and server.guard
    if not held_down:
        if effect.mode is StopMode.IMMEDIATE and server.process == UP and not server.recovery:
            return world, StillAlive(SAID)
        if effect.mode is StopMode.DEAD_ONLY and server.process in (UP, HUNG):
            return world, StillAlive(SAID)
        clean = effect.mode is StopMode.FAST and server.process == UP
        stopped = server.process if server.process in (DEAD, CLEAN) else CLEAN if clean else DEAD
        if clean:
            world = _everything_sent(world, effect.node)
        server = replace(server, process=stopped, guard=effect.epoch)
        world = world.having(effect.node, server)
    else:
        server = replace(server, guard=effect.epoch)
        world = world.having(effect.node, server)
    state = _control(server)
    checkpoint = Lsn(server.position) if state is ControlState.SHUT_DOWN else None
    proof = FenceProof(ProofKind.STOPPED, effect.node, effect.epoch, now, state, checkpoint, SAID)
    return world, Fenced(proof)


def _everything_sent(world: World, name: NodeName) -> World:
    """A clean stop sends its shutdown checkpoint to whoever streams."""
    beyond = world[name].position + 1
    for standby in world.names:
        if world.streams(standby):
            world = world.having(standby, replace(world[standby], position=beyond))
    return world


def half_fenced(world: World, effect: Fence) -> World:
    """The guard is laid and the server was not stopped."""
    server = world[effect.node]
    if not server.host or effect.epoch < server.epoch:
        return world
    return world.having(effect.node, replace(server, guard=effect.epoch, epoch=effect.epoch))


def _promoted(world: World, effect: Promote, now: Instant) -> tuple[World, Result]:
    old, server = world[effect.proof.node], world[effect.candidate]
    if old.answers and not old.recovery:
        return world, StillAlive(SAID)
    if not server.answers or now - effect.proof.proved_at > PROOF_LIFETIME_S:
        return world, FAILED
    if not server.recovery:
        return world, Promoted(SAID)
    if server.frozen != effect.epoch or Lsn(server.position) < effect.position:
        return world, FAILED
    timeline = max(s.timeline for s in world.servers) + 1
    new = replace(server, recovery=False, timeline=timeline)
    return world.having(effect.candidate, new), Promoted(SAID)
