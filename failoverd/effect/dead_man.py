"""Arm the dead-man on the primary's host, and disarm it. Renewing it is daemon/renewals.py."""

from __future__ import annotations

from failoverd.core.dead_man import FIRED, HOLD_S, ArmedFor, Reading
from failoverd.core.effects import ArmDeadMan, DisarmDeadMan
from failoverd.core.events import (
    STALE_EPOCH,
    DeadManArmed,
    DeadManDisarmed,
    EffectFailed,
)
from failoverd.core.model import Instant, NodeName
from failoverd.effect.world import (
    EXIT_STALE_EPOCH,
    HostClock,
    Node,
    Runs,
    World,
    act,
    clock_in,
    look,
    why,
)
from failoverd.transport.host import HostAnswer

ARM_LIMIT_S = 10.0
"""The host gives its watcher 3 s, and takes turns with others for 4 s."""
DISARM_LIMIT_S = 2.0


async def watch_over(
    effect: ArmDeadMan | DisarmDeadMan, world: World
) -> DeadManArmed | DeadManDisarmed | EffectFailed:
    """As it is asked."""
    match effect:
        case ArmDeadMan():
            return await arm(effect, world)
        case DisarmDeadMan():
            return await disarm(effect, world)


async def arm(effect: ArmDeadMan, world: World) -> DeadManArmed | EffectFailed:
    """Acknowledged only once the watcher looks and its own session has answered."""
    runs = Runs()
    node = world.nodes[effect.node]
    asked_at = world.boottime()
    answer, facts = await look(world, node, runs)
    answered_at = world.boottime()
    if facts is None:
        return EffectFailed("not_armed", runs.evidence(f"its host: {why(answer)}"))
    reading = Reading(facts.boot_id, facts.uptime_s, asked_at, answered_at)
    more = {
        "sent": centiseconds(facts.uptime_s),
        "ttl": centiseconds(effect.ttl_s),
        "hold": centiseconds(HOLD_S),
        "standbys": "\n".join(sorted({_called(name, world) for name in effect.standbys})),
    }
    clock = clock_in(facts)
    answer = runs.add(
        await act(world, node, "dead_man_arm", clock, effect.epoch, more, ARM_LIMIT_S)
    )
    armed_for = life(answer)
    if not answer.done or armed_for is None:
        reason = STALE_EPOCH if answer.exit_status == EXIT_STALE_EPOCH else "not_armed"
        return EffectFailed(reason, runs.evidence(f"it is not armed: {why(answer)}"))
    sentence = f"the dead-man watches the server that was started as {armed_for.postmaster_pid}"
    return DeadManArmed(answer.field("arming"), armed_for, reading, runs.evidence(sentence))


async def disarm(effect: DisarmDeadMan, world: World) -> DeadManDisarmed | EffectFailed:
    """Whatever is armed there does not fire any more; or it has."""
    runs = Runs()
    node = world.nodes[effect.node]
    answer = await _disarm(effect, world, node, runs)
    if answer.done:
        return DeadManDisarmed(runs.evidence(f"nothing is armed on {node.name} any more"))
    reason = "not_disarmed"
    if answer.exit_status == EXIT_STALE_EPOCH:
        reason = STALE_EPOCH
    elif answer.field("verdict") == FIRED:
        reason = FIRED
    return EffectFailed(reason, runs.evidence(f"it could not be disarmed: {why(answer)}"))


async def _disarm(effect: DisarmDeadMan, world: World, node: Node, runs: Runs) -> HostAnswer:
    """After a look that reads nothing of the data directory, whose disk may hang."""
    asked_at = world.monotonic()
    arguments = world.arguments(node)
    answer = runs.add(await node.host.call("dead_man_status", arguments, timeout_s=DISARM_LIMIT_S))
    now = reading(answer, asked_at, world.monotonic())
    if now is None or not answer.done:
        return answer  # nothing is armed there, or nobody knows
    clock = HostClock(now.boot_id, now.uptime_s, asked_at)
    return runs.add(
        await act(world, node, "dead_man_disarm", clock, effect.epoch, {}, DISARM_LIMIT_S)
    )


def _called(name: NodeName, world: World) -> str:
    """Its application_name, as the primary knows it."""
    return world.memory.application_names.get(name, name)


def life(answer: HostAnswer) -> ArmedFor | None:
    """Which life of which server an answer says that it is armed for."""
    pid = answer.number("armed_postmaster_pid")
    boot_id, started = answer.field("armed_boot_id"), answer.field("armed_postmaster_started")
    if not (boot_id and started and pid is not None):
        return None
    return ArmedFor(boot_id, pid, started.strip())


def reading(answer: HostAnswer, asked_at: Instant, answered_at: Instant) -> Reading | None:
    """The host's clock, as an answer told it."""
    try:
        uptime_s = answer.seconds("uptime")
    except ValueError:
        return None
    return Reading(answer.field("boot_id"), uptime_s, asked_at, answered_at)


def centiseconds(seconds: float) -> str:
    """As the host program counts, and never later."""
    return str(int(seconds * 100))
