"""Arm the dead-man and disarm it; and the rung that waits until it must have fired."""

from __future__ import annotations

from typing import TYPE_CHECKING

from failoverd.core.arming import is_life
from failoverd.core.dead_man import FIRED, ArmedFor, DeadMan, Reading, Window, window
from failoverd.core.effects import ArmDeadMan, DisarmDeadMan, Fence, StopMode
from failoverd.core.events import (
    STALE_EPOCH,
    DeadManArmed,
    DeadManDisarmed,
    StillAlive,
)
from failoverd.core.leadership import frozen_slot
from failoverd.core.model import (
    ControlState,
    Evidence,
    FenceProof,
    Instant,
    NodeName,
    Outcome,
    ProofKind,
)
from failoverd.effect.fence.dead_man import BEFORE_IT_OPENS_S, LOOK_AT_HOST_S, LOOK_EVERY_S
from failoverd.effect.rung import FROZEN_WITHIN_S
from tests.sim.act import STALE_EPOCH as EXIT_STALE_EPOCH
from tests.sim.act import Act
from tests.sim.conduct.on_host import ACT_LIFETIME_S, failed, look_at, serves
from tests.sim.kernel import Steps
from tests.sim.reach import Heard, call, session_outcome

if TYPE_CHECKING:
    from tests.sim.daemon import Daemon

ARM_LIMIT_S = 10.0
DISARM_LIMIT_S = 2.0
VOID = "void"


def watch_over(d: Daemon, effect: ArmDeadMan | DisarmDeadMan) -> Steps:
    return (yield from _arm(d, effect) if isinstance(effect, ArmDeadMan) else _disarm(d, effect))


def _act(d: Daemon, effect: ArmDeadMan | DisarmDeadMan, boot: str, uptime_s: float) -> Act:
    verb = "dead_man_arm" if isinstance(effect, ArmDeadMan) else "dead_man_disarm"
    system = d.machine.memory.system_identifier or ""
    expires = uptime_s + ACT_LIFETIME_S
    standbys = tuple(sorted(effect.standbys)) if isinstance(effect, ArmDeadMan) else ()
    ttl_s = effect.ttl_s if isinstance(effect, ArmDeadMan) else 0.0
    return Act(verb, system, d.owner, effect.epoch, boot, expires, standbys=standbys, ttl_s=ttl_s,
               sent=int(uptime_s * 100) / 100)  # fmt: skip


def _arm(d: Daemon, effect: ArmDeadMan) -> Steps:
    asked_at = Instant(d.monotonic())
    heard, facts = yield from look_at(d, effect.node)
    answered_at = Instant(d.monotonic())
    if facts is None:
        return failed("not_armed", heard.why)
    reading = Reading(facts.boot_id, facts.uptime_s, asked_at, answered_at)
    act = _act(d, effect, facts.boot_id, facts.uptime_s)
    heard = yield from call(d.world, d.name, effect.node, act, ARM_LIMIT_S)
    if not heard.done or heard.answer is None:
        return failed(_reason(heard, "not_armed"), heard.why)
    name, armed_for = heard.answer.fields["arming"], heard.answer.fields["armed_for"]
    assert isinstance(name, str)
    assert isinstance(armed_for, ArmedFor)
    return DeadManArmed(name, armed_for, reading, Evidence("armed"))


def _disarm(d: Daemon, effect: DisarmDeadMan) -> Steps:
    heard, facts = yield from look_at(d, effect.node, DISARM_LIMIT_S)
    if facts is None:
        return failed("not_disarmed", heard.why)
    act = _act(d, effect, facts.boot_id, facts.uptime_s)
    heard = yield from call(d.world, d.name, effect.node, act, DISARM_LIMIT_S)
    if heard.done:
        return DeadManDisarmed(Evidence("nothing is armed there any more"))
    return failed(_reason(heard, "not_disarmed"), heard.why)


def _reason(heard: Heard, otherwise: str) -> str:
    if heard.answer is None:
        return otherwise
    if heard.answer.status == EXIT_STALE_EPOCH:
        return STALE_EPOCH
    return FIRED if heard.answer.reason == FIRED else otherwise


# The rung: effect/fence/dead_man.py.

NoProof = tuple[str, str]


