"""What the host program does for a dead-man (host_program/dead_man.sh): arm, renew, disarm."""

from __future__ import annotations

from collections.abc import Callable

from failoverd.core.dead_man import FIRED, HOLD_S
from failoverd.core.model import Guard
from tests.sim.act import DONE, EXPIRED, NOT_DONE, STALE_EPOCH, Act, Answer
from tests.sim.kernel import Steps
from tests.sim.postgres import Host
from tests.sim.watcher import Watcher, armed_for, watches
from tests.sim.world import World


def armed(world: World, host: Host, act: Act) -> Steps:
    """Acknowledged only once the watcher looks and its own session has answered."""
    server = host.server
    if server.guard is not Guard.NONE or not server.serving(world.now) or server.recovery:
        return Answer(NOT_DONE, "no primary by right runs there")
    earlier = _of_this_boot(host)
    if earlier is not None and act.epoch < earlier.epoch:
        return Answer(STALE_EPOCH, f"epoch {act.epoch} is older than {earlier.epoch}")
    if earlier is not None and not earlier.ended:
        earlier.ended = "disarmed"
    now = host.uptime(world.now)
    watcher = Watcher(
        f"{host.name}-{world.now:.3f}", act.epoch, host.boot, armed_for(host), act.standbys,
        act.ttl_s, HOLD_S, renewed=min(act.sent, now), beat=now,
    )  # fmt: skip
    host.dead_man = watcher
    world.kernel.spawn(watches(world, host, watcher))
    yield world.random.uniform(0.05, 0.3)
    if not server.serving(world.now):
        watcher.ended = watcher.ended or "disarmed"
        return Answer(NOT_DONE, "it does not watch: it has no session with the server")
    world.tell(host.name, f"a dead-man is armed by {act.owner}, which asks {act.standbys}")
    return Answer(DONE, fields={"arming": watcher.name, "armed_for": watcher.armed_for})


def _of_this_boot(host: Host) -> Watcher | None:
    watcher = host.dead_man
    return watcher if watcher is not None and watcher.boot == host.boot else None


def _too_late(world: World, host: Host, act: Act) -> Answer | None:
    if act.boot != f"{host.name}-{host.boot}" or host.uptime(world.now) > act.expires:
        return Answer(EXPIRED, "the look that led here is too old, or of another boot")
    return None


def _renew(world: World, host: Host, act: Act) -> Answer:
    """What is renewed and whose watcher does not look is said not to be."""
    late, watcher, now = _too_late(world, host, act), _of_this_boot(host), host.uptime(world.now)
    if late is not None:
        return late
    if watcher is None:
        return Answer(NOT_DONE, "nothing is armed there")
    if act.epoch < watcher.epoch:
        return Answer(STALE_EPOCH, f"epoch {act.epoch} is older than {watcher.epoch}")
    if act.arming != watcher.name:
        return Answer(NOT_DONE, "that arming was taken over by another one")
    watcher.renewed = max(watcher.renewed, min(act.sent, now))
    if watcher.ended or not watcher.lives(host, now):
        return Answer(NOT_DONE, f"the dead-man {watcher.ended or 'does not watch'}")
    return Answer(DONE, fields={"armed_for": watcher.armed_for, "uptime": now})


def _disarm(world: World, host: Host, act: Act) -> Answer:
    """Once this is answered with status 0 it does not fire."""
    late, watcher = _too_late(world, host, act), _of_this_boot(host)
    if late is not None:
        return late
    if watcher is None:
        return Answer(DONE)
    if act.epoch < watcher.epoch:
        return Answer(STALE_EPOCH, f"epoch {act.epoch} is older than {watcher.epoch}")
    watcher.ended = watcher.ended or "disarmed"
    if watcher.ended == FIRED:
        return Answer(NOT_DONE, FIRED)
    world.tell(host.name, f"its dead-man is disarmed by {act.owner}")
    return Answer(DONE)


DEAD_MAN: dict[str, Callable[[World, Host, Act], Answer]] = {
    "dead_man_renew": _renew,
    "dead_man_disarm": _disarm,
}
"""No act of the data directory: they take no epoch, and wait for nobody's lock."""
