"""The failover that an operator orders.

The daemon does it; this end only asks and looks, and may be lost at any time.
"""

from __future__ import annotations

import sys
from typing import Any

import click

from failoverd.cli.by_hand import yes_option
from failoverd.cli.context import EXIT_REFUSED, EXIT_USAGE, Context, confirm, fail
from failoverd.cli.following import as_it_is, follow


@click.command()
@click.option("--to", help="The standby that shall take over.")
@click.option("--accept-loss", help="Raise max_data_loss for this failover, such as 64MB.")
@click.option("--dry-run", is_flag=True, help="Say what would be done, with each command.")
@click.option("--wait/--no-wait", default=True, help="Follow it to its end (default).")
@click.option("--timeout", default=120.0, help="Seconds to wait for the end of it.")
@yes_option
@click.pass_obj
def failover(
    obj: Context,
    *,
    to: str | None,
    accept_loss: str | None,
    dry_run: bool,
    wait: bool,
    timeout: float,
    yes: bool,
) -> None:
    """Fail over now: skips threshold, cooldown and mode; never proof or max_data_loss."""
    cluster = obj.cluster
    accepted = _bytes_of(accept_loss)
    body: dict[str, Any] = {"to": to, "accept_loss_bytes": accepted}
    before = obj.with_primary(cluster)
    _say_what_would_be_done(before, to)
    if dry_run:
        from failoverd.cli.rehearsal import tell_rehearsal

        _, told = obj.ask("POST", f"/api/v1/clusters/{cluster}/rehearsal", body)
        sys.exit(0 if tell_rehearsal(told) else EXIT_REFUSED)
    target = to or "the best standby"
    confirm(f"About to fence {before['primary']} of {cluster} and promote {target}.", yes=yes)
    obj.act("failover", body)
    if wait:
        _follow(obj, cluster, before["primary"], timeout)


def _bytes_of(accept_loss: str | None) -> int | None:
    if accept_loss is None:
        return None
    from failoverd.config.quantities import size

    try:
        return size(accept_loss)
    except ValueError as error:
        fail(f"--accept-loss: {error}", EXIT_USAGE)


def _say_what_would_be_done(status: dict[str, Any], to: str | None) -> None:
    """The election as it would go now. Ends with 1 where TO cannot be meant."""
    outlook = status["outlook"]
    click.echo(f"primary {status['primary']} is {status['diagnosis']}")
    click.echo(f"would {outlook['would']} ({outlook['why']})")
    for obstacle in outlook["obstacles"]:
        click.echo(f"  in the way of an automatic failover: {obstacle}")
    if to is None:
        return
    if to not in status["nodes"]:
        known = ", ".join(sorted(status["nodes"]))
        fail(f"refused: no node is called {to!r}: one of {known}", EXIT_REFUSED)
    if to == status["primary"]:
        fail(f"refused: {to} is the primary", EXIT_REFUSED)
    if not outlook["would"].endswith(f" promote {to}"):
        click.echo(f"  {to} is not the best one: the daemon judges it when it is asked for")


def _follow(obj: Context, cluster: str, old: str, timeout_s: float) -> None:
    after = follow(obj, cluster, timeout_s, lambda now: now["state"] in ("watching", "blocked"))
    if after["state"] == "blocked":
        sys.exit(EXIT_REFUSED)
    if after["primary"] == old:
        fail(as_it_is(old, after), EXIT_REFUSED)
    click.echo(f"confirmed: {after['primary']} is the primary on timeline {after['timeline']}")
