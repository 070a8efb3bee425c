"""A small world: one primary and its standbys, and what each effect does to them.

Everything is a value, so that a state of the world can be compared and returned to. An
effect keeps the promises of the real one: it looks before it acts, carries its epoch,
and may be done although its answer is lost.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

from failoverd.core.dead_man import FIRED, ArmedFor, Arming, Phase, Reading
from failoverd.core.divergence import Divergence
from failoverd.core.effects import (
    ArmDeadMan,
    Checkpoint,
    CloseTarget,
    Confirm,
    DisarmDeadMan,
    Effect,
    Equip,
    Fence,
    Freeze,
    KeepDown,
    MeasureDivergence,
    MeasureLoss,
    Promote,
    Quarantine,
    ReadSettings,
    Redirect,
    Rejoin,
    Repoint,
    Retire,
    Salvage,
    StopMode,
    Thaw,
    Unfence,
    Unguard,
)
from failoverd.core.events import (
    DEAD_MAN_VOID,
    FROZEN_ALREADY,
    REJOIN_FAILED,
    STALE_EPOCH,
    Confirmed,
    DeadManArmed,
    DeadManDisarmed,
    DivergenceMeasured,
    EffectFailed,
    Equipped,
    Fenced,
    FrozenAt,
    KeptDown,
    NotConfigured,
    Promoted,
    Quarantined,
    Redirected,
    Repointed,
    Result,
    Retired,
    SettingsRead,
    StillAlive,
    TargetClosed,
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
    SavedSettings,
    ServerFacts,
    SystemIdentifier,
    Timeline,
    WalEnd,
    WalLoss,
)
from failoverd.core.policy import NodePolicy
from failoverd.core.replication import Receiver, Sender
from failoverd.core.schedule import Checkpointed, Rejoined, Rejoining
from failoverd.core.wal_answers import LossMeasured, NotSalvaged, Salvaged

SYSTEM = SystemIdentifier("7000000000000000001")
OWN = SavedSettings((("primary_conninfo", "host=upstream"),))
FREEZE = SavedSettings((("primary_conninfo", ""),))
"""What `ReadSettings` finds on a standby that is frozen already: must never be kept."""
SAID = Evidence("said by the world")
UP, HUNG, DEAD, CLEAN = "up", "hung", "dead", "clean"
NAMES = tuple(NodeName(name) for name in ("pg1", "pg2", "pg3"))
FAILED = EffectFailed("unknown", Evidence("no answer"))
STALE = EffectFailed(STALE_EPOCH, SAID)
TAKEN = EffectFailed(FROZEN_ALREADY, SAID)


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
    owner: int = 0
    """Of that epoch: which daemon has taken it; 0 where there is but one daemon."""
    timeline: int = 1
    position: int = 100
    follows: str = "pg1"
    """Whom its own settings lead to."""
    dead_man: int = 0
    """The epoch of the dead-man that watches it; 0: none."""
    fired: bool = False

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
    agent: bool = False
    """Whether a fence agent can turn hosts off that nobody reaches."""
    leads_to: str = ""
    """Where the applications' way leads; empty: it is closed."""

    def __getitem__(self, name: NodeName) -> Server:
        return self.servers[NAMES.index(name)]

    def having(self, name: NodeName, server: Server) -> World:
        at = NAMES.index(name)
        return replace(self, servers=(*self.servers[:at], server, *self.servers[at + 1 :]))

    @property
    def names(self) -> tuple[NodeName, ...]:
        return NAMES[: len(self.servers)]

    def fires(self, name: NodeName) -> World:
        """Its dead-man ends it, with a guard of its own epoch."""
        server = self[name]
        guard = server.guard or server.dead_man
        process = DEAD if server.process in (UP, HUNG) else server.process
        return self.having(
            name, replace(server, process=process, guard=guard, dead_man=0, fired=True)
        )

    def somebody_answers(self, name: NodeName) -> bool:
        """Some standby still streams from it, so that its dead-man is answered."""
        return self.upstream() == name and any(self.streams(other) for other in self.names)

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
            and server.follows == upstream
            and server.timeline == self[upstream].timeline
        )


def beginning(standbys: int = 2, *, agent: bool = False) -> World:
    return World((Server(recovery=False), *(Server() for _ in range(standbys))), agent)


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


def address_of(name: str) -> str:
    return f"10.0.0.{NAMES.index(NodeName(name)) + 1}"


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
        dead_man=FIRED if server.fired else "armed" if server.dead_man else "",
    )


def _control(server: Server) -> ControlState:
    if server.process == CLEAN:
        return ControlState.SHUT_DOWN
    return ControlState.IN_ARCHIVE_RECOVERY if server.recovery else ControlState.IN_PRODUCTION


