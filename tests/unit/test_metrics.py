"""What is served is what happened, from the first event on, and is documented."""

from __future__ import annotations

import itertools
from dataclasses import replace
from pathlib import Path

import prometheus_client
import pytest
from prometheus_client import CollectorRegistry, generate_latest
from prometheus_client.core import (
    CounterMetricFamily,
    GaugeMetricFamily,
    HistogramMetricFamily,
)
from prometheus_client.parser import text_string_to_metric_families
from prometheus_client.registry import Collector
from prometheus_client.utils import floatToGoString

from failoverd.core.events import OperatorPause, StillAlive
from failoverd.core.model import NodeName, Outcome
from failoverd.core.policy import NodePolicy, TargetName, TargetPolicy
from failoverd.core.states import name_of
from failoverd.core.transitions import transitions
from failoverd.observability.families import Counter, Histogram
from failoverd.observability.metrics import Metrics
from failoverd.observability.series import BUCKETS
from tests.unit.story import PG1, PG2, POLICY, Story, dead, failover, look, well

DOCUMENT = Path(__file__).parents[2] / "docs" / "metrics.md"


def told(story, metrics=None):
    """The metrics after a story, as a daemon would have kept them."""
    if metrics is None:
        metrics = Metrics()
        metrics.seed("main", story.policy, {})
    for before, event, after, _, now in story.steps:
        view = getattr(event, "view", None)
        for report in view.nodes.values() if view is not None else ():
            metrics.probed("main", report, before)
        metrics.stepped("main", before, event, after, now, story.policy)
    return metrics


def served(metrics):
    """Every sample by name and labels."""
    return {
        (sample.name, frozenset(sample.labels.items())): sample.value
        for family in text_string_to_metric_families(b"".join(metrics.exposition()).decode())
        for sample in family.samples
    }


def value(metrics, name, **labels):
    return served(metrics)[name, frozenset({"cluster": "main", **labels}.items())]


def chosen(metrics, name, label):
    """The members whose series are 1."""
    return [
        dict(labels)[label]
        for (served_name, labels), amount in served(metrics).items()
        if served_name == name and amount == 1
    ]


def test_docs_metrics_md_says_what_is_served():
    assert DOCUMENT.read_text() == Metrics().documentation(), "run: make docs"


def test_every_family_that_is_served_is_documented():
    document = DOCUMENT.read_text()
    text = b"".join(told(failover()).exposition()).decode()
    for family in text_string_to_metric_families(text):
        if family.name.startswith("failoverd_"):
            name = family.name + ("_total" if family.type == "counter" else "")
            assert f"`{name}`" in document


def test_every_documented_series_exists_before_anything_happened():
    metrics = Metrics()
    metrics.seed("main", replace(POLICY, targets={TargetName("haproxy"): TargetPolicy()}), {})
    metrics.notifying("webhook")
    names = {name for name, _ in served(metrics)}
    absent_where_unknown = {
        "failoverd_replication_lag_bytes",
        "failoverd_replication_lag_seconds",
        "failoverd_wal_at_risk_bytes",
        "failoverd_diverged_commits",
        "failoverd_diverged_wal_bytes",
        "failoverd_last_incident_info",
    }
    for line in DOCUMENT.read_text().splitlines():
        if line.startswith("| `failoverd_"):
            name = line.split("`")[1]
            found = {name, f"{name}_count"} & names
            assert found or name in absent_where_unknown, name


def test_every_declared_transition_exists_at_zero():
    metrics = Metrics()
    metrics.seed("main", POLICY, {})
    for before, after in transitions():
        labels = {"from_state": name_of(before), "to_state": name_of(after)}
        name = "failoverd_state_transitions_total"
        assert value(metrics, name, **labels, trigger="automatic") == 0


def test_a_story_creates_no_transition_that_was_not_there_before():
    metrics = Metrics()
    metrics.seed("main", POLICY, {})
    before = {key for key in served(metrics) if "transitions" in key[0]}
    told(failover(), metrics)
    paused = Story().all_well()
    paused.happens(OperatorPause("alice"))
    told(paused, metrics)
    assert {key for key in served(metrics) if "transitions" in key[0]} == before


def test_counters_go_on_from_the_journal():
    metrics = Metrics()
    metrics.seed(
        "main",
        POLICY,
        {("watching", "suspect", "automatic"): 7},
        {("automatic", "succeeded"): 3},
    )
    told(failover(), metrics)
    labels = {"from_state": "watching", "to_state": "suspect", "trigger": "automatic"}
    assert value(metrics, "failoverd_state_transitions_total", **labels) == 8
    ended = {"trigger": "automatic", "outcome": "succeeded"}
    assert value(metrics, "failoverd_failovers_total", **ended) == 4


