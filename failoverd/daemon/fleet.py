"""All clusters of one daemon: built from the configuration, reloaded all or nothing.

A reload takes clusters up, lets others go and changes some; the rest is not touched by it.
"""

from __future__ import annotations

import asyncio
import functools
from collections.abc import Collection, Iterator, Mapping
from pathlib import Path
from typing import Any

from failoverd.config.load import load
from failoverd.config.means import means_of
from failoverd.config.messages import ConfigurationErrors
from failoverd.config.models import Cluster, Configuration
from failoverd.core.diagnosis import Diagnosis
from failoverd.core.events import Command, Event
from failoverd.core.incident import Entry
from failoverd.core.judged import Verdict
from failoverd.core.model import NodeReport
from failoverd.core.objectives import Objective
from failoverd.core.readiness import Check
from failoverd.core.sentences import state_sentence
from failoverd.core.situation import Machine
from failoverd.core.states import Starting, StateName, name_of
from failoverd.daemon import clock
from failoverd.daemon.agent_check import ports_of
from failoverd.daemon.audit import Audit
from failoverd.daemon.changes import Changes, changes, left_undone, why_not_removed
from failoverd.daemon.coordination import Coordination
from failoverd.daemon.garbage import leave_alone_what_came
from failoverd.daemon.incidents import Incidents
from failoverd.daemon.journal import Journal, JournalFailed
from failoverd.daemon.journal_file import JournalError
from failoverd.daemon.leadership import leadership_document
from failoverd.daemon.notifications import Notifications
from failoverd.daemon.preflight import Preflight
from failoverd.daemon.rehearsal import Order, rehearse
from failoverd.daemon.renewals import Renewal
from failoverd.daemon.running import Answers, Running, starts
from failoverd.daemon.shared import Shared
from failoverd.daemon.supervisor import LET_GO_WITHIN_S, Supervisor
from failoverd.daemon.taken import Taken, changed, taken_up
from failoverd.observability import log
from failoverd.observability.live import Live
from failoverd.observability.metrics import Metrics
from failoverd.observability.notices import notice
from failoverd.observability.page import MANY_CLUSTERS
from failoverd.observability.readiness import changes as changed_checks
from failoverd.observability.readiness import readiness_document
from failoverd.observability.report import Number
from failoverd.observability.status import status_document

LAG_EVERY_S = 1.0
STALLED_S = 30.0


