"""The true state of everything, and what happens to it by itself: starts, streams, promotions."""

from __future__ import annotations

import random
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from failoverd.core.model import ControlState, NodeName
from tests.sim.kernel import Kernel
from tests.sim.postgres import (
    CHECKPOINT,
    NEW_TIMELINE,
    Host,
    Server,
    Stream,
    SyncNames,
    Waiting,
)

if TYPE_CHECKING:
    from tests.sim.store import Store
    from tests.sim.ways import Way

APPLICATIONS = "app"
RECEIVER_RETRY_S = 0.5
RECEIVER_TIMEOUT_S = 60.0


@dataclass(frozen=True, slots=True)
class Acknowledged:
    """A commit that an application knows to be made."""

    number: int
    node: NodeName
    at: float
    synchronous: bool
    setting: str
    """Of `synchronous_standby_names`, which it waited for, and since when that stood there."""
    promised_since: float


@dataclass(slots=True)
class World:
    kernel: Kernel
    random: random.Random
    hosts: dict[NodeName, Host]
    cut: set[tuple[str, str]] = field(default_factory=set[tuple[str, str]])
    """Directed links that drop everything."""
    slow: dict[tuple[str, str], float] = field(default_factory=dict[tuple[str, str], float])
    acknowledged: list[Acknowledged] = field(default_factory=list[Acknowledged])
    commits: int = 0
    story: list[tuple[float, str, str]] = field(default_factory=list[tuple[float, str, str]])
    checks: list[Callable[[str, object], None]] = field(default_factory=list[Callable])  # type: ignore[type-arg]
    ways: dict[str, Way] = field(default_factory=dict)
    store: Store | None = None
    lied: bool = False
    hands: bool = False
    promotes_in: float | None = None
    of_all: tuple[Server, ...] = ()

    def __post_init__(self) -> None:
        self.of_all = tuple(host.server for host in self.hosts.values())

    @property
    def now(self) -> float:
        return self.kernel.now

    def tell(self, who: str, what: str) -> None:
        self.story.append((self.now, who, what))

    def happened(self, what: str, about: object) -> None:
        for check in self.checks:
            check(what, about)

    def server(self, name: NodeName) -> Server:
        return self.hosts[name].server

    def servers(self) -> tuple[Server, ...]:
        return self.of_all

    # Links.

    def passes(self, a: str, b: str) -> bool:
        return not self.cut or (a, b) not in self.cut

    def both_ways(self, a: str, b: str) -> bool:
        return not self.cut or ((a, b) not in self.cut and (b, a) not in self.cut)

    def delay(self, a: str, b: str) -> float:
        extra = self.slow.get((a, b), 0.0) if self.slow else 0.0
        return self.random.uniform(0.0005, 0.003) + extra * self.random.random()

    # Servers: they start, die and stop.

    def start(self, name: NodeName, *, by: str) -> bool:
        host = self.hosts[name]
        server = host.server
        if not host.runs or server.postmaster or server.orphan or host.disk_full:
            return False
        server.life += 1
        server.postmaster, server.stopped, server.postmaster_stopped = True, False, False
        server.shutting_down = server.has_received = False
        server.started_at = self.now
        server.recovery = server.standby_signal
        server.promote_at = None
        server.stream = None
        server.flushed, server.waiting = {}, []
        clean = server.control in (ControlState.SHUT_DOWN, ControlState.SHUT_DOWN_IN_RECOVERY)
        server.ready_at = self.now + (0.1 if clean else host.recovery_s)
        server.replayed = server.checkpoint if server.recovery and not clean else len(server.wal)
        recovering = ControlState.IN_ARCHIVE_RECOVERY
        server.control = recovering if server.recovery else ControlState.IN_CRASH_RECOVERY
        role = "a standby" if server.recovery else "a primary"
        self.tell(name, f"is started by {by} as {role} on timeline {server.timeline}")
        self.kernel.at(server.ready_at, self._ready, server, server.life)
        self.happened("started", server)
        return True

    def _ready(self, server: Server, life: int) -> None:
        if server.life != life or not server.postmaster:
            return
        if not server.recovery:
            server.control = ControlState.IN_PRODUCTION
            return
        self._replay(server, life)

    def _replay(self, server: Server, life: int) -> None:
        """What a standby has in its own WAL comes to light bit by bit."""
        if server.life != life or not server.postmaster or not server.recovery:
            return
        if not server.stopped and not server.replay_paused:
            server.replayed = min(len(server.wal), server.replayed + 3)
        if server.replayed < len(server.wal):
            self.kernel.after(0.05, self._replay, server, life)
        else:
            self._receive(server, life)

    def die(self, server: Server, *, orphan: bool = False) -> None:
        """Its processes end at once; nothing is written any more."""
        if not server.postmaster and not (server.orphan and not orphan):
            return
        server.orphan = orphan and not server.recovery
        server.postmaster = server.stopped = server.postmaster_stopped = False
        server.shutting_down = False
        server.promote_at, server.stream = None, None
        if not server.orphan:
            server.waiting, server.flushed = [], {}
        self._end_streams_from(server)
        self.happened("died", server)
        host = self.hosts[server.name]
        if host.restarts and host.enabled and not host.kept_down:
            self.kernel.after(1.0, self._restarted, host)

    def _restarted(self, host: Host) -> None:
        started = host.enabled and not host.kept_down
        if host.restarts and started and not host.server.processes:
            self.start(host.name, by="its service manager")

    def _end_streams_from(self, server: Server) -> None:
        """Connections of processes that ended are reset, where the link lets that through."""
        for other in self.servers():
            stream = other.stream
            if stream is None or stream.upstream != server.name:
                continue
            if self.passes(server.name, other.name) and self.hosts[server.name].up:
                other.stream = None
                self._again(other)

    def shut_down(self, server: Server, *, fast: bool = True) -> None:
        """Cleanly: whoever streams is sent everything, the checkpoint included."""
        if not server.postmaster:
            return
        if not fast:
            self.die(server)
            return
        if not server.recovery:
            server.wal.append(CHECKPOINT)
            server.checkpoint = len(server.wal) - 1
            server.control = ControlState.SHUT_DOWN
            for other in self.servers():
                if self.streams(other, server):
                    self._deliver(other, server)
        else:
            server.control = ControlState.SHUT_DOWN_IN_RECOVERY
            server.checkpoint = server.replayed
        self.die(server)

    def power_off(self, host: Host) -> None:
        """Nothing is sent: whoever was connected does not hear of it."""
        if not host.up:
            return
        host.up = False
        server = host.server
        server.postmaster = server.orphan = server.stopped = server.postmaster_stopped = False
        server.shutting_down = False
        server.promote_at, server.stream, server.waiting = None, None, []

    def power_on(self, host: Host) -> None:
        if host.up:
            return
        host.up, host.paused = True, False
        host.boot += 1
        host.booted_at = self.now
        host.locked = False
        self.tell(host.name, "its host is up again")
        if host.enabled and not host.kept_down:
            self.kernel.after(1.0, lambda: self.start(host.name, by="its host's boot"))

    # Replication.

    def streams(self, standby: Server, upstream: Server) -> bool:
        stream = standby.stream
        return (
            stream is not None
            and stream.upstream == upstream.name
            and stream.life == upstream.life
            and upstream.processes
            and not upstream.stopped
            and self.hosts[upstream.name].runs
            and self.passes(upstream.name, standby.name)
        )

    def _receive(self, server: Server, life: int) -> None:
        """A standby looks for its upstream, again and again."""
        if server.life != life or not server.postmaster or not server.recovery:
            return
        name = server.conninfo
        if name is None or server.stream is not None:
            return
        upstream = self.hosts[name].server
        host = self.hosts[server.name]
        possible = (
            host.runs
            and not server.stopped
            and self.both_ways(name, server.name)
            and self.hosts[name].runs
            and upstream.serving(self.now)
            and not upstream.postmaster_stopped
            and upstream.system == server.system
            and server.replayed >= len(server.wal)
            and upstream.descends(server.timeline, len(server.wal))
        )
        if not possible:
            self.kernel.after(RECEIVER_RETRY_S, self._receive, server, life)
            return
        server.stream, server.has_received = Stream(name, upstream.life, self.now, self.now), True
        upstream.flushed[server.name] = len(server.wal)
        self.deliver_soon(server, upstream)

    def waits_in_vain(self, server: Server) -> bool:
        """Its upstream has taken another way before where it stands: PostgreSQL says "waiting"."""
        if server.conninfo is None or server.stream is not None:
            return False
        upstream = self.hosts[server.conninfo].server
        reached = self.both_ways(server.conninfo, server.name) and upstream.serving(self.now)
        other = upstream.system == server.system and upstream.timeline != server.timeline
        return reached and other and not upstream.descends(server.timeline, len(server.wal))

    def _again(self, server: Server) -> None:
        self.kernel.after(RECEIVER_RETRY_S, self._receive, server, server.life)

    def deliver_soon(self, standby: Server, upstream: Server) -> None:
        life = standby.life
        delay = self.delay(upstream.name, standby.name)

        def arrive() -> None:
            if standby.life == life and self.streams(standby, upstream):
                self._deliver(standby, upstream)

        self.kernel.after(delay, arrive)

    def _deliver(self, standby: Server, upstream: Server) -> None:
        host = self.hosts[standby.name]
        if not host.runs or standby.stopped or not standby.postmaster or not standby.recovery:
            return
        assert standby.stream is not None
        standby.stream.hears(self.now)
        if host.disk_full:
            return
        if not upstream.descends(standby.timeline, len(standby.wal)):
            return
        standby.wal.extend(upstream.wal[len(standby.wal) :])
        standby.replayed = len(standby.wal)
        standby.timeline, standby.history = upstream.timeline, upstream.history
        if not self.passes(standby.name, upstream.name):
            return
        flushed, life = len(standby.wal), upstream.life

        def acknowledge() -> None:
            if upstream.life == life and upstream.flushed.get(standby.name, 0) < flushed:
                upstream.flushed[standby.name] = flushed
                self.release(upstream)

        self.kernel.after(self.delay(standby.name, upstream.name), acknowledge)

    def timed_out_streams(self) -> None:
        """What `wal_receiver_timeout` ends."""
        for server in self.servers():
            stream = server.stream
            if stream is not None and self.now - stream.heard_at > RECEIVER_TIMEOUT_S:
                if self.streams(server, self.server(stream.upstream)):
                    stream.heard_at = self.now
                else:
                    server.stream = None
                    self._again(server)

    def detach(self, server: Server) -> None:
        server.conninfo, server.stream = None, None
        for other in self.servers():
            other.flushed.pop(server.name, None)

    def attach(self, server: Server, to: NodeName | None) -> None:
        if server.conninfo != to:
            server.conninfo, server.stream = to, None
        if to is not None and server.postmaster and server.stream is None:
            self.kernel.after(0.05, self._receive, server, server.life)

    # Commits.

    def commit(self, server: Server, client: str) -> int:
        """In the WAL; what becomes of it is seen later. Returns its number."""
        self.commits += 1
        server.wal.append(self.commits)
        server.replayed = len(server.wal)
        server.waiting.append(Waiting(self.commits, len(server.wal), client))
        for other in self.servers():
            if self.streams(other, server):
                self.deliver_soon(other, server)
        return self.commits

    def release(self, server: Server) -> None:
        """Acknowledge what may be acknowledged by now."""
        if not server.processes or server.stopped or not self.hosts[server.name].runs:
            return
        left: list[Waiting] = []
        for one in server.waiting:
            local = one.client.endswith("local")
            if local or self.held(server, server.sync, one.position):
                self._acknowledge(server, one, synchronous=not local and server.sync is not None)
            else:
                left.append(one)
        server.waiting = left

    def held(self, server: Server, sync: SyncNames | None, position: int) -> bool:
        if sync is None:
            return True
        connected = [n for n in sync.names if self.connected(server, n)]
        chosen = connected if sync.any_of else connected[: sync.count]
        enough = [n for n in chosen if server.flushed.get(n, 0) >= position]
        return len(enough) >= sync.count

    def connected(self, server: Server, name: NodeName) -> bool:
        standby = self.server(name)
        stream = standby.stream
        return name in server.flushed and stream is not None and stream.upstream == server.name

    def _acknowledge(self, server: Server, one: Waiting, *, synchronous: bool) -> None:
        if one.client.startswith("check") or not self.passes(server.name, APPLICATIONS):
            return
        setting = "" if server.sync is None else server.sync.setting
        told = Acknowledged(
            one.number, server.name, self.now, synchronous, setting, server.sync_since
        )
        self.acknowledged.append(told)
        self.happened("acknowledged", (told, server))

    # Promotions cannot be revoked, and may come later.

    def ask_to_promote(self, server: Server, by: str, within: float) -> None:
        if not server.serving(self.now) or not server.recovery or server.promote_at is not None:
            return
        server.promote_at = self.now + within
        self.kernel.at(server.promote_at, self._promoted, server, server.life, by)

    def _promoted(self, server: Server, life: int, by: str) -> None:
        if server.life != life or not server.postmaster or not server.recovery:
            return
        if server.stopped or not self.hosts[server.name].runs:
            self.kernel.after(0.5, self._promoted, server, life, by)
            return
        server.replayed = len(server.wal)
        left = len(server.wal)
        server.history = (*server.history, (server.timeline, left))
        server.timeline += 1
        server.wal.append(NEW_TIMELINE)
        server.replayed = len(server.wal)
        server.checkpoint = len(server.wal)
        server.recovery, server.standby_signal = False, False
        server.promote_at, server.stream = None, None
        server.control = ControlState.IN_PRODUCTION
        server.promoted_by = by
        server.by_hand = by == "a hand"
        server.powered_off = False
        self.tell(server.name, f"is a primary now, on timeline {server.timeline} (asked by {by})")
        self.happened("promoted", server)
