"""One cluster: one queue, one consumer; journal with fsync, then effects.

Polls, replies, signals, commands and deadlines are all events. `step` is never awaited
and needs no lock; what changes a standby's settings is done one after the other.
Whoever performs an effect answers exactly once, within its deadline; what nobody
expected is a bug, ends the daemon, and the journal resumes it.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Protocol

from failoverd.core.dead_man import Phase
from failoverd.core.diagnosis import Diagnosis
from failoverd.core.events import (
    Command,
    DaemonStops,
    Event,
    Observed,
    Replied,
    Woke,
)
from failoverd.core.incident import Entry
from failoverd.core.model import ClusterView, Epoch, Instant, NodeName, NodeReport
from failoverd.core.operator import refusal
from failoverd.core.policy import Policy, TargetName
from failoverd.core.restart import followed, taken_up
from failoverd.core.situation import Machine
from failoverd.core.states import Salvaging
from failoverd.daemon import clock
from failoverd.daemon.course import (
    JOURNAL_RETRY_S,
    Ask,
    Course,
    Saw,
    Write,
    Written,
)
from failoverd.daemon.journal import Journal, JournalFailed
from failoverd.daemon.leadership import (
    Alone,
    Follows,
    Leadership,
    Leads,
    NotLeading,
    Turned,
)
from failoverd.daemon.renewals import Renewal, Renewals
from failoverd.daemon.rounds import Rounds
from failoverd.daemon.shared import Shared
from failoverd.daemon.targets import TargetLooks, close_ways
from failoverd.daemon.under_way import UnderWay
from failoverd.effect.wal import WalOnDisk
from failoverd.effect.way import Way
from failoverd.effect.world import HostClock, Node, World
from failoverd.record.record import Record

LET_GO_WITHIN_S = 5.0
"""A daemon that stops waits so long for its dead-man to be disarmed; it disarms itself later."""

WATCHED_NO_MORE = "the cluster is watched no more: nothing was done"


class Observer(Protocol):
    """Whoever turns (before, event, after) into metrics, log lines and reports."""

    def stepped(
        self, cluster: str, before: Machine, event: Event, after: Machine, entry: Entry | None
    ) -> None: ...

    def probed(self, cluster: str, report: NodeReport) -> None: ...

    def began_late(self, seconds: float) -> None: ...

    def renewed(self, cluster: str, outcome: Renewal, why: str) -> None: ...

    def journal_failed(self, cluster: str, error: JournalFailed) -> None: ...

    def journal_works(self, cluster: str) -> None: ...


@dataclass(slots=True)
class _Ask:
    """A command and where its answer goes."""

    command: Command
    answer: asyncio.Future[str | None]


@dataclass(frozen=True, slots=True)
class Reload:
    """A policy and nodes to go on with, once no failover is under way."""

    policy: Policy
    nodes: Mapping[NodeName, Node]
    targets: Mapping[TargetName, Way]


class Supervisor:
    """Watches one cluster and acts on it."""

    def __init__(  # noqa: PLR0913 - what surrounds it
        self,
        name: str,
        policy: Policy,
        nodes: Mapping[NodeName, Node],
        machine: Machine,
        journal: Journal,
        observer: Observer,
        shared: Shared,
        *,
        targets: Mapping[TargetName, Way] | None = None,
        leadership: Leadership | None = None,
    ) -> None:
        self.name = name
        self.policy = policy
        self.leadership = leadership or Alone(journal, name)
        self._course = Course(name, machine)
        self._course.leads = self.leadership.may_act()
        self._nodes = nodes
        self._targets = targets or {}
        self._target_looks = TargetLooks(self._world)
        self._observer = observer
        self._queue: asyncio.Queue[Event | _Ask | Reload | Turned | None] = asyncio.Queue()
        self._rounds = Rounds(
            nodes, shared, lambda: (self.machine, self.policy), self._looked, observer.began_late
        )
        self._under_way = UnderWay(
            self._world,
            self.leadership.may_act,
            self._queue.put_nowait,
            self._course.answered,
        )
        self._clocks: dict[NodeName, HostClock] = {}
        self._frozen_at: dict[tuple[NodeName, Epoch], Instant] = {}
        self._renewals = Renewals(
            nodes,
            lambda: self.machine,
            lambda: self.leadership.owner,
            self.leadership.may_act,
            self._queue.put_nowait,
            self._renewed,
        )
        self._wal: dict[NodeName, WalOnDisk] = {}
        self._stopping = False
        self._over = False
        self._pending: Reload | None = None
        self.stepped_at = clock.monotonic()

    @property
    def machine(self) -> Machine:
        return self._course.machine

    # What others may ask of it.

    async def submit(self, command: Command) -> str | None:
        """None once the command is journaled and in force; else why it was refused."""
        if self._over:
            return WATCHED_NO_MORE
        answer: asyncio.Future[str | None] = asyncio.get_running_loop().create_future()
        self._queue.put_nowait(_Ask(command, answer))
        return await answer

    def reload(self, reload: Reload) -> None:
        """Go on with another configuration; during a failover, after it."""
        self._queue.put_nowait(reload)

    def request_stop(self) -> None:
        self._stopping = True
        self._queue.put_nowait(None)

    @property
    def nodes(self) -> Mapping[NodeName, Node]:
        return self._nodes

    @property
    def in_procedure(self) -> bool:
        """And it is this daemon that must finish it."""
        return self._course.in_procedure

    # Its life.

    async def run(self) -> None:
        """Until stopped: at once while watching, after the procedure while in it."""
        while not self._stopping:
            pending, self._pending = self._pending, None
            if pending is not None:
                await self._replace(pending)
            async with asyncio.TaskGroup() as group:
                beside = [*self._rounds.begin(group), *self._target_looks.begin(group)]
                beside.append(group.create_task(self._renewals.run()))
                beside.append(group.create_task(self.leadership.run(self._queue.put_nowait)))
                await self._consume(group)
                await self._let_go(group)
                for task in beside:
                    task.cancel()
                if not self._stopping:
                    # Whoever goes on asks anew: nobody watches while an old act is waited for.
                    self._course.cut_off(self._under_way.end())
            await self._rounds.close()
        await self.leadership.leave()
        for node in self._nodes.values():
            await node.host.close()
        await close_ways(self._targets)
        self._refuse_the_rest()

    def _refuse_the_rest(self) -> None:
        """Whoever asked too late is answered all the same."""
        self._over = True
        while not self._queue.empty():
            event = self._queue.get_nowait()
            if isinstance(event, _Ask) and not event.answer.done():
                event.answer.set_result(WATCHED_NO_MORE)

    async def _replace(self, reload: Reload) -> None:
        for node in self._nodes.values():
            await node.host.close()
        await close_ways(self._targets)
        self.policy = reload.policy
        self._nodes = reload.nodes
        self._targets = reload.targets
        self._rounds.nodes = reload.nodes
        self._renewals.nodes = reload.nodes

    async def _consume(self, group: asyncio.TaskGroup) -> None:
        """The one consumer. Returns when it may stop, or when a reload may be taken up."""
        self._under_way.begin(group, self._course.resume(self.policy))
        while not (self._stopping and self._course.may_stop):
            if self._pending is not None and self._course.may_reload:
                return
            event = await self._next()
            match event:
                case None:
                    continue
                case Reload():
                    self._pending = event
                case _Ask(command=command, answer=answer):
                    refused = await self._commanded(command, group)
                    if not answer.done():
                        answer.set_result(refused)
                case Leads(machine=shared):
                    self._lead(shared, group)
                case Follows(machine=shared):
                    self._follow(shared)
                case _:
                    await self._step_or_keep(event, group)

    async def _commanded(self, command: Command, group: asyncio.TaskGroup) -> str | None:
        """Why not; None: it is journaled and in force."""
        if self._course.leads:
            refused = refusal(self.machine, command, self.policy)
            if refused is not None or await self._step(command, group):
                return refused
        if self._course.leads:
            return "the journal cannot be written: nothing is done without it"
        return f"nothing was done: {self.leadership.standing.sentence}"

    def _lead(self, shared: Machine | None, group: asyncio.TaskGroup) -> None:
        """Where the last holder stopped; or from here, where that one's journal was lost."""
        if not self.leadership.accept():
            return
        known = self.machine if shared is None or shared.epoch < self.machine.epoch else shared
        self._course.lead(taken_up(known, self.machine, clock.monotonic()))
        self._course.wake_at = clock.monotonic()
        self._under_way.begin(group, self._course.resume(self.policy))
        self._rounds.look_at_everyone()

    def _follow(self, shared: Machine | None) -> None:
        """What is under way ends before its next act."""
        self._under_way.end()
        now = clock.monotonic()
        self._course.follow(self.machine if shared is None else followed(shared, self.machine, now))

    async def _let_go(self, group: asyncio.TaskGroup) -> None:
        """A daemon that stops in good order leaves no dead-man behind that nobody renews."""
        if not (self._stopping and self._course.leads and self._owes_disarming):
            return
        if not await self._step(DaemonStops(), group):
            return
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(LET_GO_WITHIN_S):
                while self._owes_disarming:
                    event = await self._queue.get()
                    if isinstance(event, Replied):
                        await self._step(event, group)
                    elif isinstance(event, _Ask):
                        event.answer.set_result("the daemon stops")

    @property
    def _owes_disarming(self) -> bool:
        """Until it was tried once since it is to be."""
        armed = self.machine.dead_man
        return armed is not None and not (armed.phase is Phase.DISARMING and armed.failed)

    async def _next(self) -> Event | _Ask | Reload | Turned | None:
        wake_at = self._course.wake_at
        if wake_at is None:
            return await self._queue.get()
        delay = max(0.0, wake_at - clock.monotonic())
        try:
            async with asyncio.timeout(delay):
                return await self._queue.get()
        except TimeoutError:
            return Woke()

    async def _step_or_keep(self, event: Event, group: asyncio.TaskGroup) -> None:
        """A reply that could not be journaled is not lost: it comes again."""
        if await self._step(event, group) or not isinstance(event, Replied):
            return
        if not self._course.leads:
            return
        loop = asyncio.get_running_loop()
        loop.call_later(JOURNAL_RETRY_S, self._queue.put_nowait, event)

    async def _step(self, event: Event, group: asyncio.TaskGroup) -> bool:
        """Decide, journal, then act. False: the journal failed, and nothing was done."""
        primary = self.machine.memory.primary
        turn = self._course.turn(event, clock.now(), self.policy)
        done, written = False, None
        while True:
            try:
                due = turn.send(written)
            except StopIteration as end:
                done = bool(end.value)
                break
            match due:
                case Write(record=record):
                    written = await self._written(record)
                case Saw():
                    self.stepped_at = clock.monotonic()
                    self._observer.stepped(self.name, due.before, due.event, due.after, due.entry)
                case Ask():
                    if not isinstance(self.machine.state, Salvaging):
                        self._under_way.end_salvage()
                    self._under_way.begin(group, due)
        self.stepped_at = clock.monotonic()
        if done and primary != self.machine.memory.primary:
            self._rounds.look_at_everyone()
            self._target_looks.hasten()
        if done:
            self._rounds.hasten()
        return done

    async def _written(self, record: Record) -> Written:
        failing = self._course.journal_failing
        try:
            await self.leadership.append(record)
        except NotLeading:
            return Written("", clock.monotonic(), held_back=True)
        except JournalFailed as error:
            if not failing:
                self._observer.journal_failed(self.name, error)
            return Written(f"the journal cannot be written: {error}", clock.monotonic())
        if failing:
            self._observer.journal_works(self.name)
        return Written("", clock.monotonic())

    def _looked(self, report: NodeReport, view: ClusterView) -> None:
        self._observer.probed(self.name, report)
        failing = self._course.journal_failing
        before = self.machine.view.report(report.name)
        if (report.heard, report.host.look.ok) > (before.heard, before.host.look.ok):
            # Whoever is back may have brought an address along.
            self._target_looks.hasten()
        if report.name == self.machine.memory.primary:
            blind = self.machine.diagnosis is Diagnosis.BLIND
            self.leadership.looked(report, blind=blind)
        view = replace(view, journal_failing=failing, daemons=self.leadership.others)
        self._queue.put_nowait(Observed(view, self._target_looks.seen))

    def _renewed(self, outcome: Renewal, why: str) -> None:
        self._observer.renewed(self.name, outcome, why)

    def _world(self) -> World:
        return World(
            nodes=self._nodes,
            memory=self.machine.memory,
            view=self.machine.view,
            limits=self.policy.limits,
            monotonic=clock.monotonic,
            boottime=clock.boottime,
            poll_timeout_s=self.policy.timeout_s,
            owner=self.leadership.owner,
            clocks=self._clocks,
            targets=self._targets,
            cluster=self.name,
            dead_man=self._renewals.dead_man,
            frozen_at=self._frozen_at,
            wal=self._wal,
            held=self._rounds.held,
        )
