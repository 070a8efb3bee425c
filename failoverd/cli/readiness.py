"""What `failoverd check` found, and what a running daemon says of it. Imports nothing slow."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import click


@dataclass(frozen=True, slots=True)
class Finding:
    node: str
    passed: bool
    sentence: str
    fix: str = ""


def tell(cluster: str, findings: Sequence[Finding]) -> bool:
    """Print each, what mends it below; True where all passed."""
    for finding in findings:
        word = "pass" if finding.passed else "FAIL"
        click.echo(f"{word}  {cluster}/{finding.node}: {finding.sentence}")
        if not finding.passed and finding.fix:
            click.echo(f"      {finding.fix}")
    return all(finding.passed for finding in findings)


def as_the_daemon_sees_it(status: dict[str, Any]) -> list[Finding]:
    """Would an automatic failover work this second? From its status document."""
    found = [finding for name, node in status["nodes"].items() for finding in _of(name, node)]
    found.append(Finding("cluster", status["state"] == "watching", status["sentence"]))
    outlook = status["outlook"]
    if not outlook["obstacles"]:
        said = f"if the primary died now: {outlook['would']} ({outlook['why']})"
        return [*found, Finding("cluster", True, said)]
    return [*found, *(Finding("cluster", False, said) for said in outlook["obstacles"])]


def _of(name: str, node: dict[str, Any]) -> Iterator[Finding]:
    sql = node["fresh"] if node["up"] or not node["detail"] else f"{node['fresh']} {node['detail']}"
    yield Finding(name, node["up"], f"SQL: {sql}")
    host = f"host: {node['host']} {node['host_detail']}".rstrip()
    yield Finding(name, node["host"] == "ok", host)
    if node["up"] and node["host"] == "ok" and not node["calibrated"]:
        said = "its host has not seen the server that SQL sees: a fence could not be proved"
        yield Finding(name, False, said, "data_dir must be this server's, and the user must own it")
