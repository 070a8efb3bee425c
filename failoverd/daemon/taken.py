"""A cluster is taken up: from its section and from what the journal has of it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from failoverd.config.models import Cluster
from failoverd.config.policy import to_policy
from failoverd.core.restart import restored
from failoverd.core.situation import Machine
from failoverd.daemon import clock
from failoverd.daemon.incidents import Incidents
from failoverd.daemon.journal import Journal
from failoverd.daemon.leadership import Leadership
from failoverd.daemon.nodes import nodes_of
from failoverd.daemon.shared import Shared
from failoverd.daemon.supervisor import Observer, Reload, Supervisor
from failoverd.daemon.targets import ways_of


@dataclass(frozen=True, slots=True)
class Taken:
    """Its supervisor, which nothing has begun yet, and what was counted of it before."""

    supervisor: Supervisor
    transitions: Mapping[tuple[str, str, str], int]
    failovers: Mapping[tuple[str, str], int]
    latest: Mapping[str, Any] | None
    """The line of the last failover or switchover."""


def taken_up(
    name: str,
    section: Cluster,
    journal: Journal,
    incidents: Incidents,
    observer: Observer,
    shared: Shared,
    leadership: Leadership,
) -> Taken:
    """Raises JournalError."""
    latest = journal.latest(name)
    ago_s = journal.age_of_latest_s(name, clock.wall())
    now = clock.monotonic()
    supervisor = Supervisor(
        name,
        to_policy(name, section),
        nodes_of(name, section, shared.lines),
        Machine(entered_at=now) if latest is None else restored(latest, now, ago_s),
        journal,
        observer,
        shared,
        targets=ways_of(section),
        leadership=leadership,
    )
    counted = journal.transitions(name), journal.failovers(name)
    return Taken(supervisor, *counted, incidents.latest(name))


def changed(name: str, section: Cluster, shared: Shared) -> Reload:
    """What a cluster that is watched goes on with."""
    nodes = nodes_of(name, section, shared.lines)
    return Reload(to_policy(name, section), nodes, ways_of(section))
