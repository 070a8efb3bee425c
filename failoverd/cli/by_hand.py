"""What an operator does by hand about one node; each is journaled with who asked."""

from __future__ import annotations

import sys

import click

from failoverd.cli.context import EXIT_REFUSED, Context, confirm, fail
from failoverd.cli.following import as_it_is, follow, taken_back

yes_option = click.option("--yes", is_flag=True, help="Do not ask.")


@click.command()
@click.argument("node")
@click.option("--reason", required=True, help="Why you are sure that it takes no more writes.")
@yes_option
@click.pass_obj
def fenced(obj: Context, node: str, *, reason: str, yes: bool) -> None:
    """Vouch that NODE is fenced, where failoverd cannot prove it."""
    click.echo(
        f"If {node} still takes writes, there will be two primaries and data will be lost.\n"
        f"You answer for it: {reason}"
    )
    if not yes:
        if not sys.stdin.isatty():
            fail("refused: there is no terminal to ask on; say --yes if you mean it", EXIT_REFUSED)
        if click.prompt("Type the node's name again") != node:
            fail("that is another name: nothing was done", EXIT_REFUSED)
    obj.act("fenced", {"node": node, "reason": reason})


@click.command()
@click.argument("node")
@yes_option
@click.pass_obj
def fence(obj: Context, node: str, *, yes: bool) -> None:
    """Guard and stop NODE, which is not the primary, and keep it out."""
    cluster = obj.cluster
    confirm(f"About to guard and stop PostgreSQL on {node} of {cluster}.", yes=yes)
    obj.act("fence", {"node": node})
    click.echo(f"failoverd status shows what came of it: {node} is then `quarantined`")


@click.command()
@click.argument("node")
@click.option("--timeout", default=120.0, help="Seconds to wait for the end of it.")
@yes_option
@click.pass_obj
def unfence(obj: Context, node: str, *, timeout: float, yes: bool) -> None:
    """Give a failover up: take the guard of NODE back, and start it read-write again."""
    cluster = obj.cluster
    confirm(f"About to start {node} of {cluster} again as the primary.", yes=yes)
    obj.act("unfence", {"node": node})

    after = follow(obj, cluster, timeout, taken_back)
    if after["state"] == "blocked":
        fail(as_it_is(node, after), EXIT_REFUSED)
    if after["primary"] != node:
        fail(f"{after['primary']} is the primary, and not {node}", EXIT_REFUSED)
    click.echo(f"{node} is the primary again")


@click.command()
@click.argument("node")
@yes_option
@click.pass_obj
def adopt(obj: Context, node: str, *, yes: bool) -> None:
    """Say that NODE, which takes writes, is the primary: a roll-back, or a split brain decided."""
    cluster = obj.cluster
    confirm(
        f"From now on {node} is the primary of {cluster}, on whatever timeline it is.\n"
        "What another node took and this one has not is lost to the cluster.",
        yes=yes,
    )
    obj.act("adopt", {"node": node})


COMMANDS = (fenced, fence, unfence, adopt)
