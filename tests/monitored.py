"""What the alerts and the dashboard ask for, held against what is served."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from pathlib import Path

import yaml
from prometheus_client.parser import text_string_to_metric_families

ROOT = Path(__file__).parents[1]
RULES = ROOT / "deploy" / "prometheus" / "failoverd.rules.yml"
DASHBOARD = ROOT / "deploy" / "grafana" / "failoverd.json"
RUNBOOKS = ROOT / "docs" / "runbooks"
SELECTOR = re.compile(r"(failoverd_\w+)(?:\{([^}]*)\})?")
MATCHER = re.compile(r'(\w+)(=~|!=|=)"([^"]*)"')
GROUPED = re.compile(r"\bby \(([^)]*)\)")
LEGEND = re.compile(r"\{\{\s*(\w+)\s*\}\}")
OF_PROMETHEUS = {"instance", "job", "le"}


def alerts():
    """Every alert, as it is written."""
    return [
        rule for group in yaml.safe_load(RULES.read_text())["groups"] for rule in group["rules"]
    ]


def dashboard():
    return json.loads(DASHBOARD.read_text())


def drawn() -> Iterator[tuple[str, str]]:
    """Each query of the dashboard, and the words that are written beside what it finds."""
    for panel in dashboard()["panels"]:
        yield from ((target["expr"], target["legendFormat"]) for target in panel["targets"])
    for annotation in dashboard()["annotations"]["list"]:
        yield annotation["expr"], annotation["textFormat"]


def queries() -> Iterator[str]:
    yield from (query for query, _ in drawn())


def legends() -> Iterator[tuple[str, str]]:
    """A query, and a label that its legend names."""
    for query, legend in drawn():
        for label in LEGEND.findall(legend):
            yield query, label


def samples(exposition: str):
    return [
        sample for family in text_string_to_metric_families(exposition) for sample in family.samples
    ]


def unserved(query: str, exposition: str) -> list[str]:
    """What a query names and nobody serves: metrics, labels, values of labels."""
    served = samples(exposition)
    wrong = []
    for name, matchers in SELECTOR.findall(query):
        found = [sample for sample in served if sample.name == name]
        if not found:
            wrong.append(name)
            continue
        for label, relation, value in MATCHER.findall(matchers):
            values = {sample.labels.get(label) for sample in found}
            wanted = value.split("|") if relation == "=~" else [value]
            for one in wanted:
                if label not in found[0].labels and label not in OF_PROMETHEUS:
                    wrong.append(f"{name} has no label {label}")
                elif not one.startswith(("$", ".")) and one not in values:
                    wrong.append(f"{name}: {label} is never {one}")
        known = set().union(*(sample.labels for sample in found)) | OF_PROMETHEUS
        for group in GROUPED.findall(query):
            wrong += [
                f"{name} has no label {label}"
                for label in (word.strip() for word in group.split(","))
                if label not in known
            ]
    return wrong
