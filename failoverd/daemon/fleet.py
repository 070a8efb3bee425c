"""All clusters of one daemon: built from the configuration, reloaded all or nothing."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from failoverd.config.load import load
from failoverd.config.messages import ConfigurationErrors
from failoverd.config.models import Configuration
from failoverd.config.policy import to_policy
from failoverd.core.events import Command, Event
from failoverd.core.incident import Entry
from failoverd.core.model import NodeReport, WallTime
from failoverd.core.situation import Machine, restored
from failoverd.core.states import Settling, Starting, StateName, name_of
from failoverd.daemon import clock
from failoverd.daemon.journal import Journal, JournalFailed
from failoverd.daemon.journal_file import JournalError
from failoverd.daemon.loop_lag import LoopLag
from failoverd.daemon.nodes import nodes_of
from failoverd.daemon.supervisor import Supervisor
from failoverd.observability import log, report
from failoverd.observability.metrics import Metrics
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
        self._lag = LoopLag()
        self._waiting: Configuration | None = None
        self.supervisors: dict[str, Supervisor] = {
            name: self._supervise(name, configuration) for name in configuration.clusters
        }

    def _supervise(self, name: str, configuration: Configuration) -> Supervisor:
        section = configuration.clusters[name]
        latest = self._journal.latest(name)
        machine = Machine() if latest is None else restored(latest, clock.monotonic())
        policy = to_policy(name, section)
        self._metrics.seed(
            name, policy, self._journal.transitions(name), self._journal.failovers(name)
        )
        return Supervisor(
            name,
            policy,
            nodes_of(name, section),
            machine,
            self._journal,
            self,
            self._lag,
        )

    async def run(self) -> None:
        """Until every supervisor has stopped."""
        async with asyncio.TaskGroup() as group:
            ticker = group.create_task(self._lag.run())
            reporter = group.create_task(self._report_lag())
            watching = [group.create_task(one.run()) for one in self.supervisors.values()]
            await asyncio.wait(watching)
            ticker.cancel()
            reporter.cancel()

    async def _report_lag(self) -> None:
        while True:
            began = clock.monotonic()
            await asyncio.sleep(LAG_EVERY_S)
            self._metrics.loop_lag(self._lag.worst_since(began))

    def request_stop(self) -> None:
        for supervisor in self.supervisors.values():
            supervisor.request_stop()

    @property
    def in_procedure(self) -> bool:
        return any(one.in_procedure for one in self.supervisors.values())

    def alive(self) -> bool:
        """Every supervisor has taken a step lately: what the watchdog is told."""
        oldest = clock.monotonic() - STALLED_S
        return all(one.stepped_at > oldest for one in self.supervisors.values())

    # Target: what operators may ask.

    async def submit(self, cluster: str, command: Command) -> str | None:
        """None when it is in force; else the reason why not."""
        supervisor = self.supervisors.get(cluster)
        if supervisor is None:
            known = ", ".join(sorted(self.supervisors))
            return f"no cluster is called {cluster!r}: one of {known}"
        return await supervisor.submit(command)

    async def reload(self) -> str | None:
        """All of the new configuration, or none of it and the reason."""
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
            name: (to_policy(name, section), nodes_of(name, section))
            for name, section in configuration.clusters.items()
        }
        for name, (policy, nodes) in plans.items():
            self.supervisors[name].reload(policy, nodes)
        self._configuration = configuration
        self._metrics.reloaded(ok=True, at=clock.wall())
        return None

    # Source: what the outside may see.

    def clusters(self) -> tuple[str, ...]:
        return tuple(sorted(self.supervisors))

    def status(self, cluster: str) -> Mapping[str, Any]:
        supervisor = self.supervisors[cluster]
        return status_document(cluster, supervisor.machine, clock.now(), supervisor.policy)

    def ready(self, cluster: str) -> bool:
        """Watching, and not blind."""
        machine = self.supervisors[cluster].machine
        if isinstance(machine.state, Starting):
            return False
        return name_of(machine.state) is StateName.WATCHING and any(
            one.heard for one in machine.view.nodes.values()
        )

    def metrics(self) -> bytes:
        return self._metrics.exposition()

    def _told(self, cluster: str, epoch: int) -> list[tuple[WallTime, Entry]]:
        return [(one.at, one.entry) for one in self._journal.entries(cluster, epoch)]

    def incidents(self, cluster: str) -> list[dict[str, Any]]:
        """Newest first, a line each."""
        return [
            report.summary(cluster, epoch, self._told(cluster, epoch))
            for epoch in self._journal.incidents(cluster)
        ]

    def incident(self, cluster: str, epoch: int) -> dict[str, Any] | None:
        told = self._told(cluster, epoch)
        return report.document(cluster, epoch, told) if told else None

    def incident_report(self, cluster: str, epoch: int) -> str | None:
        """Markdown, for people."""
        told = self._told(cluster, epoch)
        return report.markdown(cluster, epoch, told) if told else None

    # Observer: what every step is turned into.

    def stepped(
        self, cluster: str, before: Machine, event: Event, after: Machine, entry: Entry | None
    ) -> None:
        policy = self.supervisors[cluster].policy
        self._metrics.stepped(cluster, before, event, after, clock.now(), policy)
        log.step_logged(cluster, before, event, after, entry)
        over = before.incident is not None and after.incident is None
        confirmed = isinstance(after.state, Settling) and not isinstance(before.state, Settling)
        if before.incident is not None and (over or confirmed):
            epoch = before.incident.epoch
            self._journal.in_background(lambda: self._report(cluster, epoch, say=over))

    def _report(self, cluster: str, epoch: int, *, say: bool) -> None:
        """Off the loop. A report that cannot be written is said, and stops nothing."""
        directory = self._journal.directory / "reports"
        try:
            told = self._told(cluster, epoch)
            file = report.write(directory, cluster, epoch, told)
        except (OSError, JournalError) as error:
            log.logger().error(f"the incident report could not be written: {error}")
            return
        if say:
            log.logger().info(f"incident report: {file}", cluster=cluster, incident=epoch)

    def probed(self, cluster: str, report: NodeReport) -> None:
        self._metrics.probed(cluster, report, self.supervisors[cluster].machine)

    def journal_failed(self, cluster: str, error: JournalFailed) -> None:
        log.logger().error(
            f"the journal failed: nothing is done without it: {error}", cluster=cluster
        )