def test_exactly_one_state_is_one():
    story = failover()
    for steps in range(1, len(story.steps) + 1):
        part = replace(story, steps=story.steps[:steps])
        assert chosen(told(part), "failoverd_state", "state") == [
            name_of(story.steps[steps - 1][2].state)
        ]


def test_after_a_failover_the_other_node_is_the_primary():
    metrics = told(failover())
    assert chosen(metrics, "failoverd_primary", "node") == ["pg2"]
    assert value(metrics, "failoverd_timeline") == 2
    assert value(metrics, "failoverd_node_job", node="pg1", job="quarantined") == 1
    assert value(metrics, "failoverd_node_job", node="pg1", job="ok") == 0
    assert value(metrics, "failoverd_wal_lost_bytes") == 0


def test_a_failover_is_timed_from_the_first_failed_look():
    story = failover()
    metrics = told(story)
    first = next(
        at.monotonic for *_, entry, at in story.steps if entry and "suspect" in entry.sentence
    )
    last = next(at.monotonic for *_, entry, at in story.steps if entry and entry.outcome)
    took = value(metrics, "failoverd_failover_duration_seconds_sum")
    assert took == pytest.approx(last - first, abs=0.03)
    assert value(metrics, "failoverd_failover_duration_seconds_count") == 1


@pytest.mark.parametrize(
    "step", ["detect", "fence", "elect", "salvage", "promote", "confirm", "redirect"]
)
def test_each_step_of_a_failover_is_timed(step):
    metrics = told(failover())
    assert value(metrics, "failoverd_step_duration_seconds_count", step=step) == 1


def test_each_fence_counts_by_its_result():
    metrics = told(failover())
    told(Story().all_well().primary_dies().answers(StillAlive), metrics)
    name = "failoverd_fence_attempts_total"
    assert value(metrics, name, node="pg1", rung="stop", outcome="fenced") == 1
    assert value(metrics, name, node="pg1", rung="stop", outcome="still_alive") == 1
    ended = {"trigger": "automatic", "outcome": "cancelled"}
    assert value(metrics, "failoverd_failovers_total", **ended) == 1


def test_a_look_that_is_reported_again_counts_once():
    metrics = told(Story().all_well(1))
    story = Story().all_well(1)
    report = dead(NodeName("pg1"), 2, 200.0)
    for _ in range(3):
        metrics.probed("main", report, story.machine)
    labels = {"node": "pg1", "kind": "fresh", "outcome": "refused"}
    assert value(metrics, "failoverd_probe_failures_total", **labels) == 1
    assert value(metrics, "failoverd_node_up", node="pg1") == 0


def test_the_lag_of_a_standby_that_does_not_answer_is_absent_and_not_zero():
    story = Story().all_well()
    metrics = told(story)
    behind = well(NodeName("pg2"), 9, story.at, lsn=0x3000000)
    metrics.probed("main", behind, story.machine)
    assert value(metrics, "failoverd_replication_lag_bytes", node="pg2") == 0x148
    assert value(metrics, "failoverd_wal_at_risk_bytes", node="pg2") == 0x148
    assert value(metrics, "failoverd_replication_lag_seconds", node="pg2") == 0.25
    metrics.probed("main", dead(NodeName("pg2"), 10, story.at), story.machine)
    assert not [key for key in served(metrics) if key[0] == "failoverd_replication_lag_bytes"]


def test_a_node_that_was_removed_is_forgotten():
    story = Story().all_well()
    metrics = told(story)
    policy = replace(POLICY, nodes={"pg1": NodePolicy("192.0.2.11")})
    before, event, after, _, now = story.steps[-1]
    metrics.stepped("main", before, event, after, now, policy)
    assert not [key for key in served(metrics) if ("node", "pg2") in key[1]]


def test_a_refused_reload_counts_and_does_not_move_the_time():
    metrics = Metrics()
    metrics.reloaded(ok=True, at=1234.0)
    metrics.reloaded(ok=False, at=9999.0)
    found = served(metrics)
    at = "failoverd_last_config_reload_success_timestamp_seconds"
    assert found[at, frozenset()] == 1234.0
    refused = frozenset({("outcome", "refused")})
    assert found["failoverd_config_reloads_total", refused] == 1


def test_readiness_is_one_only_where_nothing_is_in_the_way():
    story = Story().all_well()
    assert value(told(story), "failoverd_ready") == 1
    story.happens(OperatorPause("alice"))
    metrics = told(story)
    assert value(metrics, "failoverd_ready") == 0
    assert value(metrics, "failoverd_paused") == 1


def a_round_without_the_standby(story):
    late = replace(well(PG2, 9, story.at), server=None, fresh=look(Outcome.TIMED_OUT, story.at))
    story.sees(well(PG1, 9, story.at), late)


