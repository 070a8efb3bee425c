"""Prometheus metrics: every series exists from the start, each documented in docs/metrics.md.

`increase()` does not see a counter that is born at 1, so all label pairs of the declared
transitions are created at 0, and seeded from the journal after a restart.
"""

from __future__ import annotations

import platform
from collections.abc import Mapping

from prometheus_client import (
    CollectorRegistry,
    Counter,
    Gauge,
    Histogram,
    PlatformCollector,
    ProcessCollector,
    disable_created_metrics,
    generate_latest,
)

from failoverd import __version__
from failoverd.core.decision import cooldown_remaining_s
from failoverd.core.diagnosis import Diagnosis, diagnose
from failoverd.core.effects import Fence
from failoverd.core.election import wal_loss
from failoverd.core.events import Event, Now, Replied, Trigger
from failoverd.core.machine import transitions
from failoverd.core.model import NodeName, NodeReport, Outcome
from failoverd.core.policy import Policy
from failoverd.core.situation import Job, Machine
from failoverd.core.states import (
    Blocked,
    BlockReason,
    Promoting,
    Settling,
    StateName,
    name_of,
)
from failoverd.observability.log import lines_dropped
from failoverd.observability.status import lag_bytes

STEPS = (
    StateName.FENCING, StateName.ELECTING, StateName.SALVAGING, StateName.PROMOTING,
    StateName.CONFIRMING, StateName.SETTLING, StateName.REVERTING,
)  # fmt: skip
BUCKETS = (0.05, 0.1, 0.2, 0.3, 0.5, 0.75, 1, 2, 5, 10, 30, 60, 120, 300)
ROLES = ("primary", "standby", "unknown")


