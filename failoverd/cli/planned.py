"""What is done on purpose: a switchover, now or later, a drill, and a node brought back.

The daemon does it; this end only asks and looks, and may be lost at any time.
"""

from __future__ import annotations

import sys
from datetime import datetime
from typing import Any

import click

from failoverd.cli.by_hand import yes_option
from failoverd.cli.context import (
    EXIT_REFUSED,
    EXIT_USAGE,
    Context,
    confirm,
    fail,
)
from failoverd.cli.following import as_it_is, follow


@click.command()
@click.option("--to", help="The standby that shall take over.")
@click.option("--at", "at", help="Begin then: 2026-05-01T03:00 (local time, or with an offset).")
@click.option("--dry-run", is_flag=True, help="Say what would be done, and what is in the way.")
@click.option("--cancel", is_flag=True, help="Forget what is scheduled; end a drill where it is.")
@click.option("--timeout", default=300.0, help="Seconds to follow it.")
@yes_option
@click.pass_obj
def switchover(
    obj: Context,
    *,
    to: str | None,
    at: str | None,
    dry_run: bool,
    cancel: bool,
    timeout: float,
    yes: bool,
) -> None:
    """Move the primary to a standby without loss, and make the old primary a standby."""
    if cancel:
        obj.act("cancel", {})
        return
    cluster = obj.cluster
    before = obj.with_primary(cluster)
    if dry_run:
        from failoverd.cli.rehearsal import tell_rehearsal

        order = {"to": to, "switchover": True}
        _, told = obj.ask("POST", f"/api/v1/clusters/{cluster}/rehearsal", order)
        sys.exit(0 if tell_rehearsal(told) else EXIT_REFUSED)
    body: dict[str, Any] = {"to": to}
    if at is not None:
        body["at"] = _seconds(at)
    target = to or "the best standby"
    when = "" if at is None else f", to begin at {at}"
    confirm(f"About to stop {before['primary']} of {cluster} and promote {target}{when}.", yes=yes)
    obj.act("switchover", body)
    if at is None:
        _follow(obj, cluster, before, timeout)


@click.command()
@click.option("--to", help="The standby that shall be the primary meanwhile.")
@click.option("--timeout", default=1800.0, help="Seconds to follow it.")
@yes_option
@click.pass_obj
def drill(obj: Context, *, to: str | None, timeout: float, yes: bool) -> None:
    """A switchover there and back, with its outage and its loss. The daemon does both."""
    cluster = obj.cluster
    before = obj.with_primary(cluster)
    home = before["primary"]
    confirm(f"About to switch {cluster} over from {home}, and back again.", yes=yes)
    obj.act("switchover", {"to": to, "drill": True})
    after = follow(obj, cluster, timeout, lambda now: now["scheduled"] is None)
    for number in range(before["epoch"] + 1, after["epoch"] + 1):
        _tell_figures(obj, cluster, number)
    if after["primary"] != home:
        fail(f"{after['primary']} is the primary: {after['plan_ended']}", EXIT_REFUSED)
    click.echo(after["plan_ended"])


@click.command()
@click.argument("node")
@click.option("--timeout", default=0.0, help="Seconds to follow it; 0: do not wait.")
@yes_option
@click.pass_obj
def rejoin(obj: Context, node: str, *, timeout: float, yes: bool) -> None:
    """Bring NODE, fenced or diverged, back as a standby: rewound, or copied anew."""
    cluster = obj.cluster
    confirm(
        f"About to make {node} of {cluster} a standby of the present primary.\n"
        "What it alone has written, and nobody has carried over, is discarded.",
        yes=yes,
    )
    obj.act("rejoin", {"node": node})
    if not timeout:
        click.echo("failoverd status shows how far it is")
        return
    after = follow(obj, cluster, timeout, lambda now: now["nodes"][node]["job"] != "rejoining")
    if after["nodes"][node]["job"] != "ok":
        fail(after["nodes"][node]["job_detail"], EXIT_REFUSED)
    click.echo(f"{node} streams from {after['primary']}")


def _seconds(at: str) -> float:
    try:
        return datetime.fromisoformat(at).astimezone().timestamp()
    except ValueError:
        fail("--at: write a time such as 2026-05-01T03:00 or 2026-05-01T03:00+02:00", EXIT_USAGE)


def _follow(obj: Context, cluster: str, before: dict[str, Any], timeout_s: float) -> None:
    old = before["primary"]

    def over(now: dict[str, Any]) -> bool:
        settled = now["state"] in ("watching", "blocked") and now["incident"] is None
        back = now["primary"] == old or now["nodes"][old]["job"] != "rejoining"
        return bool(settled and back)

    after = follow(obj, cluster, timeout_s, over)
    if after["primary"] == old:
        _tell_figures(obj, cluster, after["epoch"])
        fail(as_it_is(old, after), EXIT_REFUSED)
    _tell_figures(obj, cluster, after["epoch"])
    job = after["nodes"][old]
    if job["job"] != "ok":
        fail(f"{after['primary']} is the primary, but {old} is {job['job']}", EXIT_REFUSED)
    click.echo(f"{after['primary']} is the primary, and {old} its standby")


def _tell_figures(obj: Context, cluster: str, number: int) -> None:
    """What the journal has of it: who, how long nobody took writes, what was lost."""
    found, incident = obj.ask("GET", f"/api/v1/clusters/{cluster}/incidents/{number}")
    if found != 200:
        return
    for entry in incident["entries"]:
        if entry["to_state"] in ("settling", "reverting") and entry["kind"] == "transition":
            loss = entry.get("loss") or {}
            lost = f"; lost: {loss['sentence']}" if loss.get("sentence") else ""
            click.echo(f"{number}: {entry['sentence']}{lost}")


COMMANDS = (switchover, drill, rejoin)
