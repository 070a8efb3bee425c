"""What a new configuration adds, removes and changes; all other clusters are left alone."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from failoverd.config.models import Configuration
from failoverd.core.jobs import Job
from failoverd.core.operator import in_procedure
from failoverd.core.situation import Machine
from failoverd.core.states import Blocked, name_of
from failoverd.core.upkeep import owed_thaws


@dataclass(frozen=True, slots=True)
class Changes:
    """Names, sorted."""

    added: tuple[str, ...]
    removed: tuple[str, ...]
    changed: tuple[str, ...]

    def __str__(self) -> str:
        told = {"added": self.added, "removed": self.removed, "changed": self.changed}
        return "; ".join(f"{word}: {', '.join(n)}" for word, n in told.items() if n) or "nothing"


def changes(before: Configuration, after: Configuration) -> Changes:
    """By what is written; files that are named are read when they are needed."""
    old, new = before.clusters, after.clusters
    return Changes(
        added=tuple(sorted(new.keys() - old.keys())),
        removed=tuple(sorted(old.keys() - new.keys())),
        changed=tuple(sorted(name for name in new.keys() & old.keys() if new[name] != old[name])),
    )


def why_not_removed(removed: tuple[str, ...], machines: Mapping[str, Machine]) -> str | None:
    """Nobody walks away from a failover that is under way, nor is it cut off."""
    for name in removed:
        machine = machines[name]
        under_way = machine.incident is not None or in_procedure(machine)
        if under_way and not isinstance(machine.state, Blocked):
            return (
                f"clusters.{name} was removed, and a failover of it is under way "
                f"({name_of(machine.state)}): remove it after that; nothing was changed"
            )
    return None


def left_undone(m: Machine) -> Iterator[str]:
    """What nobody sees to any more once this cluster is watched no more."""
    for node, job in sorted(m.jobs.items()):
        if job.job is not Job.SUPERSEDED:
            yield f"{node} ({job.job})"
    for node in sorted(owed_thaws(m)):
        if node not in m.jobs:
            yield f"{node} (frozen)"
    if m.dead_man is not None:
        yield f"{m.dead_man.node} (its dead-man may be armed: it disarms itself within minutes)"
