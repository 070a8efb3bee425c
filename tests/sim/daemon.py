"""One failoverd in this world: the real course of steps, the real journal format, virtual time."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from dataclasses import replace

from failoverd.core.events import Command, DaemonStops, Event, Now, Replied, Woke
from failoverd.core.model import (
    ClusterView,
    Instant,
    NodeName,
    WallTime,
)
from failoverd.core.operator import refusal
from failoverd.core.policy import Policy
from failoverd.core.restart import restored, taken_up
from failoverd.core.situation import Machine
from failoverd.daemon.course import JOURNAL_RETRY_S, Ask, Course, Saw, Write, Written, line_of
from failoverd.record.codec import dumps, loads
from tests.sim.acting import acting
from tests.sim.kernel import Owner, Process, Steps
from tests.sim.lease import Candidacy
from tests.sim.renewing import Renewing
from tests.sim.rounds import Rounds
from tests.sim.store import Store, asked
from tests.sim.ways import Looks
from tests.sim.world import World

Check = Callable[["Daemon", Saw | Ask], None]


class Life:
    """One process of a daemon: all of it is lost when it dies."""

    def __init__(self, machine: Machine, d: Daemon) -> None:
        self.owner = Owner()
        self.course = Course("main", machine)
        self.queue: deque[Event] = deque()
        self.consuming = False
        self.stopping = False
        """In good order: nothing but the answers to what it lets go is waited for."""
        self.lines: dict[str, deque[tuple[int, object]]] = {}
        self.under_way: set[tuple[int, object]] = set()
        self.renewing = Renewing()
        self.looks = Looks(d)
        self.rounds = Rounds(d, self.looks)
        self.frozen_at: dict[tuple[NodeName, int], Instant] = {}


class Daemon:
    def __init__(
        self, name: str, world: World, policy: Policy, check: Check, store: Store | None = None
    ) -> None:
        self.name = name
        self.world = world
        self.policy = self._reloaded = policy
        self.journal: str | None = None
        self.journal_at = WallTime(0.0)
        """The machine of the last record, as text: what a restart knows."""
        self.journaled: Machine | None = None
        self.journal_fails = False
        self.clock_offset = 1000.0
        self.wall_offset = 1.7e9
        self.wall_forward = 0.0
        self.stalled: list[tuple[float, float]] = []
        self.kills_at_write = 0
        self.turns = 0
        self.restarts = 0
        self.life: Life | None = None
        self.store = store
        """Where there are several: whoever does not lead waits, and has no life."""
        self.candidacy: Candidacy | None = None
        self._check = check
        self.come_back()

    # Its clocks.

    def monotonic(self) -> float:
        return self.world.now + self.clock_offset

    def now(self) -> Now:
        return Now(Instant(self.monotonic()), WallTime(self.world.now + self.wall_offset))

    def stalled_since(self, began: float) -> bool:
        """The loop came late by more than a quarter of the poll's time-out."""
        late = self.policy.timeout_s / 4
        return any(end > began and end - start > late for start, end in self.stalled)

    # Its life and death.

    @property
    def alive(self) -> bool:
        return self.life is not None

    @property
    def journal_failing(self) -> str:
        """Why its journal cannot be written, as far as this life has tried; empty: it can."""
        return "" if self.life is None else self.life.course.journal_failing

    @property
    def machine(self) -> Machine:
        assert self.life is not None
        return self.life.course.machine

    def reload(self, policy: Policy) -> None:
        """In force between two turns, as the supervisor takes it up."""
        self._reloaded = policy
        if self.life is None or not self.life.consuming:
            self.policy = policy

    def as_it_was(self) -> Machine:
        """What its own disk tells it when it is started."""
        if self.journal is None:
            return Machine()
        ago_s = self.now().wall - self.journal_at
        kept, at = loads(Machine, self.journal), Instant(self.monotonic())
        return restored(kept, at, ago_s if ago_s >= 0.0 else None)

    def begin(self, own: Machine | None = None) -> None:
        """`own`: what it has seen while it followed another one."""
        self.policy = self._reloaded
        machine = self.as_it_was() if own is None else own
        if own is not None and self.journal is not None:
            machine = taken_up(loads(Machine, self.journal), own, Instant(self.monotonic()))
        self.life = life = Life(machine, self)
        life.rounds.begin(self._spawn)
        if self.policy.dead_man is not None:
            self._spawn(life.renewing.run(self))
        for target in self.world.ways:
            life.looks.watchers[target] = self._spawn(life.looks.watches(target))
        self._start(life.course.resume(self.policy))

    def die(self) -> None:
        if self.runs:
            self.world.tell(self.name, "dies")
        if self.candidacy is not None:
            self.candidacy.process.alive = False
            self.candidacy = None
        self._ends()

    def _ends(self) -> None:
        if self.life is not None:
            self.life.owner.alive = False
            self.life = None
            self.restarts += 1

    @property
    def runs(self) -> bool:
        """Its process does, whether it leads or not."""
        return self.life is not None or self.candidacy is not None

    # Of several, by a lease.

    @property
    def may_act(self) -> bool:
        return self.store is None or (self.candidacy is not None and self.candidacy.may_act)

    @property
    def owner(self) -> str:
        """What it calls itself on hosts."""
        return self.name if self.candidacy is None else self.candidacy.owner

    def take_up(self) -> None:
        self.world.tell(self.name, "takes up what was journaled")
        self.restarts += self.journal is not None
        assert self.candidacy is not None
        self.begin(self.candidacy.onlooking.machine)

    def stands_down(self) -> None:
        """Another one may act: nothing is decided any more, and nothing goes on."""
        if self.life is not None:
            self.world.tell(self.name, "stands down")
            if self.candidacy is not None:
                self.candidacy.onlooking.machine = self.machine
            self._ends()

    def stall(self, seconds: float) -> None:
        if self.runs:
            until = self.world.now + seconds
            for one in (self.life and self.life.owner, self.candidacy and self.candidacy.process):
                if one is not None:
                    one.stalled_until = max(one.stalled_until, until)
            self.stalled.append((self.world.now, until))
            self.world.tell(self.name, f"stalls for {seconds:.1f} s")

    def _spawn(self, steps: Steps) -> Process:
        assert self.life is not None
        return self.world.kernel.spawn(steps, self.life.owner)

    def raise_doubt(self) -> None:
        if self.life is not None:
            self.life.rounds.raise_doubt()

    def session_died(self, name: NodeName) -> None:
        if self.life is not None:
            self.life.rounds.session_died(name)

    # Its one queue and its one consumer.

    def happens(self, event: Event) -> None:
        life = self.life
        if life is None or (life.stopping and not isinstance(event, Replied)):
            return
        life.stopping = life.stopping or isinstance(event, DaemonStops)
        life.queue.append(event)
        if not life.consuming:
            life.consuming = True
            self._spawn(self._consume())

    def submit(self, command: Command) -> str | None:
        """As the supervisor answers a command: refused, or journaled and in force."""
        if self.life is None:
            return "nobody answers"
        refused = refusal(self.machine, command, self.policy)
        if refused is None:
            self.happens(command)
        return refused

    def _consume(self) -> Steps:
        life = self.life
        assert life is not None
        while life.queue:
            event = life.queue.popleft()
            done = yield from self._turn(event)
            if not done and isinstance(event, Replied):
                self.world.kernel.after(JOURNAL_RETRY_S, self._again, life, event)
        life.consuming = False
        self.policy = self._reloaded
        self._sleep()

    def _again(self, life: Life, event: Event) -> None:
        if self.life is life:
            self.happens(event)

    def _turn(self, event: Event) -> Steps:
        life = self.life
        assert life is not None
        self.turns += 1
        self.policy = self._reloaded
        primary = self.machine.memory.primary
        turn = life.course.turn(event, self.now(), self.policy)
        written: Written | None = None
        while True:
            try:
                due = turn.send(written)
            except StopIteration as end:
                done = bool(end.value)
                break
            match due:
                case Write(record=record):
                    written = yield from self._written(record.machine)
                case Saw():
                    self._check(self, due)
                case Ask():
                    self._check(self, due)
                    self._start(due)
        if done and primary != self.machine.memory.primary:
            life.rounds.look_at_everyone()
            life.looks.hasten()
        if done:
            life.rounds.hasten()
        return done

    def _written(self, machine: Machine) -> Steps:
        """The record is on disk before or after a kill that comes at a write, by chance."""
        kill = False
        if self.kills_at_write:
            self.kills_at_write -= 1
            kill = self.kills_at_write == 0
        if kill and self.world.random.random() < 0.5:
            self.die_and_come_back()
            yield 1e9
        yield 0.002
        if self.journal_fails:
            return Written(
                "the journal cannot be written: no space left", Instant(self.monotonic())
            )
        text, at = dumps(replace(machine, view=ClusterView({}))), self.now().wall
        if self.store is not None:
            failed: str = yield from self._shared(text, at)
            if failed:
                return Written(failed, Instant(self.monotonic()))
        self.journaled, self.journal, self.journal_at = machine, text, at
        if kill:
            self.die_and_come_back()
            yield 1e9
        return Written("", Instant(self.monotonic()))

    def _shared(self, text: str, at: WallTime) -> Steps:
        """To the store, by the transaction that compares the lease; why not, or empty."""
        store, candidacy = self.store, self.candidacy
        assert store is not None
        assert candidacy is not None
        lease, world = candidacy.lease, self.world
        if lease is None or not candidacy.may_act:
            return "this daemon does not hold the leadership"
        written = yield from asked(
            world, self.name, store,
            lambda: store.appended(self.name, lease.term, text, at, world.now),
        )  # fmt: skip
        if written is False:
            candidacy.lost()
            yield 1e9
        return "" if written else "etcd does not answer"

    def die_and_come_back(self) -> None:
        self.die()
        self.world.kernel.after(self.world.random.uniform(0.2, 4.0), self.come_back)

    def come_back(self) -> None:
        if self.runs:
            return
        if self.turns or self.restarts:
            self.world.tell(self.name, "is started again")
        if self.store is None:
            self.begin()
        else:
            self.candidacy = Candidacy(self, self.store, Owner())

    def _sleep(self) -> None:
        life = self.life
        assert life is not None
        wake_at = life.course.wake_at
        if wake_at is None:
            return

        def wake() -> None:
            if self.life is not life or life.consuming or life.course.wake_at != wake_at:
                return
            if life.owner.stalled_until > self.world.now:
                self.world.kernel.at(life.owner.stalled_until, wake)
                return
            self.happens(Woke())

        self.world.kernel.after(max(0.0005, wake_at - self.monotonic()), wake)

    # Its effects: each once for as long as it is wanted, answered once.

    def _start(self, ask: Ask) -> None:
        life = self.life
        assert life is not None
        for effect in ask.effects:
            if (ask.visit, effect) in life.under_way:
                self.world.happened("asked twice", (self, effect))
            life.under_way.add((ask.visit, effect))
            name = line_of(effect)
            if name is not None:
                line = life.lines.setdefault(name, deque())
                line.append((ask.visit, effect))
                if len(line) == 1:
                    self._spawn(self._in_line(name))
            else:
                self._spawn(self._perform(ask.visit, effect))

    def _in_line(self, name: str) -> Steps:
        life = self.life
        assert life is not None
        line = life.lines[name]
        while line:
            visit, effect = line[0]
            yield from self._perform(visit, effect)
            life.course.answered(effect)  # type: ignore[arg-type]
            line.popleft()

    def _perform(self, visit: int, effect: object) -> Steps:
        life = self.life
        result = yield from acting(self, effect)  # type: ignore[arg-type]
        if life is not None:
            life.under_way.discard((visit, effect))
        self.happens(Replied(visit, effect, result))  # type: ignore[arg-type]
