"""One cluster: one queue, one consumer; journal with fsync, then effects.

Polls, replies, signals, commands and deadlines are all events. `step` is never awaited
and nothing is locked. Whoever performs an effect answers exactly once, within its
deadline; what nobody expected is a bug, ends the daemon, and the journal resumes it.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Protocol

from failoverd.core.diagnosis import ROW_OF, Calls
from failoverd.core.effects import Effect, node_of
from failoverd.core.events import Command, EffectFailed, Event, Observed, Replied, Woke
from failoverd.core.incident import Entry, describe
from failoverd.core.machine import TWO_LOOKS_APART_S, effects, step
from failoverd.core.model import ClusterView, Evidence, Instant, NodeName, NodeReport
from failoverd.core.operator import in_procedure, refusal
from failoverd.core.policy import Policy
from failoverd.core.situation import Machine
from failoverd.core.states import Blocked, Paused, Suspect, Watching
from failoverd.daemon import clock
from failoverd.daemon.journal import Journal, JournalFailed
from failoverd.daemon.loop_lag import LoopLag
from failoverd.effect.perform import perform
from failoverd.effect.world import Node, World
from failoverd.probe.node import Attention, NodeProbe
from failoverd.record.record import Record

HOST_LOOK_EVERY_S = 10.0
JOURNAL_RETRY_S = 1.0
EFFECT_GRACE_S = 15.0


class Observer(Protocol):
    """Whoever turns (before, event, after) into metrics, log lines and reports."""

    def stepped(
        self, cluster: str, before: Machine, event: Event, after: Machine, entry: Entry | None
    ) -> None: ...

    def probed(self, cluster: str, report: NodeReport) -> None: ...

    def journal_failed(self, cluster: str, error: JournalFailed) -> None: ...


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


@dataclass(slots=True)
class _Watch:
    """The rounds of one node."""

    probe: NodeProbe
    hurry: asyncio.Event = field(default_factory=asyncio.Event)
    host_looked_at: Instant | None = None
    fresh_at: Instant | None = None
    wrote_at: Instant | None = None


class Supervisor:
    """Watches one cluster and acts on it."""

    def __init__(
        self,
        name: str,
        policy: Policy,
        nodes: Mapping[NodeName, Node],
        machine: Machine,
        journal: Journal,
        observer: Observer,
        lag: LoopLag,
    ) -> None:
        self.name = name
        self.policy = policy
        self.machine = machine
        self._nodes = nodes
        self._journal = journal
        self._observer = observer
        self._lag = lag
        self._queue: asyncio.Queue[Event | _Ask | Reload | None] = asyncio.Queue()
        self._reports: dict[NodeName, NodeReport] = {}
        self._watches: dict[NodeName, _Watch] = {}
        self._asked: set[tuple[int, Effect]] = set()
        self._doubt = False
        self._wake_at: Instant | None = None
        self._stopping = False
        self._pending: Reload | None = None
        self.stepped_at = clock.monotonic()

    # What others may ask of it.

    async def submit(self, command: Command) -> str | None:
        """None once the command is journaled and in force; else why it was refused."""
        answer: asyncio.Future[str | None] = asyncio.get_running_loop().create_future()
        self._queue.put_nowait(_Ask(command, answer))
        return await answer

    def reload(self, policy: Policy, nodes: Mapping[NodeName, Node]) -> None:
        """Go on with another configuration; during a failover, after it."""
        self._queue.put_nowait(Reload(policy, nodes))

    def request_stop(self) -> None:
        self._stopping = True
        self._queue.put_nowait(None)

    @property
    def in_procedure(self) -> bool:
        return in_procedure(self.machine)

    @property
    def _may_stop(self) -> bool:
        return not in_procedure(self.machine) or isinstance(self.machine.state, Blocked)

    # Its life.

    async def run(self) -> None:
        """Until stopped: at once while watching, after the procedure while in it."""
        while not self._stopping:
            pending, self._pending = self._pending, None
            if pending is not None:
                await self._replace(pending)
            async with asyncio.TaskGroup() as group:
                rounds = [group.create_task(self._watch(name)) for name in self._open()]
                await self._consume(group)
                for task in rounds:
                    task.cancel()
            await self._close_probes()
        for node in self._nodes.values():
            await node.host.close()

    async def _replace(self, reload: Reload) -> None:
        for node in self._nodes.values():
            await node.host.close()
        self.policy = reload.policy
        self._nodes = reload.nodes
        self._reports = {n: r for n, r in self._reports.items() if n in reload.nodes}

    def _open(self) -> list[NodeName]:
        for name, node in self._nodes.items():
            hurry = asyncio.Event()
            probe = NodeProbe(
                name, node.address, node.host, node.arguments, clock.monotonic, hurry.set
            )
            self._watches[name] = _Watch(probe, hurry)
        return list(self._watches)

    async def _close_probes(self) -> None:
        watches, self._watches = self._watches, {}
        await asyncio.gather(*(watch.probe.close() for watch in watches.values()))

    async def _consume(self, group: asyncio.TaskGroup) -> None:
        """The one consumer. Returns when it may stop, or when a reload may be taken up."""
        self._start_effects(group, effects(self.machine))
        while not (self._stopping and self._may_stop):
            if self._pending is not None and self._may_stop:
                return
            event = await self._next()
            match event:
                case None:
                    continue
                case Reload():
                    self._pending = event
                case _Ask(command=command, answer=answer):
                    refused = refusal(self.machine, command, self.policy)
                    if refused is None and not await self._step(command, group):
                        refused = "the journal cannot be written: nothing is done without it"
                    if not answer.done():
                        answer.set_result(refused)
                case _:
                    await self._step_or_keep(event, group)

    async def _next(self) -> Event | _Ask | Reload | None:
        if self._wake_at is None:
            return await self._queue.get()
        delay = max(0.0, self._wake_at - clock.monotonic())
        try:
            async with asyncio.timeout(delay):
                return await self._queue.get()
        except TimeoutError:
            return Woke()

    async def _step_or_keep(self, event: Event, group: asyncio.TaskGroup) -> None:
        """A reply that could not be journaled is not lost: it comes again."""
        if await self._step(event, group) or not isinstance(event, Replied):
            return
        loop = asyncio.get_running_loop()
        loop.call_later(JOURNAL_RETRY_S, self._queue.put_nowait, event)

    async def _step(self, event: Event, group: asyncio.TaskGroup) -> bool:
        """Decide, journal, then act. False: the journal failed, and nothing was done."""
        before, now = self.machine, clock.now()
        decided = step(before, event, now, self.policy)
        entry = describe(before, event, decided.machine, self.policy)
        if entry is not None:
            record = Record(self.name, now.wall, decided.machine.epoch, entry, decided.machine)
            try:
                await self._journal.append(record)
            except JournalFailed as error:
                self._observer.journal_failed(self.name, error)
                self._wake_at = Instant(clock.monotonic() + JOURNAL_RETRY_S)
                return False
        self.machine = decided.machine
        self._wake_at = decided.wake_at
        self.stepped_at = clock.monotonic()
        self._observer.stepped(self.name, before, event, decided.machine, entry)
        self._start_effects(group, decided.effects)
        if before.memory.primary != decided.machine.memory.primary:
            self._look_at_everyone()
        self._hasten()
        return True

    def _start_effects(self, group: asyncio.TaskGroup, wanted: tuple[Effect, ...]) -> None:
        visit = self.machine.visit
        self._asked = {key for key in self._asked if key[0] == visit}
        for effect in wanted:
            if (visit, effect) not in self._asked:
                self._asked.add((visit, effect))
                group.create_task(self._perform(visit, effect))

    async def _perform(self, visit: int, effect: Effect) -> None:
        world = World(
            nodes=self._nodes,
            memory=self.machine.memory,
            limits=self.policy.limits,
            monotonic=clock.monotonic,
            poll_timeout_s=self.policy.timeout_s,
        )
        limits = self.policy.limits
        longest = max(limits.fence_s, limits.promote_s, limits.confirm_s) + EFFECT_GRACE_S
        try:
            async with asyncio.timeout(longest):
                result = await perform(effect, world)
        except TimeoutError:
            sentence = f"no answer from {node_of(effect)} in {longest:.0f} s: unknown"
            result = EffectFailed("timed_out", Evidence(sentence))
        self._queue.put_nowait(Replied(visit, effect, result))

    # The rounds.

    async def _watch(self, name: NodeName) -> None:
        """Keeps its beat: a slow or hung node never delays another."""
        watch = self._watches[name]
        beat = clock.monotonic()
        while True:
            watch.hurry.clear()
            report = await watch.probe.round(
                self._attention(name, watch), self._raise_doubt, self._was_ours
            )
            self._reports[name] = report
            if name == self.machine.memory.primary:
                self._doubt = not (report.held.ok and report.fresh.ok)
            self._observer.probed(self.name, report)
            self._queue.put_nowait(Observed(self._view()))
            beat = Instant(max(beat + self.policy.interval_s, clock.monotonic()))
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(max(0.0, beat - clock.monotonic())):
                    await watch.hurry.wait()

    def _view(self) -> ClusterView:
        ours = [report.ours for report in self._reports.values()]
        return ClusterView(dict(self._reports), bool(ours) and all(ours))

    def _attention(self, name: NodeName, watch: _Watch) -> Attention:
        primary = self.machine.memory.primary
        moment = clock.monotonic()
        calm = isinstance(self.machine.state, (Watching, Paused))
        host = (
            watch.host_looked_at is None
            or moment - watch.host_looked_at >= HOST_LOOK_EVERY_S
            or name not in self.machine.memory.calibrations
            or not calm
        )
        if host:
            watch.host_looked_at = moment
        write = self.policy.write_check and name == primary and self._write_due(watch, moment)
        node = self._nodes.get(primary) if primary is not None else None
        address = node.address if node is not None else None
        return Attention(
            is_primary=name == primary,
            in_doubt=self._doubt or not calm,
            host=host,
            fresh=self._fresh_due(watch, moment),
            write_check=write,
            primary_address=(address.host, address.port) if address is not None else None,
            timeout_s=self.policy.timeout_s,
        )

    def _fresh_due(self, watch: _Watch, moment: Instant) -> bool:
        # A round that begins a little early on its beat is not one too few.
        every = self.policy.fresh_interval_s - self.policy.interval_s / 2
        if watch.fresh_at is not None and moment - watch.fresh_at < every:
            return False
        watch.fresh_at = moment
        return True

    def _write_due(self, watch: _Watch, moment: Instant) -> bool:
        every = self.policy.write_check_interval_s
        if not self._doubt and watch.wrote_at is not None and moment - watch.wrote_at < every:
            return False
        watch.wrote_at = moment
        return True

    def _raise_doubt(self) -> None:
        """The primary hesitates: the standbys and their hosts are asked at once."""
        if self._doubt:
            return
        self._doubt = True
        for name, watch in self._watches.items():
            if name != self.machine.memory.primary:
                watch.hurry.set()

    def _look_at_everyone(self) -> None:
        for watch in self._watches.values():
            watch.hurry.set()

    def _was_ours(self, began: Instant) -> bool:
        return self._lag.worst_since(began) > self.policy.timeout_s / 4

    def _hasten(self) -> None:
        """The second of two conclusive looks does not wait for the beat."""
        state, primary = self.machine.state, self.machine.memory.primary
        if not isinstance(state, Suspect) or primary not in self._watches:
            return
        if ROW_OF[state.diagnosis].calls is not Calls.AFTER_TWO_LOOKS or not self.policy.fast_path:
            return
        delay = state.looked_at + TWO_LOOKS_APART_S - clock.monotonic()
        hurry: Callable[[], None] = self._watches[primary].hurry.set
        asyncio.get_running_loop().call_later(max(0.0, delay), hurry)
