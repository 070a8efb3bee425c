"""Every series that is served, with its labels and its meaning.

docs/metrics.md is made from this file (`documentation`), so that neither can say what
the other does not.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator

from prometheus_client import CollectorRegistry
from prometheus_client.core import CounterMetricFamily
from prometheus_client.registry import Collector

from failoverd.observability.families import Counter, Family, Gauge, Histogram

BUCKETS = (0.005, 0.01, 0.025, 0.05, 0.1, 0.2, 0.3, 0.5, 0.75, 1, 2, 5, 10, 30, 60, 120, 300)


class _LogLines(Collector):
    """A counter that the log keeps, so that a dropped line needs no registry."""

    def __init__(self, dropped: Callable[[], int]) -> None:
        self._dropped = dropped

    def collect(self) -> Iterator[CounterMetricFamily]:
        yield CounterMetricFamily(DROPPED[0], DROPPED[1], value=self._dropped())


DROPPED = (
    "failoverd_log_lines_dropped",
    "Log lines that were dropped because their reader was too slow.",
)


class Series:
    """The families of one registry, by name."""

    def __init__(self, lines_dropped: Callable[[], int]) -> None:
        self.others = CollectorRegistry(auto_describe=True)
        """What is no family of ours: of the process, of the log."""
        self.families: list[Family] = []
        self._of_clusters: list[Family] = []
        self._rows: list[tuple[str, str, tuple[str, ...], str]] = [
            (f"{DROPPED[0]}_total", "counter", (), DROPPED[1])
        ]
        self.others.register(_LogLines(lines_dropped))
        self._of_watch()
        self._of_failover()
        self._of_split_brain()
        self._of_node()
        self._of_target()
        self._of_readiness()
        self._of_daemon()
        self.of_cluster: tuple[Family, ...] = (
            self.state_entered, self.timeline, self.consecutive_failures, self.failover_duration,
            self.last_failover, self.wal_lost, self.wal_lost_exact, self.wal_salvaged, self.ready,
            self.paused, self.cooldown, self.dead_man_armed,
            self.split_brains,
        )  # fmt: skip
        """Those with no label but `cluster`."""
        self.of_node: tuple[Family, ...] = (
            self.primary, self.node_up, self.node_role, self.node_job, self.probe_duration,
            self.probe_failures, self.fence_attempts, self.lag_bytes, self.lag_seconds,
            self.wal_at_risk, self.diverged_commits, self.diverged_wal,
        )  # fmt: skip

    def _of_watch(self) -> None:
        self.state = self._gauge("state", "1 for the present state, 0 for the others.", "state")
        self.transitions = self._counter(
            "state_transitions",
            "Transitions of the state machine, since the journal began. `trigger`: what set"
            " the failover off that it belongs to, or the command; else `automatic`.",
            "from_state", "to_state", "trigger",
        )  # fmt: skip
        self.state_entered = self._gauge(
            "state_entered_timestamp_seconds", "When the present state was entered (Unix time)."
        )
        self.diagnosis = self._gauge(
            "diagnosis", "1 for the present diagnosis of the primary, if one is known.", "diagnosis"
        )
        self.timeline = self._gauge(
            "timeline", "The highest timeline on which a primary was seen or confirmed."
        )
        self.consecutive_failures = self._gauge(
            "consecutive_failures", "Failed rounds of the primary since it was last heard."
        )
        self.ready = self._gauge(
            "ready",
            "1 where a failover could be made now, as far as it is checked: somebody could take"
            " over within max_data_loss, the primary's host could prove the fence, neither"
            " cooldown, pause nor mode is in the way, and no check of readiness fails.",
        )
        self.paused = self._gauge("paused", "1 while paused.")
        self.cooldown = self._gauge(
            "cooldown_remaining_seconds", "Until the next automatic failover is allowed."
        )
        self.dead_man_armed = self._gauge(
            "dead_man_armed", "1 while a dead-man is armed on the primary's host and renewed."
        )
        self.renewals = self._counter(
            "dead_man_renewals",
            "Renewals of the dead-man: `acknowledged`, `unanswered` (nobody knows whether it came),"
            " `refused` (it does not watch any more). Of this run of the daemon.",
            "outcome",
        )
        self.leader = self._gauge("leader", "1 where this daemon is the one that may act.")

    def _of_failover(self) -> None:
        self.failovers = self._counter(
            "failovers",
            "Failovers by how they ended, since the journal began: `succeeded` (confirmed),"
            " `cancelled` (the primary turned out alive, or somebody else acted), `reverted`"
            " (nobody could take over after the fence), `refused` (called for, and not begun).",
            "trigger", "outcome",
        )  # fmt: skip
        self.failover_duration = self._histogram(
            "failover_duration_seconds",
            "From the first failed look, or from the command where the primary was well, to the"
            " confirmation of the new primary. Without failovers that a restart cut in two.",
        )
        self.step_duration = self._histogram(
            "step_duration_seconds", "Time spent in one step of the procedure.", "step"
        )
        self.blocked = self._gauge(
            "blocked", "1 for the reason why nothing goes forward; all 0 if not blocked.", "reason"
        )
        self.last_failover = self._gauge(
            "last_failover_timestamp_seconds",
            "When the last failover was confirmed (Unix time); 0: never.",
        )
        self.last_incident = self._gauge(
            "last_incident_info",
            "1 for the latest incident: its number, for `failoverd report`, and how it ended"
            " (`under_way`: not yet). One series a cluster; absent before the first.",
            "incident", "trigger", "outcome",
        )  # fmt: skip
        self.wal_lost = self._gauge(
            "wal_lost_bytes",
            "WAL lost by the last failover: exactly, where `failoverd_wal_lost_exact` is 1, else"
            " at most about so much, or at least so much where the daemon had never seen the"
            " primary itself. Of this run of the daemon.",
        )
        self.wal_lost_exact = self._gauge(
            "wal_lost_exact",
            "1 where the true end of the old primary's WAL was read, so that"
            " `failoverd_wal_lost_bytes` is no estimate.",
        )
        self.wal_salvaged = self._counter(
            "wal_salvaged_bytes",
            "WAL that was brought over from another disk before a promotion, in whole pages. Of"
            " this run of the daemon.",
        )

    def _of_split_brain(self) -> None:
        self.split_brains = self._counter(
            "split_brains",
            "How often two nodes were seen taking writes at once. Of this run of the daemon.",
        )
        self.diverged_commits = self._gauge(
            "diverged_commits",
            "Transactions that only this stale node has committed, as its WAL shows; absent where"
            " nothing was counted.",
            "node",
        )
        self.diverged_wal = self._gauge(
            "diverged_wal_bytes",
            "WAL that this stale node wrote after the fork; absent where nothing was counted.",
            "node",
        )

    def _of_node(self) -> None:
        self.primary = self._gauge("primary", "1 for the node taken for the primary.", "node")
        self.node_up = self._gauge("node_up", "1 where PostgreSQL answered in the last round, be"
                                   " it with a refusal.", "node")  # fmt: skip
        self.node_role = self._gauge("node_role", "1 for the role last seen.", "node", "role")
        self.node_job = self._gauge(
            "node_job", "1 for what is owed to a node; `ok`: nothing.", "node", "job"
        )
        self.probe_duration = self._histogram(
            "probe_duration_seconds",
            "Duration of looks. `kind`: the held session, a fresh connection, the write check,"
            " the host, its local socket, the way from it to the primary.",
            "node", "kind",
        )  # fmt: skip
        self.probe_failures = self._counter(
            "probe_failures", "Looks that did not come out well.", "node", "kind", "outcome"
        )
        self.fence_attempts = self._counter(
            "fence_attempts",
            "Fences tried, by result: `fenced` (proved), `still_alive` (refused), `failed`."
            " Of this run of the daemon.",
            "node", "rung", "outcome",
        )  # fmt: skip
        self.lag_bytes = self._gauge(
            "replication_lag_bytes",
            "WAL that a standby has not received, by the primary's last known position; absent"
            " where unknown.",
            "node",
        )
        self.lag_seconds = self._gauge(
            "replication_lag_seconds",
            "Age of the last transaction that a standby replayed, by its own word; it grows"
            " while the primary writes nothing. Absent where unknown.",
            "node",
        )
        self.wal_at_risk = self._gauge(
            "wal_at_risk_bytes",
            "WAL that a failover to this standby would lose now (estimate); absent where unknown.",
            "node",
        )

    def _of_target(self) -> None:
        self.leads_to_primary = self._gauge(
            "redirect_leads_to_primary",
            "1 where a way of the applications was last seen to lead to the primary and to no"
            " other node; 0 where it does not, or cannot be asked.",
            "target",
        )
        self.redirects = self._counter(
            "redirects",
            "Attempts to lead a way of the applications to the primary, by result: `led`"
            " (verified, also where nothing was to be done), `failed`. Of this run of the daemon.",
            "target", "outcome",
        )  # fmt: skip

    def _of_readiness(self) -> None:
        self.ready_check = self._gauge(
            "ready_check",
            "0 where this check of readiness fails (docs/readiness.md), on any node; else 1, also"
            " where it warns, or is not known.",
            "check",
        )
        self.recovery_time = self._gauge(
            "recovery_time_objective_seconds",
            "The worst case of the outage for a kind of fault, with this configuration and what is"
            " to be carried and replayed now; +Inf: not covered.",
            "fault",
        )

    def _of_daemon(self) -> None:
        self.build_info = self._gauge(
            "build_info", "Versions; always 1.", "version", "python", of_daemon=True
        )
        self.loop_lag = self._gauge(
            "event_loop_lag_seconds",
            "The worst lag of the event loop in the last second.",
            of_daemon=True,
        )
        self.round_late = self._histogram(
            "round_late_seconds",
            "How long after it was due a round of looks began, by the daemon's own doing: of all"
            " clusters. Above 0.05 it has too much to do.",
            of_daemon=True,
        )
        self.notifications = self._counter(
            "notifications",
            "Notices by what became of them: `told`, `failed` (an attempt, tried again), `given_up`"
            " (after a day), `dropped` (too many waited). Of this run of the daemon.",
            "target", "outcome",
            of_daemon=True,
        )  # fmt: skip
        self.notices_queued = self._gauge(
            "notices_queued",
            "Notices that are still to be told, when somebody was told last.",
            "target", of_daemon=True,
        )  # fmt: skip
        self.config_reloads = self._counter(
            "config_reloads",
            "Reloads of the configuration; `refused`: nothing was changed.",
            "outcome",
            of_daemon=True,
        )
        self.config_reloaded = self._gauge(
            "last_config_reload_success_timestamp_seconds",
            "When a reload was last taken up (Unix time); 0: not since the start.",
            of_daemon=True,
        )

    def _gauge(self, name: str, meaning: str, *labels: str, of_daemon: bool = False) -> Gauge:
        family = Gauge(f"failoverd_{name}", meaning, _with_cluster(labels, of_daemon=of_daemon))
        self._keep(family)
        return family

    def _counter(self, name: str, meaning: str, *labels: str, of_daemon: bool = False) -> Counter:
        named = _with_cluster(labels, of_daemon=of_daemon)
        family = Counter(f"failoverd_{name}_total", meaning, named)
        self._keep(family)
        return family

    def _histogram(
        self, name: str, meaning: str, *labels: str, of_daemon: bool = False
    ) -> Histogram:
        named = _with_cluster(labels, of_daemon=of_daemon)
        family = Histogram(f"failoverd_{name}", meaning, named, BUCKETS)
        self._keep(family)
        return family

    def _keep(self, family: Family) -> None:
        self.families.append(family)
        self._rows.append((family.name, family.kind, family.label_names, family.meaning))
        if "cluster" in family.label_names:
            self._of_clusters.append(family)

    def forget(self, cluster: str) -> None:
        """No series of it is left."""
        for family in self._of_clusters:
            family.remove_by_labels({"cluster": cluster})

    def documentation(self) -> str:
        """docs/metrics.md, whole."""
        table = [
            f"| `{name}` | {kind} | {_listed(labels)} | {meaning} |"
            for name, kind, labels, meaning in sorted(self._rows)
        ]
        return "\n".join([*_HEAD, *table, ""])


def _with_cluster(labels: tuple[str, ...], *, of_daemon: bool) -> tuple[str, ...]:
    return labels if of_daemon else ("cluster", *labels)


def _listed(labels: tuple[str, ...]) -> str:
    return ", ".join(f"`{one}`" for one in labels) or "none"


_HEAD = (
    "# Metrics",
    "",
    "Served in Prometheus' text format at `GET /metrics`. Base units; every series exists from",
    "the start at 0, so that `increase()` sees the first event. `cluster` is on all but the",
    "daemon's own. Beside these come the usual `process_*` and `python_info`. `?name[]=` with a",
    "name, once or more, asks for those alone: of a thousand clusters all are 85 MB.",
    "",
    "[monitoring.md](monitoring.md) has alerts on them, what to do about each, and a dashboard.",
    "",
    "| name | type | labels | meaning |",
    "|---|---|---|---|",
)
