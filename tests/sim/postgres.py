"""PostgreSQL as failoverd meets it: WAL as a sequence, timelines, what a data directory keeps.

Positions are counted in records; `lsn` makes bytes of them. What a server says of itself and what
is true may differ: a standby that was just started hides what it has not replayed yet.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from failoverd.core.model import ControlState, Guard, Lsn, NodeName

if TYPE_CHECKING:
    from tests.sim.watcher import Watcher

RECORD_BYTES = 100
SYSTEM = "7000000000000000001"
FOREIGN_SYSTEM = "7000000000000000999"
CHECKPOINT = -1
"""What stands in the WAL for a shutdown checkpoint; commits have numbers from 1 on."""
NEW_TIMELINE = -2
SILENCE_S = 0.5
"""A dead-man asks by WAL five times a second: whoever got none for so long was cut off."""


def lsn(position: int) -> Lsn:
    return Lsn(0x3000000 + position * RECORD_BYTES)


def position_of(at: Lsn) -> int:
    return (at.bytes - 0x3000000) // RECORD_BYTES


@dataclass(frozen=True, slots=True)
class SyncNames:
    """`synchronous_standby_names`. Source: PostgreSQL, "Multiple Synchronous Standbys"."""

    any_of: bool
    count: int
    names: tuple[NodeName, ...]

    @property
    def setting(self) -> str:
        method = "ANY" if self.any_of else "FIRST"
        return f"{method} {self.count} ({', '.join(self.names)})"


@dataclass(slots=True)
class Stream:
    """A WAL receiver: connected to its upstream, or so it believes."""

    upstream: NodeName
    life: int
    """Of the upstream's server: another one is another connection."""
    heard_at: float
    since: float
    """When it was connected, or heard again after a silence."""

    def hears(self, now: float) -> None:
        if now - self.heard_at > SILENCE_S:
            self.since = now
        self.heard_at = now


@dataclass(slots=True)
class Waiting:
    """A commit that is in the WAL and not acknowledged yet."""

    number: int
    position: int
    client: str


@dataclass(slots=True, eq=False)
class Server:
    """One data directory, and the processes that run on it."""

    name: NodeName
    system: str = SYSTEM
    # On disk.
    wal: list[int] = field(default_factory=list)
    timeline: int = 1
    history: tuple[tuple[int, int], ...] = ()
    """Each earlier timeline, and where it was left."""
    standby_signal: bool = False
    marker: tuple[int, str, float] | None = None
    """`failoverd.guard`: epoch, owner, when it was laid."""
    control: ControlState = ControlState.SHUT_DOWN
    checkpoint: int = 0
    conninfo: NodeName | None = None
    slot: str = ""
    sync: SyncNames | None = None
    sync_since: float = -1e9
    directory: int = 1
    connections: int = 100
    """`max_connections`: a standby with less than its primary stands still sooner or later."""
    # Running.
    life: int = 0
    """Grows with each start."""
    postmaster: bool = False
    orphan: bool = False
    """A backend that outlived its postmaster, and goes on committing."""
    stopped: bool = False
    """All its processes: SIGSTOP, or storage that does not answer."""
    postmaster_stopped: bool = False
    started_at: float = 0.0
    ready_at: float = 0.0
    shutting_down: bool = False
    recovery: bool = True
    replayed: int = 0
    """What a standby that was started anew has found in its own WAL so far."""
    replay_paused: bool = False
    has_received: bool = False
    """From its upstream, since it was started."""
    promote_at: float | None = None
    stream: Stream | None = None
    flushed: dict[NodeName, int] = field(default_factory=dict[NodeName, int])
    """What each standby that streams from here has acknowledged."""
    waiting: list[Waiting] = field(default_factory=list[Waiting])
    slots_full: bool = False
    role_broken: bool = False
    # How it came to that.
    by_hand: bool = False
    """Somebody promoted it, or started it read-write, behind our back."""
    promoted_by: str = ""
    powered_off: bool = False

    @property
    def guard(self) -> Guard:
        if not self.standby_signal:
            return Guard.NONE
        return Guard.FOREIGN if self.marker is None else Guard.OURS

    @property
    def processes(self) -> bool:
        return self.postmaster or self.orphan

    def serving(self, now: float) -> bool:
        """It answers whoever reaches it."""
        frozen = self.stopped or self.shutting_down
        return self.postmaster and not frozen and now >= self.ready_at

    def lets_in(self, now: float) -> bool:
        """A new session: also of the host program, which has no other."""
        return self.serving(now) and not self.postmaster_stopped

    def may_commit(self) -> bool:
        """A commit may be made there now, or as soon as it is woken."""
        return self.processes and not self.recovery

    @property
    def received(self) -> int:
        return min(self.replayed, len(self.wal))

    def descends(self, timeline: int, position: int) -> bool:
        """Whoever stands there on that timeline can follow this server."""
        if timeline == self.timeline:
            return position <= len(self.wal)
        return any(t == timeline and position <= left for t, left in self.history)


@dataclass(slots=True, eq=False)
class Host:
    """A machine: its boot, its disk, what the host program keeps on it."""

    name: NodeName
    server: Server
    up: bool = True
    paused: bool = False
    """The whole machine stands still, and will go on: a VM that is moved."""
    boot: int = 1
    booted_at: float = -1000.0
    epoch: int = 0
    owner: str = ""
    disk_full: bool = False
    disk_freed_at: float = -1000.0
    restarts: bool = False
    """A service manager starts the server again when it dies."""
    enabled: bool = True
    """It starts with its host."""
    locked: bool = False
    ssh_broken: bool = False
    answers_lost: int = 0
    slow_acts: float = 0.0
    agent: str = ""
    """Of its fence agent: none, honest, slow, lying or broken."""
    recovery_s: float = 0.5
    rebuilt_at: float = -100.0
    kept_down: bool = False
    """Its service does not start it any more."""
    dead_man: Watcher | None = None
    """The last that was armed on it, in whatever boot."""

    @property
    def runs(self) -> bool:
        return self.up and not self.paused

    def uptime(self, now: float) -> float:
        return now - self.booted_at
