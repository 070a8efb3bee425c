"""What stops a node and keeps it down, and what proves that: by its host, an agent, a dead-man."""

from __future__ import annotations

from dataclasses import replace

from failoverd.core.dead_man import FIRED, ArmedFor, Arming, Phase, Reading
from failoverd.core.effects import ArmDeadMan, DisarmDeadMan, Fence, KeepDown, Quarantine, StopMode
from failoverd.core.events import (
    DEAD_MAN_VOID,
    DeadManArmed,
    DeadManDisarmed,
    EffectFailed,
    Fenced,
    KeptDown,
    Quarantined,
    Result,
    StillAlive,
)
from failoverd.core.model import ControlState, FenceProof, Instant, Lsn, NodeName, ProofKind
from tests.explore.sight import control
from tests.explore.world import CLEAN, DEAD, FAILED, HUNG, SAID, UP, Server, World


def fenced(world: World, effect: Fence, now: Instant) -> tuple[World, Result]:
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
    state = control(server)
    checkpoint = Lsn(server.position) if state is ControlState.SHUT_DOWN else None
    proof = FenceProof(ProofKind.STOPPED, effect.node, effect.epoch, now, state, checkpoint, SAID)
    return world, Fenced(proof)


def powered_off(world: World, effect: Fence, now: Instant) -> tuple[World, Result]:
    """No guard is left behind: whoever turns it on again has a primary."""
    off = replace(world[effect.node], process=DEAD)
    unknown = ControlState.UNKNOWN
    proof = FenceProof(ProofKind.POWERED_OFF, effect.node, effect.epoch, now, unknown, None, SAID)
    return world.having(effect.node, off), Fenced(proof)


def expired(world: World, effect: Fence, now: Instant, armed: Arming) -> tuple[World, Result]:
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


def half_fenced(world: World, effect: Fence) -> World:
    """The guard is laid and the server was not stopped."""
    server = world[effect.node]
    if not server.host or effect.epoch < server.epoch:
        return world
    return world.having(effect.node, replace(server, guard=effect.epoch, epoch=effect.epoch))


def quarantined(world: World, effect: Quarantine) -> tuple[World, Result]:
    server = world[effect.node]
    under_guard = server.process == UP and server.recovery and server.guard
    process = UP if under_guard else _ended(server)
    held = replace(server, process=process, guard=effect.epoch)
    return world.having(effect.node, held), Quarantined(SAID)


def kept_down(world: World, effect: KeepDown) -> tuple[World, Result]:
    server = world[effect.node]
    if not server.guard or (server.process == UP and not server.recovery):
        return world, FAILED
    return world.having(effect.node, replace(server, process=_ended(server))), KeptDown(SAID)


def _ended(server: Server) -> str:
    return DEAD if server.process in (UP, HUNG) else server.process


def armed_on(world: World, effect: ArmDeadMan, now: Instant) -> tuple[World, Result]:
    node, server = effect.node, world[effect.node]
    if server.process != UP or server.recovery or server.guard:
        return world, FAILED
    armed = replace(server, dead_man=effect.epoch, fired=False)
    life, reading = ArmedFor("boot", 1, "1"), Reading("boot", 1.0, now, now)
    return world.having(node, armed), DeadManArmed(f"at {now}", life, reading, SAID)


def disarmed(world: World, effect: DisarmDeadMan) -> tuple[World, Result]:
    server = world[effect.node]
    if server.fired:
        return world, EffectFailed(FIRED, SAID)
    return world.having(effect.node, replace(server, dead_man=0)), DeadManDisarmed(SAID)


def _everything_sent(world: World, name: NodeName) -> World:
    """A clean stop sends its shutdown checkpoint to whoever streams."""
    beyond = world[name].position + 1
    for standby in world.names:
        if world.streams(standby):
            world = world.having(standby, replace(world[standby], position=beyond))
    return world
