"""All clusters of one daemon: built from the configuration, reloaded all or nothing."""

from __future__ import annotations

import asyncio
import functools
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from failoverd.config.load import load
from failoverd.config.means import means_of
from failoverd.config.messages import ConfigurationErrors
from failoverd.config.models import Configuration
from failoverd.config.policy import to_policy
from failoverd.core.diagnosis import Diagnosis
from failoverd.core.events import Command, Event
from failoverd.core.incident import Entry
from failoverd.core.judged import Verdict
from failoverd.core.model import NodeReport
from failoverd.core.numbering import number_of
from failoverd.core.objectives import Objective
from failoverd.core.readiness import Check
from failoverd.core.restart import restored
from failoverd.core.situation import Machine
from failoverd.core.states import Settling, StateName, Suspect, name_of
from failoverd.daemon import clock
from failoverd.daemon.agent_check import Port, ports_of
from failoverd.daemon.audit import Audit
from failoverd.daemon.incidents import Incidents
from failoverd.daemon.journal import Journal, JournalFailed
from failoverd.daemon.loop_lag import LoopLag
from failoverd.daemon.nodes import nodes_of
from failoverd.daemon.notifications import Notifications
from failoverd.daemon.preflight import Preflight
from failoverd.daemon.rehearsal import Order, rehearse
from failoverd.daemon.renewals import Renewal
from failoverd.daemon.supervisor import Reload, Supervisor
from failoverd.daemon.targets import ways_of
from failoverd.observability import log
from failoverd.observability.live import Live
from failoverd.observability.metrics import Metrics
from failoverd.observability.notices import notice
from failoverd.observability.readiness import changes, readiness_document
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
        self._lag = LoopLag()
        self._renewed: dict[str, Renewal] = {}
        self.supervisors: dict[str, Supervisor] = {
            name: self._supervise(name, configuration) for name in configuration.clusters
        }
        self.preflights: dict[str, Preflight] = {
            name: self._preflight(name) for name in self.supervisors
        }
        self._beside: list[asyncio.Task[None]] = []

    def _supervise(self, name: str, configuration: Configuration) -> Supervisor:
        section = configuration.clusters[name]
        latest = self._journal.latest(name)
        ago_s = self._journal.age_of_latest_s(name, clock.wall())
        now = clock.monotonic()
        machine = Machine(entered_at=now) if latest is None else restored(latest, now, ago_s)
        policy = to_policy(name, section)
        self._metrics.seed(
            name, policy, self._journal.transitions(name), self._journal.failovers(name)
        )
        last = self._incidents.latest(name)
        if last is not None:
            self._metrics.latest(name, last["id"], last["trigger"], last["outcome"])
        return Supervisor(
            name,
            policy,
            nodes_of(name, section),
            machine,
            self._journal,
            self,
            self._lag,
            targets=ways_of(section),
        )

    def _preflight(self, name: str) -> Preflight:
        return Preflight(
            self.supervisors[name],
            lambda: means_of(self._configuration.clusters[name]),
            self._configuration.daemon.state_dir,
            functools.partial(self.surveyed, name),
            lambda error: log.logger().error(f"readiness is not known: {error!r}", cluster=name),
        )

    async def run(self) -> None:
        """Until every supervisor has stopped."""
        async with asyncio.TaskGroup() as group:
            ticker = group.create_task(self._lag.run())
            reporter = group.create_task(self._report_lag())
            self._beside = [group.create_task(one.run()) for one in self.preflights.values()]
            telling = group.create_task(self._notifications.run())
            watching = [group.create_task(one.run()) for one in self.supervisors.values()]
            await asyncio.wait(watching)
            for task in (ticker, reporter, telling, *self._beside):
                task.cancel()
        self._notifications.close()
        self._audit.close()

    async def _report_lag(self) -> None:
        while True:
            began = clock.monotonic()
            await asyncio.sleep(LAG_EVERY_S)
            self._metrics.loop_lag(self._lag.worst_since(began))

    def request_stop(self) -> None:
        for task in self._beside:
            task.cancel()
        for supervisor in self.supervisors.values():
            supervisor.request_stop()

    @property
    def in_procedure(self) -> bool:
        return any(one.in_procedure for one in self.supervisors.values())

    def alive(self) -> bool:
        """Every supervisor has taken a step lately: what the watchdog is told."""
        oldest = clock.monotonic() - STALLED_S
        return all(one.stepped_at > oldest for one in self.supervisors.values())

    def agent_checks(self) -> Mapping[Port, Callable[[], Machine]]:
        """Where HAProxy may ask, and of what; as of the start."""
        return {
            port: functools.partial(self.machine_of, name)
            for name, section in self._configuration.clusters.items()
            for port in ports_of(section)
        }

    def machine_of(self, cluster: str) -> Machine:
        return self.supervisors[cluster].machine

    # Target: what operators may ask.

    async def submit(self, cluster: str, command: Command) -> str | None:
        """None when it is in force; else the reason why not."""
        supervisor = self.supervisors.get(cluster)
        if supervisor is None:
            known = ", ".join(sorted(self.supervisors))
            return f"no cluster is called {cluster!r}: one of {known}"
        refused = await supervisor.submit(command)
        self._audit.command(cluster, command, refused, clock.wall())
        return refused

    async def reload(self, by: str) -> str | None:
        """All of the new configuration, or none of it and the reason."""
        refused = await self._reload()
        self._audit.note(by, "reload", refused, clock.wall())
        return refused

    async def _reload(self) -> str | None:
        try:
            configuration = await asyncio.to_thread(load, self._path)
        except ConfigurationErrors as errors:
            self._metrics.reloaded(ok=False, at=clock.wall())
            return str(errors)
        if set(configuration.clusters) != set(self.supervisors):
            self._metrics.reloaded(ok=False, at=clock.wall())
            return "clusters were added or removed: that needs a restart; nothing was changed"
        if configuration.daemon != self._configuration.daemon:
            self._metrics.reloaded(ok=False, at=clock.wall())
            return "the section daemon was changed: that needs a restart; nothing was changed"
        plans = {
            name: Reload(to_policy(name, section), nodes_of(name, section), ways_of(section))
            for name, section in configuration.clusters.items()
        }
        for name, reload in plans.items():
            self.supervisors[name].reload(reload)
        self._configuration = configuration
        self._metrics.reloaded(ok=True, at=clock.wall())
        return None

    # Source: what the outside may see.

    def clusters(self) -> tuple[str, ...]:
        return tuple(sorted(self.supervisors))

    def status(self, cluster: str) -> Mapping[str, Any]:
        supervisor = self.supervisors[cluster]
        document = status_document(cluster, supervisor.machine, clock.now(), supervisor.policy)
        return {**document, "readiness": self.readiness(cluster)}

    def readiness(self, cluster: str) -> dict[str, Any]:
        """As it was last judged."""
        known = self.preflights[cluster]
        ago = None if known.judged_at is None else round(clock.monotonic() - known.judged_at, 1)
        return readiness_document(known.checks, known.objectives, ago)

    async def check(self, cluster: str) -> Mapping[str, Any]:
        """As it is now: everything is looked at anew. Changes nothing."""
        await self.preflights[cluster].look_now()
        return self.readiness(cluster)

    def rehearsal(self, cluster: str, order: Order) -> Mapping[str, Any]:
        """What that order would do now; nothing is done."""
        one = self.supervisors[cluster]
        return rehearse(one.machine, clock.now(), one.policy, one.nodes, order)

    def ready(self, cluster: str) -> bool:
        """Watching, and not blind."""
        machine = self.supervisors[cluster].machine
        watching = name_of(machine.state) is StateName.WATCHING
        return watching and machine.diagnosis not in (None, Diagnosis.BLIND)

    def metrics(self) -> bytes:
        return self._metrics.exposition()

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
        self._metrics.stepped(cluster, before, event, after, clock.now(), policy)
        log.step_logged(cluster, before, event, after, entry)
        if entry is not None and entry.is_news:
            self.live.stepped(cluster, before, event, after, entry, at=clock.wall())
            told = notice(cluster, before, event, after, entry, clock.wall())
            if told is not None:
                self._notifications.note(told)
            self._incidents.changed(cluster)
            self._reported(cluster, before, event, after, entry)

    def _reported(
        self, cluster: str, before: Machine, event: Event, after: Machine, entry: Entry
    ) -> None:
        """Reports are written anew where a step tells more, and at the end of what they tell."""
        number = number_of(before, event, after)
        if number is None:
            doubted = isinstance(before.state, Suspect) and not isinstance(after.state, Suspect)
            if doubted or entry.outcome is not None:
                self._incidents.write_latest_doubt_soon(cluster)
            return
        if entry.of_incident is not None:
            self._incidents.write_soon(cluster, number, say=True)
        elif entry.split or entry.divergence is not None:
            ended = bool(before.split) and not after.split
            self._incidents.write_soon(cluster, number, say=ended)
        elif before.incident is None:
            if after.incident is None:
                self._incidents.write_soon(cluster, number, say=False)
        else:
            over = after.incident is None
            confirmed = isinstance(after.state, Settling) and not isinstance(before.state, Settling)
            if over or confirmed:
                self._incidents.write_soon(cluster, number, say=over)

    def probed(self, cluster: str, report: NodeReport) -> None:
        self._metrics.probed(cluster, report, self.supervisors[cluster].machine)

    def surveyed(
        self, cluster: str, checks: tuple[Check, ...], objectives: tuple[Objective, ...]
    ) -> None:
        before = self.preflights[cluster].checks
        self._metrics.surveyed(cluster, checks, objectives)
        for verdict, sentence in changes(before, checks):
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
