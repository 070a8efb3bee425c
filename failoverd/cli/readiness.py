"""What `failoverd check` tells of a cluster's readiness. Imports nothing slow."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import click

WORDS = {"warn": "warn", "fail": "FAIL"}
"""In this order, so that the worst stands last, where it is read first."""


def tell(cluster: str, document: dict[str, Any]) -> bool:
    """Print what passes in short, each other with its fix; True where nothing fails."""
    for line in (*_passes(cluster, document["checks"]), *_unknown(cluster, document["checks"])):
        click.echo(line)
    for verdict, word in WORDS.items():
        for one in document["checks"]:
            if one["verdict"] == verdict:
                where = f"{cluster}/{one['node']}" if one["node"] else cluster
                click.echo(f"{word}  {where}: {one['check']}: {one['sentence']}")
                for line in one["fix"].splitlines():
                    click.echo(f"      fix: {line}")
    for one in document["objectives"]:
        click.echo(f"rto   {cluster}: {one['sentence']}")
    return all(one["verdict"] != "fail" for one in document["checks"])


def _passes(cluster: str, checks: list[dict[str, Any]]) -> Iterator[str]:
    names = dict.fromkeys(one["check"] for one in checks if one["verdict"] == "pass")
    for name in names:
        found = [one for one in checks if one["check"] == name and one["verdict"] == "pass"]
        nodes = ", ".join(one["node"] for one in found if one["node"])
        yield f"pass  {cluster}/{nodes}: {name}" if nodes else f"pass  {cluster}: {name}"


def _unknown(cluster: str, checks: list[dict[str, Any]]) -> Iterator[str]:
    """One line for each reason: another check says more of it."""
    found = [one for one in checks if one["verdict"] == "unknown"]
    for node, sentence in dict.fromkeys((one["node"], one["sentence"]) for one in found):
        names = [
            one["check"] for one in found if (one["node"], one["sentence"]) == (node, sentence)
        ]
        where = f"{cluster}/{node}" if node else cluster
        yield f"?     {where}: {sentence}: {', '.join(names)}"