# What effects do: the world after, and what is answered.


def performed(  # noqa: C901, PLR0911, PLR0912 - one for each effect
    world: World, effect: Effect, now: Instant, armed: Arming | None = None, owner: int = 0
) -> tuple[World, Result]:
    """`armed`: what this daemon process knows of its dead-man. `owner`: which of two daemons."""
    match effect:
        case Salvage(source=None):
            return world, NotConfigured(SAID)
        case Salvage():
            return _salvaged(world, effect)
        case MeasureLoss(node=name):
            lost = WalLoss(0, True, "nothing")
            return world, LossMeasured(lost, SAID) if world[name].host else FAILED
        case Redirect(primary=primary, target=target):
            return replace(world, leads_to=primary if target else ""), Redirected(SAID)
        case CloseTarget():
            return replace(world, leads_to=""), TargetClosed(SAID)
        case Equip():
            return world, Equipped(SAID) if world[effect.node].answers else FAILED
        case MeasureDivergence():
            return world, _measured(world, effect)
        case Promote(candidate=node) | Unfence(node=node) if owner and _others_serve(world, node):
            # Of a single daemon that look is taken to be blind: the worst case.
            return world, StillAlive(SAID) if isinstance(effect, Promote) else FAILED
        case Promote():
            return _promoted(world, effect, now)
        case Checkpoint(node=name):
            served = world[name].answers and not world[name].recovery
            return world, Checkpointed(SAID) if served else FAILED
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
            if isinstance(effect, Fence) and world.agent and not server.host:
                return _powered_off(world, effect, now)
            if isinstance(effect, Fence) and armed is not None and not server.host:
                return _expired(world, effect, now, armed)
            if not server.host:
                return world, FAILED
            if isinstance(effect, ReadSettings):
                taken = owner and server.process == UP and server.frozen
                return (world, TAKEN) if taken else _on_host(world, effect, now)
            if effect.epoch < server.epoch or (
                effect.epoch == server.epoch and server.owner not in (0, owner)
            ):
                return world, STALE
            taken_by = owner if effect.epoch > server.epoch else server.owner
            taken = replace(server, epoch=effect.epoch, owner=taken_by)
            return _on_host(world.having(effect.node, taken), effect, now)


def _salvaged(world: World, effect: Salvage) -> tuple[World, Result]:
    """Over both hosts, and only into a standby that is frozen by this epoch."""
    assert effect.source is not None
    source, server = world[effect.source], world[effect.candidate]
    if not source.host or not server.answers or not server.recovery:
        return world, NotSalvaged(SAID)
    if server.frozen != effect.epoch:
        return world, NotSalvaged(SAID)
    position = max(server.position, source.position)
    end = WalEnd(Timeline(source.timeline), Lsn(position - 1), Lsn(position))
    world = world.having(effect.candidate, replace(server, position=position))
    return world, Salvaged(WalLoss(0, True, "nothing"), SAID, end)


def _measured(world: World, effect: MeasureDivergence) -> Result:
    server = world[effect.node]
    if not server.host or not world[effect.against].host:
        return FAILED
    running, fork = server.process in (UP, HUNG) and not server.recovery, Lsn(0)
    found = Divergence(effect.node, effect.against, effect.timeline, fork, 0, 0, True, running, ())
    return DivergenceMeasured(found, SAID)


def _on_host(  # noqa: C901, PLR0911, PLR0912 - a verb a case
    world: World,
    effect: Fence
    | ReadSettings
    | Freeze
    | Thaw
    | Unguard
    | Unfence
    | Quarantine
    | Repoint
    | Retire
    | ArmDeadMan
    | DisarmDeadMan
    | KeepDown
    | Rejoin,
    now: Instant,
) -> tuple[World, Result]:
    server = world[effect.node]
    match effect:
        case Quarantine() | KeepDown():
            return _kept_out(world, effect)
        case Rejoin():
            return _rejoined(world, effect)
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
        case Retire(node=node, timeline=timeline):
            if not server.recovery or server.timeline > timeline:
                return world, FAILED
            return world.having(node, replace(server, process=DEAD)), Retired(SAID)
        case Repoint(node=node, upstream=upstream):
            if server.process != UP or not server.recovery:
                return world, FAILED
            # What it holds of the old timeline was received before that forked off.
            timeline = max(server.timeline, world[upstream].timeline)
            told = replace(server, frozen=0, follows=upstream, timeline=timeline)
            return world.having(node, told), Repointed(SAID)
        case Unguard(node=node):
            guard = 0 if server.guard <= effect.epoch else server.guard
            return world.having(node, replace(server, guard=guard)), Unguarded(SAID)
        case ArmDeadMan() | DisarmDeadMan():
            return _watched_over(world, effect, now)
        case Unfence(node=node):
            started = replace(server, guard=0, process=UP, recovery=False)
            return world.having(node, started), Unfenced(SAID)


