"""The rounds of looks of one daemon: daemon/rounds.py in virtual time."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING

from failoverd.core.events import Observed
from failoverd.core.machine import TWO_LOOKS_APART_S
from failoverd.core.model import Cause, ClusterView, DaemonReport, Instant, NodeName, NodeReport
from failoverd.daemon.closeness import LookedAt, first_of_two
from tests.sim.kernel import Process, Steps
from tests.sim.looking import Eye, address, round_of
from tests.sim.reach import Session
from tests.sim.ways import Looks

if TYPE_CHECKING:
    from tests.sim.daemon import Daemon


class Rounds:
    """Of one life of a daemon: what was seen in an earlier one is forgotten."""

    def __init__(self, d: Daemon, looks: Looks) -> None:
        self.d = d
        self.looks = looks
        self.doubt = False
        self.reports: dict[NodeName, NodeReport] = {}
        self._second_look_of: Instant | None = None
        self._eyes = {name: Eye() for name in d.world.hosts}
        self._looked = {name: LookedAt() for name in d.world.hosts}
        self._hurried: dict[NodeName, Cause] = {}
        self._watchers: dict[NodeName, Process] = {}
        self._waiting: set[NodeName] = set()

    def held(self, name: NodeName) -> Session | None:
        return self._eyes[name].session

    def begin(self, spawn: Callable[[Steps], Process]) -> None:
        self._watchers = {name: spawn(self._watch(name)) for name in self.d.world.hosts}

    def _watch(self, name: NodeName) -> Steps:
        """Keeps its beat; a round in between does not put the next one off."""
        d, world = self.d, self.d.world
        beat = world.now
        yield world.random.uniform(0.0, 0.05)
        while True:
            if world.now >= beat:
                beat = max(beat, world.now) + d.policy.interval_s
            cause = self._hurried.pop(name, Cause.BEAT)
            primary = d.machine.memory.primary
            attention = self._looked[name].attention(
                name,
                Instant(d.monotonic()),
                d.machine,
                d.policy,
                doubt=self.doubt,
                primary_address=None if primary is None else (address(world, primary), 5432),
            )
            report: NodeReport = yield from round_of(d, name, self._eyes[name], attention, cause)
            before = d.machine.view.report(name)
            if (report.heard, report.host.look.ok) > (before.heard, before.host.look.ok):
                self.looks.hasten()
            self.reports[name] = report
            if name == d.machine.memory.primary:
                self.doubt = not (report.held.ok and report.fresh.ok) and not report.ours
            d.happens(Observed(self._view(report), self.looks.seen))
            if world.now < beat and name not in self._hurried:
                self._waiting.add(name)
                yield beat - world.now
                self._waiting.discard(name)

    def _view(self, report: NodeReport) -> ClusterView:
        ours = all(r.ours for r in self.reports.values())
        failing = self.d.journal_failing
        return ClusterView(dict(self.reports), ours, failing, self._others(report))

    def _others(self, report: NodeReport) -> Mapping[str, DaemonReport]:
        """The others are told of the primary; what they say of it."""
        candidacy, machine = self.d.candidacy, self.d.machine
        if candidacy is None:
            return {}
        if report.name == machine.memory.primary:
            candidacy.onlooking.looked(report, blind=machine.diagnosis == "blind")
        return candidacy.onlooking.others

    def raise_doubt(self) -> None:
        if self.doubt:
            return
        self.doubt = True
        for name in self.d.world.hosts:
            if name != self.d.machine.memory.primary:
                self._hurry(name, Cause.DOUBT)

    def look_at_everyone(self) -> None:
        for name in self.d.world.hosts:
            self._hurry(name, Cause.NEW_PRIMARY)

    def session_died(self, name: NodeName) -> None:
        """The canary: whoever ends a server ends our session on it, if the link lets it through."""
        if self.d.world.passes(name, self.d.name):
            self._hurry(name, Cause.SESSION_DIED)

    def hasten(self) -> None:
        """The second of two conclusive looks does not wait for the beat."""
        d = self.d
        first, primary = first_of_two(d.machine, d.policy), d.machine.memory.primary
        if first is None or primary is None or self._second_look_of == first:
            return
        self._second_look_of = first
        delay = max(0.0, first + TWO_LOOKS_APART_S - d.monotonic())
        d.world.kernel.after(delay, self._second_look, primary)

    def _second_look(self, primary: NodeName) -> None:
        if self.d.life is not None and self.d.life.rounds is self:
            self._hurry(primary, Cause.SECOND_LOOK)

    def _hurry(self, name: NodeName, cause: Cause) -> None:
        self._hurried[name] = cause
        if name in self._waiting:
            self._waiting.discard(name)
            self.d.world.kernel.poke(self._watchers[name])