class Fleet:
    """Every cluster's supervisor, and what the outside may see and ask of them."""

    def __init__(
        self, configuration: Configuration, path: Path, journal: Journal, metrics: Metrics
    ) -> None:
        self._configuration = configuration
        self._path = path
        self._journal = journal
        self._metrics = metrics
        self._incidents = Incidents(journal)
        self._audit = Audit(journal.directory)
        self._notifications = Notifications(configuration.daemon.notify, journal.directory, metrics)
        self.live = Live(clock.wall())
        self._shared = Shared.of(configuration)
        self._shared.watch(configuration)
        self._coordination = Coordination(configuration.daemon, journal)
        self._renewed: dict[str, Renewal] = {}
        self.supervisors: dict[str, Supervisor] = {}
        self.preflights: dict[str, Preflight] = {}
        for name, section in configuration.clusters.items():
            self._take_up(self._supervise(name, section))
        self._running: Running | None = None
        self._stopping = False
        self._leaving: dict[str, Cluster] = {}
        self._reloading = asyncio.Lock()

    def _take_up(self, taken: Taken) -> None:
        """It is known from now on; every series of it exists."""
        one, last = taken.supervisor, taken.latest
        self._metrics.seed(one.name, one.policy, taken.transitions, taken.failovers)
        if last is not None:
            self._metrics.latest(one.name, last["id"], last["trigger"], last["outcome"])
        self.supervisors[one.name] = one
        self.preflights[one.name] = self._preflight(one)

    def _supervise(self, name: str, section: Cluster) -> Taken:
        leadership = self._coordination.leadership_of(name)
        return taken_up(
            name, section, self._journal, self._incidents, self, self._shared, leadership
        )

    def _preflight(self, watched: Supervisor) -> Preflight:
        name = watched.name
        return Preflight(
            watched,
            lambda: means_of(self._section_of(name)),
            self._configuration.daemon.state_dir,
            functools.partial(self.surveyed, name),
            lambda error: log.logger().error(f"readiness is not known: {error!r}", cluster=name),
            self._shared.pace,
        )

    def _section_of(self, name: str) -> Cluster:
        """Also of a cluster that is being let go of."""
        return self._configuration.clusters.get(name) or self._leaving[name]

    async def run(self) -> None:
        """Until every supervisor has stopped."""
        async with asyncio.TaskGroup() as group:
            beside = [
                group.create_task(one)
                for one in (
                    self._shared.lag.run(),
                    self._report_lag(),
                    self._notifications.run(),
                    self._coordination.run(),
                )
            ]
            self._running = Running(group, self._ended, leave_alone_what_came)
            self._begin(tuple(self.supervisors))
            await self._running.until_all_are_over()
            for task in beside:
                task.cancel()
        await self._coordination.close()
        self._notifications.close()
        self._audit.close()

    def _begin(self, names: tuple[str, ...]) -> None:
        """One after the other; what was interrupted, or is no sooner told to stop, at once."""
        assert self._running is not None
        at_once = {n for n in names if self._stopping or self.supervisors[n].in_procedure}
        for name, after_s in starts(names, frozenset(at_once)):
            one, answers = self.supervisors[name], self._answers(name, self._section_of(name))
            self._running.begin(name, one, self.preflights[name], answers, after_s)

    def _answers(self, name: str, section: Cluster) -> Answers:
        """Where HAProxy may ask, and of what."""
        machine = functools.partial(self.machine_of, name)
        return dict.fromkeys(ports_of(section), machine)

    def _ended(self, name: str) -> None:
        """One that left the configuration is forgotten: what its journal has of it stays."""
        if name not in self._leaving:
            return
        machine = self.supervisors.pop(name).machine
        del self.preflights[name], self._leaving[name]
        self._renewed.pop(name, None)
        self._coordination.forget(name)
        self._metrics.forget(name)
        self._incidents.forget(name)
        log.forget(name)
        undone = ", ".join(left_undone(machine))
        if undone:
            log.logger().warning(
                f"watched no more, and nobody sees to it any more: {undone}", cluster=name
            )
        else:
            log.logger().info("watched no more: it left the configuration", cluster=name)

    async def _report_lag(self) -> None:
        while True:
            began = clock.monotonic()
            await asyncio.sleep(LAG_EVERY_S)
            self._metrics.loop_lag(self._shared.lag.worst_since(began))
            for name, one in self.supervisors.items():
                self._coordination.say(name, one.leadership.standing)

    def request_stop(self) -> None:
        self._stopping = True
        if self._running is not None:
            self._running.survey_no_more()
        for name in self.supervisors:
            self._let_go(name)

    def _let_go(self, name: str) -> None:
        if self._running is not None:
            self._running.hurry(name)
        self.supervisors[name].request_stop()

    @property
    def in_procedure(self) -> bool:
        return any(one.in_procedure for one in self.supervisors.values())

    def alive(self) -> bool:
        """Every supervisor has taken a step lately: what the watchdog is told."""
        oldest, running = clock.monotonic() - STALLED_S, self._running
        return running is None or all(
            one.stepped_at > oldest
            for name, one in self.supervisors.items()
            if running.has_begun(name)
        )

    def machine_of(self, cluster: str) -> Machine:
        return self.supervisors[cluster].machine

    # Target: what operators may ask.

    async def submit(self, cluster: str, command: Command) -> str | None:
        """None when it is in force; else the reason why not."""
        supervisor = self.supervisors.get(cluster)
        if supervisor is None:
            known = ", ".join(sorted(self.supervisors))
            return f"no cluster is called {cluster!r}: one of {known}"
        if self._running is not None:
            self._running.hurry(cluster)
        refused = await supervisor.submit(command)
        self._audit.command(cluster, command, refused, clock.wall())
        return refused

    async def reload(self, by: str) -> str | None:
        """All of the new configuration, or none of it and the reason."""
        async with self._reloading:
            refused = await self._reload()
        self._metrics.reloaded(ok=refused is None, at=clock.wall())
        self._audit.note(by, "reload", refused, clock.wall())
        return refused

    async def _reload(self) -> str | None:
        """Clusters that are written as before are not touched."""
        try:
            configuration = await asyncio.to_thread(load, self._path)
            sections, found = configuration.clusters, changes(self._configuration, configuration)
            supervise = asyncio.to_thread
            added = [await supervise(self._supervise, n, sections[n]) for n in found.added]
        except (ConfigurationErrors, JournalError) as error:
            return str(error)
        refused = self._why_not(configuration, found)
        if refused is not None:
            return refused
        plans = {n: changed(n, sections[n], self._shared) for n in found.changed}
        before, self._configuration = self._configuration, configuration
        self._shared.watch(configuration)
        self._leaving |= {name: before.clusters[name] for name in found.removed}
        for one in added:
            self._take_up(one)
        self._begin(found.added)
        for name, plan in plans.items():
            self.supervisors[name].reload(plan)
        log.logger().info(f"clusters that the configuration has otherwise: {found}")
        await self._answer_elsewhere(found.changed, before)
        await self._leave(found.removed)
        return None

    def _why_not(self, configuration: Configuration, found: Changes) -> str | None:
        if self._stopping or self._running is None:
            return "the daemon is not running, or stops; nothing was changed"
        if configuration.daemon != self._configuration.daemon:
            return "the section daemon was changed: that needs a restart; nothing was changed"
        again = ", ".join(sorted(self._leaving.keys() & configuration.clusters.keys()))
        if again:
            return f"{again}: still being let go of: reload again in a while; nothing was changed"
        machines = {name: self.machine_of(name) for name in found.removed}
        return why_not_removed(found.removed, machines)

    async def _answer_elsewhere(self, names: tuple[str, ...], before: Configuration) -> None:
        for name in names:
            section = self._configuration.clusters[name]
            if self._running is not None and ports_of(before.clusters[name]) != ports_of(section):
                await self._running.answer(name, self._answers(name, section))

    async def _leave(self, names: tuple[str, ...]) -> None:
        """A failover that begins in this very moment is finished first, and not waited for here."""
        for name in names:
            self._let_go(name)
        if self._running is not None:
            await self._running.until_gone(names, LET_GO_WITHIN_S + 1.0)
            await asyncio.sleep(0)

    # Source: what the outside may see.

    def clusters(self) -> tuple[str, ...]:
        return tuple(sorted(self.supervisors))

    def status(self, cluster: str) -> Mapping[str, Any]:
        supervisor = self.supervisors[cluster]
        document = status_document(cluster, supervisor.machine, clock.now(), supervisor.policy)
        leadership = leadership_document(supervisor.leadership.standing)
        readiness = _readiness(self.preflights[cluster])
        return {**document, "leadership": leadership, "readiness": readiness}

    def told(self) -> list[str]:
        """A sentence each; of many, only of those that are not simply watched."""
        few = len(self.supervisors) <= MANY_CLUSTERS
        told = [
            f"{name}: {state_sentence(one.machine)}"
            for name, one in self.supervisors.items()
            if few or name_of(one.machine.state) is not StateName.WATCHING
        ]
        return told if few else [f"{len(self.supervisors)} clusters", *told[:MANY_CLUSTERS]]

    async def check(self, cluster: str) -> Mapping[str, Any]:
        """As it is now: everything is looked at anew. Changes nothing."""
        known = self.preflights[cluster]
        await known.look_now()
        return _readiness(known)

    def rehearsal(self, cluster: str, order: Order) -> Mapping[str, Any]:
        """What that order would do now; nothing is done."""
        one = self.supervisors[cluster]
        return rehearse(one.machine, clock.now(), one.policy, one.nodes, order)

    def ready(self, cluster: str) -> bool:
        """Watching, and not blind."""
        machine = self.supervisors[cluster].machine
        watching = name_of(machine.state) is StateName.WATCHING
        return watching and machine.diagnosis not in (None, Diagnosis.BLIND)

    def metrics(self, wanted: Collection[str] = ()) -> Iterator[bytes]:
        for name, one in self.supervisors.items():
            self._metrics.leads(name, leads=one.leadership.standing.leads)
        return self._metrics.exposition(wanted)

    def incidents(self, cluster: str) -> list[dict[str, Any]]:
        """Newest first, a line each."""
        return self._incidents.listed(cluster)

    def incident(self, cluster: str, number: Number) -> dict[str, Any] | None:
        return self._incidents.document(cluster, number)

    def incident_report(self, cluster: str, number: Number, form: str) -> str | None:
        return self._incidents.text(cluster, number, form)

    def explained(self, cluster: str, number: Number) -> dict[str, Any] | None:
        return self._incidents.explained(cluster, number)

    def explained_in_words(self, cluster: str, number: Number) -> str | None:
        return self._incidents.explained_in_words(cluster, number)

    # Observer: what every step is turned into.

    def stepped(
        self, cluster: str, before: Machine, event: Event, after: Machine, entry: Entry | None
    ) -> None:
        policy = self.supervisors[cluster].policy
        arrived = isinstance(before.state, Starting) and not isinstance(after.state, Starting)
        if arrived and self._running is not None:
            self._running.arrived(cluster)
        self._metrics.stepped(cluster, before, event, after, clock.now(), policy)
        log.step_logged(cluster, before, event, after, entry)
        if entry is not None and entry.is_news:
            self.live.stepped(cluster, before, event, after, entry, at=clock.wall())
            told = notice(cluster, before, event, after, entry, clock.wall())
            if told is not None:
                self._notifications.note(told)
            self._incidents.stepped(cluster, before, event, after, entry)

    def probed(self, cluster: str, report: NodeReport) -> None:
        self._metrics.probed(cluster, report, self.supervisors[cluster].machine)

    def began_late(self, seconds: float) -> None:
        self._metrics.began_late(seconds)

    def surveyed(
        self, cluster: str, checks: tuple[Check, ...], objectives: tuple[Objective, ...]
    ) -> None:
        if cluster not in self.preflights:
            return  # it was asked for, and is watched no more
        before = self.preflights[cluster].checks
        self._metrics.surveyed(cluster, checks, objectives)
        for verdict, sentence in changed_checks(before, checks):
            tell = log.logger().warning if verdict is Verdict.FAIL else log.logger().info
            tell(sentence, cluster=cluster)
        if not before:
            for one in objectives:
                log.logger().info(f"worst case of an outage: {one.sentence}", cluster=cluster)

    def renewed(self, cluster: str, outcome: Renewal, why: str) -> None:
        self._metrics.renewed(cluster, outcome)
        before = self._renewed.get(cluster, Renewal.ACKNOWLEDGED)
        self._renewed[cluster] = outcome
        if outcome is before:
            return
        if outcome is Renewal.ACKNOWLEDGED:
            log.logger().info("renewals of the dead-man are acknowledged again", cluster=cluster)
        else:
            log.logger().warning(f"a renewal of the dead-man was {outcome}: {why}", cluster=cluster)

    def journal_failed(self, cluster: str, error: JournalFailed) -> None:
        log.logger().error(
            f"the journal failed: nothing is done without it: {error}", cluster=cluster
        )

    def journal_works(self, cluster: str) -> None:
        log.logger().warning("the journal can be written again", cluster=cluster)


def _readiness(known: Preflight) -> dict[str, Any]:
    """As it was last judged."""
    ago = None if known.judged_at is None else round(clock.monotonic() - known.judged_at, 1)
    return readiness_document(known.checks, known.objectives, ago)
