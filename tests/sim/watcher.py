"""The dead-man on a host of this world, as host_program/watcher.sh is one on a real host.

It is a process of its host: it looks every 0.2 s, asks when nobody renews it, and fires when no
named standby answers. Its clock is that of its boot. It decides nothing that the daemon decides.
"""

from __future__ import annotations

from dataclasses import dataclass, field

from failoverd.core.dead_man import ArmedFor
from failoverd.core.model import Guard, NodeName
from tests.sim.kernel import Steps
from tests.sim.postgres import Host, Server
from tests.sim.world import World

LOOK_S = 0.2
ASKED_FOR_S = 1.0
LOOKS_OWED = 3
OVERSLEPT_S = 1.0
BEAT_LIMIT_S = 2.0


@dataclass(slots=True, eq=False)
class Watcher:
    """Of one arming. Times are seconds of its host's boot."""

    name: str
    epoch: int
    boot: int
    armed_for: ArmedFor
    standbys: tuple[NodeName, ...]
    ttl_s: float
    hold_s: float
    renewed: float
    ended: str = ""
    """`fired` or `disarmed`; once."""
    beat: float = 0.0
    asking: bool = False
    woke: bool = False
    looks: int = 0
    since: float = 0.0
    first: float = 0.0
    proved: float = 0.0
    asked: list[float] = field(default_factory=list[float])
    """Questions that the server has not answered yet."""
    answers: list[tuple[float, int, int]] = field(default_factory=list[tuple[float, int, int]])
    """When each was sent, where its message ends, what the furthest named standby had flushed."""
    pending: list[tuple[float, int]] = field(default_factory=list[tuple[float, int]])

    def lives(self, host: Host, now: float) -> bool:
        return host.boot == self.boot and not self.ended and now - self.beat <= BEAT_LIMIT_S


def armed_for(host: Host) -> ArmedFor:
    server = host.server
    started = str(int(server.started_at))
    return ArmedFor(f"{host.name}-{host.boot}", server.life * 10, started)


def watches(world: World, host: Host, w: Watcher) -> Steps:
    """Until it has fired, is disarmed, or its host is turned off."""
    while host.up and host.boot == w.boot and not w.ended:
        if host.runs:
            now = host.uptime(world.now)
            if _is_due(world, host, w, now):
                yield from _fires(world, host, w)
                return
            w.beat = now
        yield LOOK_S


def _is_due(world: World, host: Host, w: Watcher, now: float) -> bool:
    _read(w)
    if now < w.renewed + w.ttl_s:
        w.asking = False
        return False
    overslept = now - w.beat > OVERSLEPT_S and (not w.woke or w.looks > LOOKS_OWED)
    if not w.asking or overslept:
        w.woke = w.asking and overslept
        w.asking, w.looks, w.proved, w.pending, w.first = True, 0, 0.0, [], now
        w.since = w.renewed + w.ttl_s if now - (w.renewed + w.ttl_s) <= 0.5 else now
    w.looks += 1
    known = max(w.since, w.proved)
    if now >= w.renewed + w.hold_s and now - w.proved < ASKED_FOR_S:
        w.ended = "disarmed"
        world.tell(host.name, "its dead-man disarms itself")
        return False
    if w.looks > LOOKS_OWED and now - known >= ASKED_FOR_S:
        return True
    _ask(world, host.server, w, now)
    return False


def _read(w: Watcher) -> None:
    """What was answered since the last look, in the order of the questions."""
    for sent, end, flushed in w.answers:
        if not w.asking or sent < w.first:
            continue
        left: list[tuple[float, int]] = []
        for message in (*w.pending, (sent, end)):
            if message[1] <= flushed:
                w.proved = message[0]
            else:
                left.append(message)
        w.pending = left
    w.answers = []


def _ask(world: World, server: Server, w: Watcher, now: float) -> None:
    """A WAL message, and what a named standby has flushed; by its own session on that host."""
    w.asked.append(now)
    if not server.serving(world.now) or world.hosts[server.name].disk_full:
        return
    for sent in w.asked:
        end = 0
        if not server.recovery:
            world.commit(server, "check local")
            world.release(server)
            end = len(server.wal)
        named = [server.flushed[n] for n in w.standbys if world.connected(server, n)]
        w.answers.append((sent, end, max(named, default=0)))
    w.asked = []


def _fires(world: World, host: Host, w: Watcher) -> Steps:
    """The guard, then SIGKILL; and for its time nothing comes up there without the guard."""
    w.ended = "fired"
    server = host.server
    world.happened("fired", (host, w))
    world.tell(host.name, "its dead-man fires")
    _lay_guard(world, host, w)
    yield 0.02 if server.standby_signal else 0.3
    while host.up and host.boot == w.boot and host.dead_man is w:
        if host.runs and server.processes and not _held_down(server):
            world.die(server)
            server.orphan = False
        if host.runs and not server.standby_signal:
            _lay_guard(world, host, w)
        if host.uptime(world.now) >= w.renewed + w.hold_s:
            return
        yield LOOK_S


def _held_down(server: Server) -> bool:
    return server.standby_signal and server.recovery


def _lay_guard(world: World, host: Host, w: Watcher) -> None:
    server = host.server
    if server.guard is Guard.NONE and not host.disk_full:
        server.marker, server.standby_signal = (w.epoch, "dead_man", world.now), True