def test_readiness_does_not_flap_with_one_late_look_and_falls_with_a_silence_that_lasts():
    story = Story().all_well()
    a_round_without_the_standby(story)
    assert value(told(story), "failoverd_ready") == 1
    story.sees(well(PG1, 9, story.at), well(PG2, 9, story.at))
    a_round_without_the_standby(story)
    assert value(told(story), "failoverd_ready") == 1
    story.at += POLICY.failures * POLICY.interval_s
    a_round_without_the_standby(story)
    assert value(told(story), "failoverd_ready") == 0
    story.sees(well(PG1, 9, story.at), well(PG2, 9, story.at))
    assert value(told(story), "failoverd_ready") == 1


def test_a_rule_in_the_way_counts_at_once_beside_a_late_look():
    story = Story().all_well()
    a_round_without_the_standby(story)
    story.happens(OperatorPause("alice"))
    assert value(told(story), "failoverd_ready") == 0


def incidents(metrics):
    return [
        dict(labels)
        for (name, labels), amount in served(metrics).items()
        if name == "failoverd_last_incident_info" and amount == 1
    ]


def test_the_latest_incident_is_named_and_no_other():
    metrics = told(Story().all_well().primary_dies())
    assert [(one["incident"], one["outcome"]) for one in incidents(metrics)] == [("1", "under_way")]
    metrics = told(failover())
    assert [(one["incident"], one["outcome"]) for one in incidents(metrics)] == [("1", "succeeded")]
    metrics.latest("main", 2, "switchover", "cancelled")
    assert [one["incident"] for one in incidents(metrics)] == ["2"]


def test_a_thousand_failovers_leave_no_more_series_than_one():
    metrics = told(failover())
    before = len(served(metrics))
    for number in range(2, 1002):
        metrics.latest("main", number, "automatic", "succeeded")
    assert len(served(metrics)) == before


class _Told(Collector):
    """Families of ours, as prometheus_client knows them."""

    def __init__(self, families):
        self._families = families

    def collect(self):
        for one in self._families:
            if isinstance(one, Histogram):
                yield self._histogram(one)
                continue
            kind = CounterMetricFamily if one.kind == "counter" else GaugeMetricFamily
            told = kind(one.name.removesuffix("_total"), one.meaning, labels=one.label_names)
            for labels, number in one.items():
                told.add_metric(labels, number.value)
            yield told

    @staticmethod
    def _histogram(family):
        told = HistogramMetricFamily(family.name, family.meaning, labels=family.label_names)
        bounds = [floatToGoString(one) for one in family.bounds]
        for labels, one in family.items():
            below = list(itertools.accumulate(one.counts))
            told.add_metric(labels, list(zip(bounds, below, strict=True)), one.total)
        return told


def test_the_exposition_is_that_of_prometheus_client_line_by_line():
    metrics = told(failover())
    metrics.seed('odd "name"\\\n', POLICY, {})
    metrics.began_late(0.3)
    metrics.loop_lag(1e-7)
    metrics.reloaded(ok=True, at=1.7e9)
    theirs = CollectorRegistry()
    theirs.register(_Told(metrics._all.families))

    def read(text):
        """Every line; labels in whatever order."""
        return [
            (family.name, family.type, family.documentation, one.name, one.labels, one.value)
            for family in text_string_to_metric_families(text.decode())
            for one in family.samples
        ]

    ours, expected = read(b"".join(metrics.exposition())), read(generate_latest(theirs))
    assert ours[: len(expected)] == expected
    assert len(expected) > 1000


@pytest.mark.parametrize("late_s", [0.0, 0.005, 0.0051, 0.3, 300.0, 301.0])
def test_an_observation_counts_where_prometheus_client_counts_it(late_s):
    metrics = Metrics()
    metrics.began_late(late_s)
    theirs = CollectorRegistry()
    name = "failoverd_round_late_seconds"
    prometheus_client.Histogram(name, "", buckets=BUCKETS, registry=theirs).observe(late_s)
    for family in theirs.collect():
        for one in family.samples:
            if not one.name.endswith("_created"):
                assert served(metrics)[one.name, frozenset(one.labels.items())] == one.value


def test_what_is_removed_is_told_no_more_and_begins_anew():
    family = Counter("some_total", "Some.", ("cluster", "node"))
    for labels in (("main", "pg1"), ("main", "pg2"), ("other", "pg1")):
        family.labels(*labels).inc()
    family.remove("main", "pg1")
    family.remove("main", "pg1")
    assert [labels for labels, _ in family.items()] == [("main", "pg2"), ("other", "pg1")]
    family.remove_by_labels({"cluster": "main"})
    assert [labels for labels, _ in family.items()] == [("other", "pg1")]
    assert family.labels("main", "pg2").value == 0
