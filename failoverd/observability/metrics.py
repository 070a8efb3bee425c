"""Prometheus metrics: every series exists from the start, each documented in docs/metrics.md.

`increase()` does not see a counter that is born at 1, so all label pairs of the declared
transitions are created at 0, and seeded from the journal after a restart.
"""

from __future__ import annotations

import itertools
import platform
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence

from prometheus_client import (
    PlatformCollector,
    ProcessCollector,
    disable_created_metrics,
)

from failoverd import __version__
from failoverd.core.dead_man import Phase
from failoverd.core.decision import cooldown_remaining_s
from failoverd.core.diagnosis import Diagnosis, diagnose
from failoverd.core.effects import Fence, MeasureLoss, Redirect, Salvage
from failoverd.core.election import wal_loss
from failoverd.core.events import (
    EffectFailed,
    Event,
    Now,
    Replied,
    Trigger,
)
from failoverd.core.incident import IncidentOutcome, loss_of, outcome_of, trigger_of
from failoverd.core.jobs import Job
from failoverd.core.model import Look, NodeName, NodeReport, Outcome
from failoverd.core.objectives import Objective
from failoverd.core.policy import Policy, TargetName
from failoverd.core.readiness import Check, failing
from failoverd.core.situation import Machine
from failoverd.core.states import (
    Blocked,
    BlockReason,
    Confirming,
    Electing,
    Fencing,
    Promoting,
    Reverting,
    Salvaging,
    Settling,
    State,
    StateName,
    Suspect,
    name_of,
)
from failoverd.core.target import TargetJob, leads
from failoverd.core.wal_answers import LossMeasured, Salvaged
from failoverd.observability.declared import declared
from failoverd.observability.exposition import exposition
from failoverd.observability.families import Gauge
from failoverd.observability.log import lines_dropped
from failoverd.observability.next_steps import UNDER_WAY
from failoverd.observability.often import Possible
from failoverd.observability.own_metrics import OwnMetrics
from failoverd.observability.readiness import seed_readiness, surveyed
from failoverd.observability.series import Series
from failoverd.observability.status import lag_bytes

STEPS: Mapping[type[State], str] = {
    Suspect: "detect",
    Fencing: "fence",
    Electing: "elect",
    Salvaging: "salvage",
    Promoting: "promote",
    Confirming: "confirm",
    Settling: "redirect",
    Reverting: "revert",
}
ROLES = ("primary", "standby", "unknown")
KINDS = ("held", "fresh", "write", "host", "local_socket", "reach_primary")
FAILURES = tuple(o for o in Outcome if o not in (Outcome.OK, Outcome.NOT_TRIED))
NO_JOB = "ok"
LED = ("led", "failed")
RUNGS = ("stop", "agent", "command", "dead_man")
RENEWALS = ("acknowledged", "unanswered", "refused")


