"""What a failover would do, told to a person before anything is done."""

from __future__ import annotations

from typing import Any

import click


def tell_rehearsal(told: dict[str, Any]) -> bool:
    """Print it; False where the order would be refused."""
    election = told["election"]
    if election is not None:
        chosen = election["candidate"] or "nobody"
        at = f" at {election['position']}" if election["position"] else ""
        lost = f"; lost with it: {election['loss']}" if election["loss"] else ""
        click.echo(f"trial election: {chosen}{at}{lost}")
        for node, why in election["refused"].items():
            click.echo(f"  not {node}: {why}")
    for number, step in enumerate(told["steps"], 1):
        click.echo(f"{number}. {step['step']} {step['node']}: {step['does']}")
        for command in step["commands"]:
            click.echo(f"     {command}")
    if told["refused"] is not None:
        click.echo(f"now it would be refused: {told['refused']}")
    click.echo("nothing was done")
    return told["refused"] is None
