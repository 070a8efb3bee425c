"""Where applications are sent: what is known of each way to the primary, and what is owed to it.

A target (HAProxy, PgBouncer, a virtual IP, a DNS name, a command) is owed a redirection as long
as it was not seen, or made, to lead to the primary. That is all: a confirmed failover, a target
that was down meanwhile, one that forgot, and one closed beside a fence are the same debt.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace

from failoverd.core.model import Instant, Look, NodeName
from failoverd.core.policy import TargetName, TargetPolicy


@dataclass(frozen=True, slots=True)
class TargetReport:
    """What a look at a target found. `look.ok`: it could be asked."""

    name: TargetName
    look: Look = Look()
    points_at: frozenset[NodeName] = frozenset()
    """The nodes that it leads to right now; empty: closed, or somewhere that is no node."""
    sentence: str = ""
    paused: bool = False
    """Applications wait there: by us, or by an operator, whose pause is left alone."""

    def leads_to(self, primary: NodeName | None) -> bool:
        return self.look.ok and primary is not None and self.points_at == frozenset({primary})


@dataclass(frozen=True, slots=True)
class TargetJob:
    points_at: NodeName | None = None
    """Where it was last made to lead and verified; None: not known, or closed by us."""
    closes: bool = False
    pauses: bool = False
    attempt: int = 0
    """Grows each time it is to be asked anew, so that no two asks are the same."""
    failures: int = 0
    """In a row."""
    retry_at: Instant | None = None
    since: Instant = Instant(0.0)
    """When that was verified: looks that began before say nothing of it."""


Targets = Mapping[TargetName, TargetJob]


def as_configured(targets: Targets, policies: Mapping[TargetName, TargetPolicy]) -> Targets:
    """Those that the configuration names; a new one is owed a first look."""
    wanted = {
        name: replace(targets.get(name, TargetJob()), closes=policy.closes, pauses=policy.pauses)
        for name, policy in policies.items()
    }
    return targets if wanted == targets else wanted


def owed(targets: Targets, primary: NodeName | None) -> list[TargetName]:
    return sorted(name for name, job in targets.items() if job.points_at != primary)


def closed(targets: Targets, *, pausing: bool = False) -> Targets:
    """About to be closed towards the old primary: wherever that leads, it is owed a way back."""
    return {
        name: anew(job) if job.closes or (pausing and job.pauses) else job
        for name, job in targets.items()
    }


def all_owed(targets: Targets) -> Targets:
    """After a confirmation: no waiting time of an earlier failure counts any more."""
    return {name: anew(job) for name, job in targets.items()}


def anew(job: TargetJob) -> TargetJob:
    return replace(job, points_at=None, attempt=job.attempt + 1, failures=0, retry_at=None)


def leads(job: TargetJob, report: TargetReport | None, primary: NodeName | None) -> bool:
    """To the primary and to no other node, as far as it was last seen."""
    if primary is None or job.points_at != primary:
        return False
    old = report is None or report.look.began_at <= job.since
    return old or (report is not None and report.leads_to(primary))
