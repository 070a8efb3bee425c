"""When each node is looked at, and how closely: its beat, and every reason not to wait for it."""

from __future__ import annotations

import asyncio
import functools
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

from failoverd.core.machine import TWO_LOOKS_APART_S
from failoverd.core.model import Cause, ClusterView, Instant, NodeName, NodeReport
from failoverd.core.policy import Policy
from failoverd.core.situation import Machine
from failoverd.daemon import clock
from failoverd.daemon.closeness import LookedAt, first_of_two
from failoverd.daemon.shared import Shared
from failoverd.effect.world import Node
from failoverd.probe.node import NodeProbe
from failoverd.transport.postgres import SqlSession


@dataclass(slots=True)
class _Watch:
    """The rounds of one node."""

    probe: NodeProbe
    looked: LookedAt
    hurry: asyncio.Event = field(default_factory=asyncio.Event)
    cause: Cause = Cause.BEAT
    """Of the next round."""
    died_at: Instant | None = None
    """When the death of its held session was last a reason to look."""


class Rounds:
    """Looks at every node, each in a task of its own: a hung one never delays another."""

    def __init__(
        self,
        nodes: Mapping[NodeName, Node],
        shared: Shared,
        present: Callable[[], tuple[Machine, Policy]],
        looked: Callable[[NodeReport, ClusterView], None],
        late: Callable[[float], None],
    ) -> None:
        self.nodes = nodes
        self._late = late
        self._shared = shared
        self._present = present
        self._looked = looked
        self._reports: dict[NodeName, NodeReport] = {}
        self._watches: dict[NodeName, _Watch] = {}
        self._doubt = False
        self._second_look_of: Instant | None = None

    def begin(self, group: asyncio.TaskGroup) -> list[asyncio.Task[None]]:
        """One task for each node, to be cancelled before `close`."""
        self._reports = {n: r for n, r in self._reports.items() if n in self.nodes}
        for name, node in self.nodes.items():
            probe = NodeProbe(
                name,
                node.address,
                node.host,
                node.arguments,
                clock.monotonic,
                functools.partial(self._session_died, name),
            )
            self._watches[name] = _Watch(probe, LookedAt(self._shared.pace))
        return [group.create_task(self._watch(name)) for name in self._watches]

    async def close(self) -> None:
        watches, self._watches = self._watches, {}
        await asyncio.gather(*(watch.probe.close() for watch in watches.values()))

    def held(self, name: NodeName) -> SqlSession | None:
        """The standing session of a node, where it has one."""
        watch = self._watches.get(name)
        return None if watch is None else watch.probe.held

    def look_at_everyone(self) -> None:
        for name in self._watches:
            self._hurry(name, Cause.NEW_PRIMARY)

    def hasten(self) -> None:
        """The second of two conclusive looks does not wait for the beat."""
        machine, policy = self._present()
        first = first_of_two(machine, policy)
        primary = machine.memory.primary
        if first is None or primary is None or self._second_look_of == first:
            return
        self._second_look_of = first
        delay = max(0.0, first + TWO_LOOKS_APART_S - clock.monotonic())
        loop = asyncio.get_running_loop()
        loop.call_later(delay, self._hurry, primary, Cause.SECOND_LOOK)

    async def _watch(self, name: NodeName) -> None:
        """Keeps its beat; a round in between does not put the next one off."""
        watch = self._watches[name]
        beat = clock.monotonic()
        while True:
            if clock.monotonic() >= beat:
                _, policy = self._present()
                beat = Instant(max(beat, clock.monotonic()) + policy.interval_s)
            watch.hurry.clear()
            cause, watch.cause = watch.cause, Cause.BEAT
            machine, policy = self._present()
            primary = machine.memory.primary
            node = self.nodes.get(primary) if primary is not None else None
            attention = watch.looked.attention(
                name, clock.monotonic(), machine, policy, doubt=self._doubt,
                primary_address=None if node is None else (node.address.host, node.address.port),
            )  # fmt: skip
            lag = self._shared.lag.worst_since
            report = await watch.probe.round(attention, self._raise_doubt, lag, cause)
            self._reports[name] = report
            machine, _ = self._present()
            if name == machine.memory.primary:
                self._doubt = not (report.held.ok and report.fresh.ok) and not report.ours
            self._looked(report, self._view())
            now = clock.monotonic()
            due = max(beat, now)
            on_beat = asyncio.get_running_loop().call_later(due - now, watch.hurry.set)
            try:
                await watch.hurry.wait()
            finally:
                on_beat.cancel()
            if watch.cause is Cause.BEAT:
                self._late(max(0.0, clock.monotonic() - due))

    def _view(self) -> ClusterView:
        ours = [report.ours for report in self._reports.values()]
        return ClusterView(dict(self._reports), bool(ours) and all(ours))

    def _raise_doubt(self) -> None:
        """The primary hesitates: the standbys and their hosts are asked at once."""
        if self._doubt:
            return
        self._doubt = True
        machine, _ = self._present()
        for name in self._watches:
            if name != machine.memory.primary:
                self._hurry(name, Cause.DOUBT)

    def _session_died(self, name: NodeName) -> None:
        """A reason to look at once; but not more than once a beat, whoever keeps ending it."""
        watch, moment = self._watches.get(name), clock.monotonic()
        _, policy = self._present()
        if watch is None:
            return
        if watch.died_at is None or moment - watch.died_at >= policy.interval_s:
            watch.died_at = moment
            self._hurry(name, Cause.SESSION_DIED)

    def _hurry(self, name: NodeName, cause: Cause) -> None:
        """Its next round begins now, or as soon as the present one is over."""
        watch = self._watches.get(name)
        if watch is not None:
            watch.cause = cause
            watch.hurry.set()