def _watched_over(
    world: World, effect: ArmDeadMan | DisarmDeadMan, now: Instant
) -> tuple[World, Result]:
    node, server = effect.node, world[effect.node]
    match effect:
        case ArmDeadMan(epoch=epoch):
            if server.process != UP or server.recovery or server.guard:
                return world, FAILED
            armed = replace(server, dead_man=epoch, fired=False)
            life, reading = ArmedFor("boot", 1, "1"), Reading("boot", 1.0, now, now)
            return world.having(node, armed), DeadManArmed(f"at {now}", life, reading, SAID)
        case DisarmDeadMan():
            if server.fired:
                return world, EffectFailed(FIRED, SAID)
            return world.having(node, replace(server, dead_man=0)), DeadManDisarmed(SAID)


def _kept_out(world: World, effect: Quarantine | KeepDown) -> tuple[World, Result]:
    server = world[effect.node]
    match effect:
        case Quarantine(node=node, epoch=epoch):
            under_guard = server.process == UP and server.recovery and server.guard
            process = (
                UP if under_guard else DEAD if server.process in (UP, HUNG) else server.process
            )
            quarantined = replace(server, process=process, guard=epoch)
            return world.having(node, quarantined), Quarantined(SAID)
        case KeepDown(node=node):
            if not server.guard or (server.process == UP and not server.recovery):
                return world, FAILED
            stopped = DEAD if server.process in (UP, HUNG) else server.process
            return world.having(node, replace(server, process=stopped)), KeptDown(SAID)


def _rejoined(world: World, effect: Rejoin) -> tuple[World, Result]:
    """It starts as a standby or not at all; of what it had written alone nothing is left."""
    server, source = world[effect.node], world[effect.primary]
    if server.process in (UP, HUNG) and not server.recovery:
        return world, EffectFailed(REJOIN_FAILED, SAID)
    if not source.answers or source.recovery:
        return world, Rejoining(False, SAID)
    back = replace(
        server, process=UP, recovery=True, guard=0, frozen=0, follows=effect.primary,
        timeline=source.timeline, position=source.position,
    )  # fmt: skip
    return world.having(effect.node, back), Rejoined(SAID)


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


def _powered_off(world: World, effect: Fence, now: Instant) -> tuple[World, Result]:
    """No guard is left behind: whoever turns it on again has a primary."""
    off = replace(world[effect.node], process=DEAD)
    unknown = ControlState.UNKNOWN
    proof = FenceProof(ProofKind.POWERED_OFF, effect.node, effect.epoch, now, unknown, None, SAID)
    return world.having(effect.node, off), Fenced(proof)


def _expired(world: World, effect: Fence, now: Instant, armed: Arming) -> tuple[World, Result]:
    """Waited for: by then whoever is armed, and cannot be answered, has ended it."""
    counts = armed.phase is Phase.ARMED and armed.node == effect.node
    if not counts:
        return world, EffectFailed(DEAD_MAN_VOID, SAID)
    named = [world[name] for name in armed.standbys]
    if not all(one.answers and one.recovery and one.frozen == effect.epoch for one in named):
        return world, FAILED
    if world[effect.node].dead_man:
        world = world.fires(effect.node)
    elif world[effect.node].process == HUNG:
        raise AssertionError(f"{effect.node} counts as armed, and nothing is armed there")
    kind, unknown = ProofKind.DEAD_MAN_EXPIRED, ControlState.UNKNOWN
    return world, Fenced(FenceProof(kind, effect.node, effect.epoch, now, unknown, None, SAID))


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


def _others_serve(world: World, but: NodeName) -> bool:
    """The last look, at every node."""
    return any(world[n].answers and not world[n].recovery for n in world.names if n != but)


def _promoted(world: World, effect: Promote, now: Instant) -> tuple[World, Result]:
    old, server = world[effect.proof.node], world[effect.candidate]
    if old.answers and not old.recovery:
        return world, StillAlive(SAID)
    if not server.answers or now - effect.proof.proved_at > PROOF_LIFETIME_S:
        return world, FAILED
    if not server.recovery:
        return world, Promoted(SAID)
    if server.frozen != effect.epoch or Lsn(server.position) < effect.position:
        return world, EffectFailed("refused", SAID)
    timeline = max(s.timeline for s in world.servers) + 1
    new = replace(server, recovery=False, timeline=timeline)
    return world.having(effect.candidate, new), Promoted(SAID)