class Metrics(OwnMetrics):
    """All series of one daemon, in a registry of its own."""

    def __init__(self) -> None:
        disable_created_metrics()  # type: ignore[no-untyped-call]
        self._all = s = Series(lines_dropped)
        ProcessCollector(registry=s.others)
        PlatformCollector(registry=s.others)
        s.build_info.labels(__version__, platform.python_version()).set(1)
        for outcome in ("ok", "refused"):
            s.config_reloads.labels(outcome)
        self._nodes: dict[str, frozenset[NodeName]] = {}
        self._targets: dict[str, frozenset[TargetName]] = {}
        self._chosen: dict[tuple[object, ...], str | None] = {}
        self._began: dict[str, float] = {}
        self._looked: dict[tuple[str, str, str], float] = {}
        self._unready: dict[str, frozenset[str]] = {}
        self._possible: dict[str, Possible] = {}
        self._lagging: set[tuple[str, NodeName]] = set()

    def exposition(self, wanted: Collection[str] = ()) -> Iterator[bytes]:
        """In Prometheus' text format, in parts: those that are wanted, or all."""
        return exposition(self._all.families, self._all.others, wanted)

    def documentation(self) -> str:
        """docs/metrics.md, whole: `make docs` writes it, a test compares it."""
        return self._all.documentation()

    def seed(
        self,
        cluster: str,
        policy: Policy,
        counted: Mapping[tuple[str, str, str], int],
        ended: Mapping[tuple[str, str], int] | None = None,
    ) -> None:
        """Create every series of a cluster; counters go on from what the journal counted.

        `counted`: transitions by state left, state entered, trigger. `ended`: failovers by
        trigger and outcome.
        """
        s = self._all
        for transition in declared():
            s.transitions.labels(cluster, *transition)
        for transition, count in counted.items():
            s.transitions.labels(cluster, *transition).inc(count)
        for trigger in Trigger:
            for outcome in IncidentOutcome:
                s.failovers.labels(cluster, trigger, outcome)
        for end, count in (ended or {}).items():
            s.failovers.labels(cluster, *end).inc(count)
        for state in StateName:
            s.state.labels(cluster, state)
        for diagnosis in Diagnosis:
            s.diagnosis.labels(cluster, diagnosis)
        for reason in BlockReason:
            s.blocked.labels(cluster, reason)
        for step in STEPS.values():
            s.step_duration.labels(cluster, step)
        for renewal in RENEWALS:
            s.renewals.labels(cluster, renewal)
        for family in s.of_cluster:
            family.labels(cluster)
        s.leader.labels(cluster).set(1)
        seed_readiness(s, cluster)
        self._of_targets(cluster, Machine(), policy)
        self._choose(s.state, (cluster,), StateName.STARTING)
        self._know(cluster, frozenset(policy.nodes))

    def leads(self, cluster: str, *, leads: bool) -> None:
        self._all.leader.labels(cluster).set(leads)

    def forget(self, cluster: str) -> None:
        self._all.forget(cluster)
        for known in (self._nodes, self._targets, self._began, self._unready, self._possible):
            known.pop(cluster, None)
        self._lagging = {key for key in self._lagging if key[0] != cluster}
        self._chosen = {key: one for key, one in self._chosen.items() if key[1] != cluster}
        self._looked = {key: at for key, at in self._looked.items() if key[0] != cluster}

    def _know(self, cluster: str, nodes: frozenset[NodeName]) -> None:
        """Create the series of new nodes; forget those of nodes that were removed."""
        s, before = self._all, self._nodes.get(cluster, frozenset())
        if nodes == before:
            return
        self._nodes[cluster] = nodes
        for node in before - nodes:
            self._lagging.discard((cluster, node))
            for family in s.of_node:
                family.remove_by_labels({"cluster": cluster, "node": node})
            gone = [key for key in self._chosen if key[1:3] == (cluster, node)]
            for key in gone:
                del self._chosen[key]
            if self._chosen.get((s.primary, cluster)) == node:
                del self._chosen[s.primary, cluster]
        for node in nodes - before:
            self._create(cluster, node)

    def _create(self, cluster: str, node: NodeName) -> None:
        s = self._all
        s.node_up.labels(cluster, node)
        s.primary.labels(cluster, node)
        for role in ROLES:
            s.node_role.labels(cluster, node, role)
        self._choose(s.node_role, (cluster, node), "unknown")
        for job in (NO_JOB, *Job):
            s.node_job.labels(cluster, node, job)
        self._choose(s.node_job, (cluster, node), NO_JOB)
        for rung, outcome in itertools.product(RUNGS, ("fenced", "still_alive", "failed")):
            s.fence_attempts.labels(cluster, node, rung, outcome)
        for kind in KINDS:
            s.probe_duration.labels(cluster, node, kind)
            for failure in FAILURES:
                s.probe_failures.labels(cluster, node, kind, failure)

    def _choose(self, family: Gauge, labels: tuple[str, ...], member: str | None) -> None:
        """Exactly one member is 1, or none; the others are 0 already."""
        key = (family, *labels)
        before = self._chosen.get(key)
        if before == member and key in self._chosen:
            return
        self._chosen[key] = member
        if before is not None:
            family.labels(*labels, before).set(0)
        if member is not None:
            family.labels(*labels, member).set(1)

    def _ready(self, cluster: str, m: Machine, now: Now, policy: Policy) -> None:
        impossible = self._possible.setdefault(cluster, Possible()).look(m, now, policy)
        ready = not (impossible or self._unready.get(cluster))
        self._all.ready.labels(cluster).set(ready)

    def stepped(
        self, cluster: str, before: Machine, event: Event, after: Machine, now: Now, policy: Policy
    ) -> None:
        """What one step changed."""
        s = self._all
        self._know(cluster, frozenset(policy.nodes))
        self._moved(cluster, before, event, after, now)
        self._ended(cluster, before, event, after, now)
        match event:
            case Replied(effect=Fence(node=node), result=result):
                for tried in result.evidence.rungs:
                    s.fence_attempts.labels(cluster, node, tried.rung, tried.outcome).inc()
            case Replied(effect=Redirect(target=target), result=result) if target:
                led = LED[isinstance(result, EffectFailed)]
                s.redirects.labels(cluster, target, led).inc()
            case Replied(effect=Salvage(), result=Salvaged(carried_bytes=carried)):
                s.wal_salvaged.labels(cluster).inc(carried)
            case Replied(effect=MeasureLoss(), result=LossMeasured(loss=loss)):
                s.wal_lost.labels(cluster).set(loss.lost_bytes)
                s.wal_lost_exact.labels(cluster).set(1)
            case _:
                pass
        self._of_targets(cluster, after, policy)
        s.consecutive_failures.labels(cluster).set(after.memory.failed_rounds)
        s.timeline.labels(cluster).set(after.memory.timeline)
        s.paused.labels(cluster).set(after.paused_by is not None)
        s.cooldown.labels(cluster).set(cooldown_remaining_s(after, now, policy))
        armed = after.dead_man is not None and after.dead_man.phase is Phase.ARMED
        s.dead_man_armed.labels(cluster).set(armed)
        self._ready(cluster, after, now, policy)
        if after.last_confirmed is not None:
            s.last_failover.labels(cluster).set(after.last_confirmed)
        known = after.looked_at
        found = diagnose(after.view, after.memory, policy) if known else None
        self._choose(s.diagnosis, (cluster,), found)
        self._choose(s.primary, (cluster,), after.memory.primary)
        if after.split > before.split:
            s.split_brains.labels(cluster).inc()
        if before.divergences != after.divergences:
            self._diverged(cluster, after)
        for node in policy.nodes:
            job = after.jobs[node].job if node in after.jobs else NO_JOB
            self._choose(s.node_job, (cluster, node), job)

    def _of_targets(self, cluster: str, m: Machine, policy: Policy) -> None:
        """Those of the configuration; the series of one that was removed go."""
        s, before = self._all, self._targets.get(cluster, frozenset())
        if not policy.targets and not before:
            return
        self._targets[cluster] = names = frozenset(policy.targets)
        for target in before - names:
            for family in (s.leads_to_primary, s.redirects):
                family.remove_by_labels({"cluster": cluster, "target": target})
        for target in names:
            job = m.targets.get(target, TargetJob())
            right = leads(job, m.targets_seen.get(target), m.memory.primary)
            s.leads_to_primary.labels(cluster, target).set(right)
            for led in LED:
                s.redirects.labels(cluster, target, led)

    def _diverged(self, cluster: str, m: Machine) -> None:
        s = self._all
        for node in self._nodes[cluster]:
            known = m.divergences.get(node)
            found = known.divergence if known is not None else None
            if found is None:
                for family in (s.diverged_commits, s.diverged_wal):
                    family.remove(cluster, node)
                continue
            s.diverged_commits.labels(cluster, node).set(found.commits)
            s.diverged_wal.labels(cluster, node).set(found.wal_bytes)

    def _moved(self, cluster: str, before: Machine, event: Event, after: Machine, now: Now) -> None:
        s, old, new = self._all, name_of(before.state), name_of(after.state)
        reason = after.state.reason if isinstance(after.state, Blocked) else None
        self._choose(s.blocked, (cluster,), reason)
        self._choose(s.state, (cluster,), new)
        if after.visit != before.visit:
            s.state_entered.labels(cluster).set(now.wall)
        if old is new:
            return
        s.transitions.labels(cluster, old, new, trigger_of(before, event, after)).inc()
        step = STEPS.get(type(before.state))
        if step is not None:
            lasted = max(0.0, now.monotonic - before.entered_at)
            s.step_duration.labels(cluster, step).observe(lasted)

    def _ended(self, cluster: str, before: Machine, event: Event, after: Machine, now: Now) -> None:
        """Durations of failovers that a restart cut in two are not known, and not counted."""
        s = self._all
        if before.incident is None and after.incident is not None:
            doubt = before.memory.doubt or after.memory.doubt
            self._began[cluster] = now.monotonic if doubt is None else doubt.since
            self.latest(cluster, after.incident.epoch, after.incident.trigger, UNDER_WAY)
        outcome = outcome_of(before, event, after)
        if outcome is None:
            return
        if before.incident is not None:
            self.latest(cluster, before.incident.epoch, before.incident.trigger, outcome)
        s.failovers.labels(cluster, trigger_of(before, event, after), outcome).inc()
        began = self._began.pop(cluster, None)
        loss = loss_of(before, after)
        if loss is not None:
            s.wal_lost.labels(cluster).set(loss.lost_bytes)
            s.wal_lost_exact.labels(cluster).set(loss.proven)
        if outcome is IncidentOutcome.SUCCEEDED and began is not None:
            s.failover_duration.labels(cluster).observe(max(0.0, now.monotonic - began))

    def latest(self, cluster: str, incident: int, trigger: str, outcome: str) -> None:
        """The incident that the info metric leads to; the one before it is forgotten."""
        family = self._all.last_incident
        family.remove_by_labels({"cluster": cluster})
        family.labels(cluster, str(incident), trigger, outcome).set(1)

    def probed(self, cluster: str, report: NodeReport, m: Machine) -> None:
        """What one round of looks found."""
        s, node, server = self._all, report.name, report.server
        s.node_up.labels(cluster, node).set(report.heard)
        role = "unknown" if server is None else "standby" if server.in_recovery else "primary"
        self._choose(s.node_role, (cluster, node), role)
        for kind, look in _looks(report):
            if look.outcome is not Outcome.NOT_TRIED:
                self._looked_at(cluster, node, kind, look)
        lag = lag_bytes(report, m)
        if lag is None or server is None or server.received_lsn is None:
            self._no_lag(cluster, node)
            return
        self._lagging.add((cluster, node))
        s.lag_bytes.labels(cluster, node).set(lag)
        if server.replay_lag_s is not None:
            s.lag_seconds.labels(cluster, node).set(server.replay_lag_s)
        at_risk = wal_loss(server.received_lsn, m.memory, None).lost_bytes
        s.wal_at_risk.labels(cluster, node).set(at_risk)

    def _no_lag(self, cluster: str, node: NodeName) -> None:
        if (cluster, node) not in self._lagging:
            return
        self._lagging.discard((cluster, node))
        s = self._all
        for family in (s.lag_bytes, s.lag_seconds, s.wal_at_risk):
            family.remove(cluster, node)

    def _looked_at(self, cluster: str, node: NodeName, kind: str, look: Look) -> None:
        """Each look once: a report repeats the latest of what is asked less often."""
        key = (cluster, node, kind)
        if self._looked.get(key) == look.began_at:
            return
        self._looked[key] = look.began_at
        lasted = max(0.0, look.ended_at - look.began_at)
        self._all.probe_duration.labels(cluster, node, kind).observe(lasted)
        if not look.ok:
            self._all.probe_failures.labels(cluster, node, kind, look.outcome).inc()

    def renewed(self, cluster: str, outcome: str) -> None:
        """One renewal of the dead-man, and what became of it."""
        self._all.renewals.labels(cluster, outcome).inc()

    def surveyed(
        self, cluster: str, checks: tuple[Check, ...], objectives: Sequence[Objective]
    ) -> None:
        """What readiness was judged to be."""
        self._unready[cluster] = failing(checks)
        surveyed(self._all, cluster, checks, objectives)


def _looks(report: NodeReport) -> Iterable[tuple[str, Look]]:
    host = report.host
    looks = (report.held, report.fresh, report.write, host.look, host.local_socket)
    return zip(KINDS, (*looks, report.reach_primary), strict=True)