class Metrics:
    """All series of one daemon, in a registry of its own."""

    def __init__(self) -> None:
        disable_created_metrics()  # type: ignore[no-untyped-call]
        self.registry = r = CollectorRegistry()
        ProcessCollector(registry=r)
        PlatformCollector(registry=r)
        c = "cluster"
        self._build = Gauge(
            "failoverd_build_info",
            "Version of failoverd; always 1.",
            ["version", "python"],
            registry=r,
        )
        self._build.labels(__version__, platform.python_version()).set(1)
        self._state = Gauge("failoverd_state", "1 for the present state.", [c, "state"], registry=r)
        self._transitions = Counter(
            "failoverd_state_transitions", "Transitions of the state machine.",
            [c, "from_state", "to_state", "trigger"], registry=r,
        )  # fmt: skip
        self._entered = Gauge(
            "failoverd_state_entered_timestamp_seconds", "When the present state was entered.",
            [c], registry=r,
        )  # fmt: skip
        self._diagnosis = Gauge(
            "failoverd_diagnosis", "1 for the present diagnosis of the primary.",
            [c, "diagnosis"], registry=r,
        )  # fmt: skip
        self._primary = Gauge(
            "failoverd_primary", "1 for the node taken for the primary.", [c, "node"], registry=r
        )
        self._timeline = Gauge(
            "failoverd_timeline", "The highest timeline confirmed.", [c], registry=r
        )
        self._up = Gauge(
            "failoverd_node_up", "PostgreSQL answered in the last round.", [c, "node"], registry=r
        )
        self._role = Gauge(
            "failoverd_node_role", "1 for the role last seen.", [c, "node", "role"], registry=r
        )
        self._probe = Histogram(
            "failoverd_probe_duration_seconds", "Duration of the looks, by kind.",
            [c, "node", "kind"], buckets=BUCKETS, registry=r,
        )  # fmt: skip
        self._probe_failures = Counter(
            "failoverd_probe_failures", "Looks that were not answered well, by outcome.",
            [c, "node", "kind", "outcome"], registry=r,
        )  # fmt: skip
        self._failures = Gauge(
            "failoverd_consecutive_failures", "Failed rounds of the primary since it was last heard.",
            [c], registry=r,
        )  # fmt: skip
        self._lag_bytes = Gauge(
            "failoverd_replication_lag_bytes",
            "WAL that a standby has not received.",
            [c, "node"],
            registry=r,
        )
        self._lag_seconds = Gauge(
            "failoverd_replication_lag_seconds", "Age of the last transaction that a standby replayed.",
            [c, "node"], registry=r,
        )  # fmt: skip
        self._at_risk = Gauge(
            "failoverd_wal_at_risk_bytes", "WAL that a failover to this node would lose now (estimate).",
            [c, "node"], registry=r,
        )  # fmt: skip
        self._failovers = Counter(
            "failoverd_failovers",
            "Incidents, by how they ended.",
            [c, "trigger", "outcome"],
            registry=r,
        )
        self._duration = Histogram(
            "failoverd_failover_duration_seconds", "From the decision to the confirmation.",
            [c], buckets=BUCKETS, registry=r,
        )  # fmt: skip
        self._step = Histogram(
            "failoverd_step_duration_seconds", "Time spent in a step of the procedure.",
            [c, "step"], buckets=BUCKETS, registry=r,
        )  # fmt: skip
        self._fences = Counter(
            "failoverd_fence_attempts",
            "Fence attempts, by result.",
            [c, "node", "rung", "outcome"],
            registry=r,
        )
        self._blocked = Gauge(
            "failoverd_blocked",
            "1 for the reason why nothing goes forward.",
            [c, "reason"],
            registry=r,
        )
        self._job = Gauge(
            "failoverd_node_job", "1 for what is owed to a node.", [c, "node", "job"], registry=r
        )
        self._last = Gauge(
            "failoverd_last_failover_timestamp_seconds", "When the last failover was confirmed; 0: never.",
            [c], registry=r,
        )  # fmt: skip
        self._lost = Gauge(
            "failoverd_wal_lost_bytes", "WAL lost by the last failover (an estimate unless proven).",
            [c], registry=r,
        )  # fmt: skip
        self._paused = Gauge("failoverd_paused", "1 while paused.", [c], registry=r)
        self._cooldown = Gauge(
            "failoverd_cooldown_remaining_seconds", "Until the next automatic failover is allowed.",
            [c], registry=r,
        )  # fmt: skip
        self._leader = Gauge("failoverd_leader", "1 where this daemon may act.", [c], registry=r)
        self._loop = Gauge(
            "failoverd_event_loop_lag_seconds", "The worst lag of the last second.", registry=r
        )
        self._dropped = Gauge(
            "failoverd_log_lines_dropped_total", "Log lines that did not fit.", registry=r
        )
        self._dropped.set_function(lines_dropped)
        self._reloads = Counter(
            "failoverd_config_reloads", "Reloads of the configuration.", ["outcome"], registry=r
        )
        for known in ("ok", "refused"):
            self._reloads.labels(known)
        self._reloaded_at = Gauge(
            "failoverd_last_config_reload_success_timestamp_seconds",
            "When the configuration was last taken up; 0: only at the start.", registry=r,
        )  # fmt: skip
        self._decided_at: dict[str, float] = {}

    def exposition(self) -> bytes:
        return generate_latest(self.registry)

    def seed(
        self, cluster: str, policy: Policy, counted: Mapping[tuple[str, str, str], int]
    ) -> None:
        """Create every series of a cluster; transitions go on from what the journal counted."""
        for before, after in transitions():
            for trigger in ("", *Trigger):
                self._transitions.labels(cluster, name_of(before), name_of(after), trigger)
        for (before_name, after_name, trigger), count in counted.items():
            self._transitions.labels(cluster, before_name, after_name, trigger).inc(count)
        for state in StateName:
            self._state.labels(cluster, state).set(0)
        for diagnosis in Diagnosis:
            self._diagnosis.labels(cluster, diagnosis).set(0)
        for reason in BlockReason:
            self._blocked.labels(cluster, reason).set(0)
        for step in STEPS:
            self._step.labels(cluster, step)
        for trigger in Trigger:
            for outcome in ("confirmed", "reverted", "blocked"):
                self._failovers.labels(cluster, trigger, outcome)
        for gauge in (self._lost, self._paused, self._last, self._failures, self._cooldown):
            gauge.labels(cluster).set(0)
        self._duration.labels(cluster)
        self._leader.labels(cluster).set(1)
        for node in policy.nodes:
            for result in ("Fenced", "StillAlive", "EffectFailed"):
                self._fences.labels(cluster, node, "stop", result)
            for job in ("ok", *Job):
                self._job.labels(cluster, node, job).set(job == "ok")

    def stepped(
        self, cluster: str, before: Machine, event: Event, after: Machine, now: Now, policy: Policy
    ) -> None:
        """What one step changed."""
        self._moved(cluster, before, after, now)
        if isinstance(event, Replied) and isinstance(event.effect, Fence):
            result = type(event.result).__name__
            self._fences.labels(cluster, event.effect.node, "stop", result).inc()
        self._incidents(cluster, before, after, now)
        self._failures.labels(cluster).set(after.memory.failed_rounds)
        self._timeline.labels(cluster).set(after.memory.timeline)
        self._paused.labels(cluster).set(after.paused_by is not None)
        self._cooldown.labels(cluster).set(cooldown_remaining_s(after, now, policy))
        self._last.labels(cluster).set(after.last_confirmed or 0)
        if after.memory.primary is not None:
            found = diagnose(after.view, after.memory, policy)
            for diagnosis in Diagnosis:
                self._diagnosis.labels(cluster, diagnosis).set(diagnosis is found)
        for node in policy.nodes:
            self._node(cluster, node, after)

    def _moved(self, cluster: str, before: Machine, after: Machine, now: Now) -> None:
        old, new = name_of(before.state), name_of(after.state)
        for state in StateName:
            self._state.labels(cluster, state).set(state is new)
        reason = after.state.reason if isinstance(after.state, Blocked) else None
        for known in BlockReason:
            self._blocked.labels(cluster, known).set(known is reason)
        if old is new:
            return
        incident = after.incident or before.incident
        trigger = incident.trigger if incident is not None else ""
        self._transitions.labels(cluster, old, new, trigger).inc()
        self._entered.labels(cluster).set(now.wall)
        if old in STEPS:
            self._step.labels(cluster, old).observe(max(0.0, now.monotonic - before.entered_at))

    def _incidents(self, cluster: str, before: Machine, after: Machine, now: Now) -> None:
        if before.incident is None and after.incident is not None:
            self._decided_at[cluster] = now.monotonic
        if isinstance(after.state, Promoting) and not isinstance(before.state, Promoting):
            self._lost.labels(cluster).set(after.state.loss.lost_bytes)
        if before.incident is None:
            return
        trigger = before.incident.trigger
        if isinstance(after.state, Settling) and not isinstance(before.state, Settling):
            self._failovers.labels(cluster, trigger, "confirmed").inc()
            began = self._decided_at.get(cluster)
            if began is not None:
                self._duration.labels(cluster).observe(now.monotonic - began)
        elif after.incident is None and name_of(before.state) is StateName.REVERTING:
            ended = "blocked" if isinstance(after.state, Blocked) else "reverted"
            self._failovers.labels(cluster, trigger, ended).inc()

    def _node(self, cluster: str, node: str, m: Machine) -> None:
        self._primary.labels(cluster, node).set(node == m.memory.primary)
        name = NodeName(node)
        job = m.jobs[name].job if name in m.jobs else "ok"
        for known in ("ok", *Job):
            self._job.labels(cluster, node, known).set(known == job)

    def probed(self, cluster: str, report: NodeReport, m: Machine) -> None:
        """What one round of looks found."""
        name = report.name
        self._up.labels(cluster, name).set(report.heard)
        role = ROLES[2]
        if report.server is not None:
            role = ROLES[1] if report.server.in_recovery else ROLES[0]
        for known in ROLES:
            self._role.labels(cluster, name, known).set(known == role)
        looks = {"held": report.held, "fresh": report.fresh}
        if report.host.look.began_at >= report.began_at:
            looks["host"] = report.host.look
        for kind, look in looks.items():
            if look.outcome is Outcome.NOT_TRIED:
                continue
            self._probe.labels(cluster, name, kind).observe(look.ended_at - look.began_at)
            if not look.ok:
                self._probe_failures.labels(cluster, name, kind, look.outcome).inc()
        lag = lag_bytes(report, m)
        if lag is not None and report.server is not None:
            self._lag_bytes.labels(cluster, name).set(lag)
            self._lag_seconds.labels(cluster, name).set(report.server.replay_lag_s or 0)
            if report.server.received_lsn is not None:
                at_risk = wal_loss(report.server.received_lsn, m.memory, None).lost_bytes
                self._at_risk.labels(cluster, name).set(at_risk)

    def loop_lag(self, seconds: float) -> None:
        self._loop.set(seconds)

    def reloaded(self, *, ok: bool, at: float) -> None:
        self._reloads.labels("ok" if ok else "refused").inc()
        if ok:
            self._reloaded_at.set(at)