def expiry(d: Daemon, effect: Fence) -> Steps:
    """A proof of kind `dead_man_expired`, waited for; or why there is none."""
    node = effect.node
    if effect.mode is not StopMode.FAST and (yield from serves(d, node)):
        return StillAlive(Evidence(f"{node} answers again"))
    assert d.life is not None
    dead_man: DeadMan | None = d.life.renewing.counted_on(d)
    if dead_man is None or d.machine.memory.primary != node:
        return ("no arming is acknowledged to this daemon", VOID)
    last_seen = _last_seen(d, dead_man, node)
    if last_seen is None:
        return ("it was armed for another boot, or another start", VOID)
    frozen: dict[NodeName, Instant] | NoProof = yield from _frozen(d, dead_man, effect)
    if isinstance(frozen, tuple):
        return frozen
    found = window(dead_man, last_seen, frozen)
    opens = None if found is None else found.opens(Instant(d.monotonic()))
    if found is None or opens is None:
        return ("it may have disarmed itself", VOID)
    waited: StillAlive | NoProof | None = yield from _wait(d, opens, effect)
    if waited is not None:
        return waited
    return (yield from _proof(d, dead_man, found, effect))


def _last_seen(d: Daemon, dead_man: DeadMan, node: NodeName) -> ArmedFor | None:
    known = d.machine.memory.calibrations.get(node)
    if known is None or known.boot_id != dead_man.armed_for.boot_id:
        return None
    server = d.machine.view.report(node).last_server
    return dead_man.armed_for if is_life(dead_man.armed_for, server) else None


def _frozen(d: Daemon, dead_man: DeadMan, effect: Fence) -> Steps:
    assert d.life is not None
    deadline = d.monotonic() + FROZEN_WITHIN_S
    while True:
        asked_at = Instant(d.monotonic())
        moving: str = yield from _moving(d, dead_man, effect)
        if not moving:
            kept = d.life.frozen_at
            return {n: kept.get((n, effect.epoch), asked_at) for n in dead_man.standbys}
        if d.monotonic() >= deadline:
            return (f"{moving}, and could answer its dead-man", "")
        yield LOOK_EVERY_S


def _moving(d: Daemon, dead_man: DeadMan, effect: Fence) -> Steps:
    """Who could still answer; empty: every named standby is reached and frozen by us."""
    for name in sorted(dead_man.standbys):
        outcome = session_outcome(d, name)
        yield d.policy.timeout_s if outcome is Outcome.TIMED_OUT else 0.004
        server = d.world.server(name)
        if session_outcome(d, name) is not Outcome.OK:
            return f"{name} does not answer"
        slot = frozen_slot(effect.epoch, d.owner)
        still = server.recovery and server.slot == slot and server.stream is None
        if not still or server.system != d.machine.memory.system_identifier:
            return f"{name} is not frozen"
    return ""


def _wait(d: Daemon, opens: Instant, effect: Fence) -> Steps:
    """Until the proof can be had. Whoever can be reached again needs none of this kind."""
    while (left := opens - BEFORE_IT_OPENS_S - d.monotonic()) > 0:
        began = d.monotonic()
        served = yield from serves(d, effect.node)
        heard: Heard = yield from call(d.world, d.name, effect.node, Act("status"), LOOK_AT_HOST_S)
        yield max(0.001, min(left, LOOK_AT_HOST_S) - (d.monotonic() - began))
        if served and effect.mode is not StopMode.FAST:
            return StillAlive(Evidence(f"{effect.node} answers again: it is left alone"))
        if heard.done:
            return ("its host answers again: the first rung can do better", "")
    served = yield from serves(d, effect.node)
    yield max(0.001, opens - d.monotonic())
    return ("it should have ended, and something answers there", "") if served else None


def _proof(d: Daemon, dead_man: DeadMan, found: Window, effect: Fence) -> Steps:
    moving: str = yield from _moving(d, dead_man, effect)
    if moving:
        return (f"{moving} any more, and could answer its dead-man", "")
    if not found.holds(Instant(d.monotonic())):
        return ("its time is over", VOID)
    d.world.happened("expired", (d.world.server(effect.node), d))
    return FenceProof(
        ProofKind.DEAD_MAN_EXPIRED, effect.node, effect.epoch, Instant(d.monotonic()),
        ControlState.UNKNOWN, None, Evidence(f"nobody has renewed the dead-man of {effect.node}"),
    )  # fmt: skip
