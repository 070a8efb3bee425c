"""What must hold of a dead-man: its proof is true, and it is armed and believed for a reason."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field

from failoverd.core.arming import renewed
from failoverd.core.model import NodeName
from failoverd.core.policy import Mode
from failoverd.core.states import Blocked, Paused
from tests.sim.daemon import Daemon
from tests.sim.postgres import Host, Server, Stream
from tests.sim.watcher import LOOK_S, Watcher, armed_for
from tests.sim.world import World

LET_GO_S = 25.0
"""So long a host is within reach before it counts that nothing was let go there."""
FIRES_AWAKE_S = 3.0
ROUND_TRIP_S = 0.01
KNOWN_S = 6.0
"""A renewal that is refused or unanswered by then tells what is armed, and what is not."""


@dataclass(frozen=True, slots=True)
class Slept:
    """A machine that stood still when its end was proved."""

    life: int
    watcher: Watcher | None
    excused: bool
    """Only since then is what it commits not held against anybody."""


@dataclass(slots=True)
class DeadMen:
    world: World
    fail: Callable[[str], None]
    since: dict[tuple[str, str, str], float] = field(
        default_factory=dict[tuple[str, str, str], float]
    )
    fired: int = 0
    slept: dict[NodeName, Slept] = field(default_factory=dict[NodeName, Slept])
    stood_still: dict[NodeName, float] = field(default_factory=dict[NodeName, float])
    awake: dict[NodeName, float] = field(default_factory=dict[NodeName, float])

    def counted_as_expired(self, d: Daemon, server: Server, *, excused: bool) -> None:
        """At the moment of the proof nothing may be committed there any more."""
        if self.world.now - self.stood_still.get(server.name, -9.0) < FIRES_AWAKE_S:
            # What it does between waking and firing is a known limit (docs/fencing.md).
            guarded, watcher = server.standby_signal, self.world.hosts[server.name].dead_man
            excused = not (guarded or server.powered_off)
            self.slept[server.name] = Slept(server.life, watcher, excused)
        elif server.may_commit() and not excused and not self._booted_unseen(d, server):
            self.fail(f"{d.name} takes {server.name} for ended by its dead-man, and it is not")
        if not server.standby_signal:
            # No guard lies there: whoever turns that host on again has a primary (rule 8).
            server.powered_off = True

    def _booted_unseen(self, d: Daemon, server: Server) -> bool:
        """Booted while nobody could see it, like a host that was turned off and on again."""
        host = self.world.hosts[server.name]
        facts = d.machine.view.report(server.name).host.facts
        seen = facts is not None and facts.boot_id == f"{host.name}-{host.boot}"
        return host.dead_man is not None and host.dead_man.boot != host.boot and not seen

    def fires(self, host: Host, w: Watcher) -> None:
        """Never beside a standby that receives what is committed there."""
        self.fired += 1
        server = host.server
        if not server.standby_signal and host.disk_full:
            server.powered_off = True
        for name in w.standbys:
            standby = self.world.server(name)
            stream = standby.stream
            hears = stream is not None and self._could_answer(stream)
            alive = server.serving(self.world.now) and self.world.streams(standby, server)
            back = self.world.passes(name, host.name) and not host.disk_full
            held = self.world.slow.get((name, host.name), 0.0) < 0.5
            if hears and alive and back and held and self._could_write(self.world.hosts[name]):
                self.fail(f"the dead-man of {host.name} fires, and {name} receives from it")

    def _could_answer(self, stream: Stream) -> bool:
        """Who came, or heard again, after the last question has not answered it yet."""
        now = self.world.now
        return now - stream.heard_at < 0.5 and now - stream.since > LOOK_S + ROUND_TRIP_S

    def _could_write(self, standby: Host) -> bool:
        """Since the last look but one: what arrived on a full disk had no answer."""
        return not standby.disk_full and self.world.now - standby.disk_freed_at > LOOK_S

    def sample(self, d: Daemon) -> None:
        """What is armed is let go where nobody would take over; what counts as armed watches."""
        hosts = self.world.hosts.values()
        for host in hosts:
            if host.paused:
                self.stood_still[host.name] = self.world.now
        self._woken()
        m = d.machine
        a = renewed(m)
        if a is None and not self.since and all(host.dead_man is None for host in hosts):
            return
        nobody = isinstance(m.state, Paused) or d.policy.mode is not Mode.AUTOMATIC
        nobody |= isinstance(m.state, Blocked) and m.state.returns_to is None
        for host in hosts:
            w = host.dead_man
            watching = w is not None and host.boot == w.boot and not w.ended
            if self._for(LET_GO_S, "armed", d, host, watching and nobody and not d.journal_fails):
                self.fail(
                    f"{d.name} leaves a dead-man armed on {host.name}, and takes nothing over"
                )
            false = a is not None and a.node == host.name
            if false and w is not None and watching:
                false = w.armed_for != armed_for(host) or w.name != a.name
            if self._for(KNOWN_S, "counted", d, host, false):
                self.fail(f"{d.name} counts on a dead-man of {host.name}, and none watches there")

    def _woken(self) -> None:
        """It fires within seconds; until then it is excused."""
        for name, slept in [*self.slept.items()]:
            host = self.world.hosts[name]
            if not (host.runs and host.server.life == slept.life and host.server.may_commit()):
                self.awake.pop(name, None)
            elif self._given_back(slept, host.server):
                self.awake.pop(name, None)
                del self.slept[name]
                host.server.powered_off &= not slept.excused
            elif self.world.now - self.awake.setdefault(name, self.world.now) > FIRES_AWAKE_S:
                self.fail(f"{name} has been awake for {FIRES_AWAKE_S:.0f} s, and is not ended")

    def _given_back(self, slept: Slept, server: Server) -> bool:
        """Found alive before anybody was asked to promote: nothing ends it, or excuses it, now."""
        servers = [one for one in self.world.servers() if one.system == server.system]
        others = [one for one in servers if one is not server]
        alone = not any(one.may_commit() or one.promote_at is not None for one in others)
        return alone and slept.watcher is not None and slept.watcher.ended == "disarmed"

    def _for(self, seconds: float, what: str, d: Daemon, host: Host, holds: bool) -> bool:  # noqa: FBT001
        """It holds for so long, with its host within reach all the time."""
        key = (what, d.name, host.name)
        if not holds:
            if self.since:
                self.since.pop(key, None)
            return False
        reached = self.world.both_ways(d.name, host.name) and host.runs and not host.ssh_broken
        stalled = d.life is not None and d.life.owner.stalled_until > self.world.now
        if not reached or stalled or host.slow_acts or self.world.slow:
            self.since.pop(key, None)
            return False
        return self.world.now - self.since.setdefault(key, self.world.now) > seconds
