"""Alerts and dashboard ask only for what is served, and each alert says what to do."""

from __future__ import annotations

import re

import pytest

from failoverd.observability.metrics import Metrics
from tests import monitored
from tests.unit.story import POLICY, Story, failover
from tests.unit.test_metrics import told

ALERTS = {rule["alert"]: rule for rule in monitored.alerts()}
WANTED = {
    "FailoverdPrimarySuspect", "FailoverdFailoverHappened", "FailoverdFailoverFailed",
    "FailoverdBlocked", "FailoverdNotReady", "FailoverdNoStandby", "FailoverdLag",
    "FailoverdSplitBrain", "FailoverdAbsent", "FailoverdLeaseLost", "FailoverdReloadFailed",
    "FailoverdLoopLate",
}  # fmt: skip


@pytest.fixture(scope="module")
def exposition():
    """Of a cluster with a standby, and after a failover: every series that may be there is."""
    metrics = told(failover(), told(Story().all_well(), seeded()))
    return b"".join(metrics.exposition()).decode()


def seeded():
    metrics = Metrics()
    metrics.seed("main", POLICY, {})
    return metrics


def test_every_alert_that_was_promised_is_there():
    assert set(ALERTS) >= WANTED


@pytest.mark.parametrize("name", sorted(ALERTS))
def test_an_alert_says_what_it_is_about_how_grave_and_where_to_read_on(name):
    rule = ALERTS[name]
    assert rule["labels"]["severity"] in ("critical", "warning")
    assert set(rule["annotations"]) == {"summary", "description", "runbook_url"}
    page = monitored.ROOT / rule["annotations"]["runbook_url"]
    assert page == monitored.RUNBOOKS / f"{name}.md"
    text = page.read_text()
    for heading in ("What it means for applications", "What to do", "What not to do"):
        assert f"## {heading}\n" in text


def test_no_runbook_is_left_of_an_alert_that_is_gone():
    assert {page.stem for page in monitored.RUNBOOKS.glob("*.md")} == set(ALERTS)


@pytest.mark.parametrize("name", sorted(ALERTS))
def test_an_alert_asks_for_what_is_served(name, exposition):
    assert monitored.unserved(ALERTS[name]["expr"], exposition) == []


@pytest.mark.parametrize("name", sorted(ALERTS))
def test_an_alert_names_only_labels_that_its_query_leaves(name, exposition):
    rule = ALERTS[name]
    for label in re.findall(r"\$labels\.(\w+)", " ".join(rule["annotations"].values())):
        metric = monitored.SELECTOR.search(rule["expr"])[1]
        labels = set().union(
            *(one.labels for one in monitored.samples(exposition) if one.name == metric)
        )
        assert label in labels
        groups = monitored.GROUPED.findall(rule["expr"])
        assert all(label in [word.strip() for word in group.split(",")] for group in groups)


@pytest.mark.parametrize("query", sorted(set(monitored.queries())))
def test_a_panel_asks_for_what_is_served(query, exposition):
    assert monitored.unserved(query, exposition) == []


@pytest.mark.parametrize(("query", "label"), sorted(set(monitored.legends())))
def test_a_legend_names_a_label_that_is_there(query, label, exposition):
    assert monitored.unserved(f"{query} by ({label})", exposition) == []


def test_a_query_for_what_is_not_served_would_be_found(exposition):
    for wrong in (
        "failoverd_no_such_thing",
        'failoverd_state{state="asleep"} == 1',
        'failoverd_state{mood="good"}',
        "sum by (mood) (failoverd_state)",
    ):
        assert monitored.unserved(wrong, exposition) != [], wrong


def test_the_dashboard_can_be_imported_anywhere():
    board = monitored.dashboard()
    assert board["uid"] == "failoverd"
    variables = {one["name"]: one for one in board["templating"]["list"]}
    assert variables["datasource"]["type"] == "datasource"
    for panel in board["panels"]:
        assert panel["datasource"]["uid"] == "${datasource}"
    numbers = [panel["id"] for panel in board["panels"]]
    assert len(set(numbers)) == len(numbers)


def test_no_two_panels_lie_over_each_other():
    taken = set()
    for panel in monitored.dashboard()["panels"]:
        place = panel["gridPos"]
        cells = {
            (x, y)
            for x in range(place["x"], place["x"] + place["w"])
            for y in range(place["y"], place["y"] + place["h"])
        }
        assert not cells & taken, panel["title"]
        assert place["x"] + place["w"] <= 24
        taken |= cells
