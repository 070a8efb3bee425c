"""`failoverd host-program NODE`: what a key of the daemon's may run there, and nothing else."""

from __future__ import annotations

from pathlib import Path

import click

from failoverd.cli.context import EXIT_CONFIG, EXIT_REFUSED, Context, fail


@click.command("host-program")
@click.argument("node")
@click.pass_obj
def host_program(obj: Context, node: str) -> None:
    """Print the program to install on NODE's host as the only command of the daemon's key."""
    from failoverd.config.load import load
    from failoverd.config.messages import ConfigurationErrors
    from failoverd.daemon.nodes import installed_program

    try:
        configuration = load(Path(obj.config))
    except ConfigurationErrors as errors:
        fail(str(errors), EXIT_CONFIG)
    found = [
        name
        for name, cluster in configuration.clusters.items()
        if obj.wanted in (None, name) and node in cluster.nodes
    ]
    if len(found) != 1:
        fail(
            f"no node is called {node}" if not found else f"say --cluster: {' or '.join(found)}",
            EXIT_REFUSED,
        )
    click.echo(installed_program(configuration, found[0], node), nl=False)
