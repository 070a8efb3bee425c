"""What has happened: each incident in a line, its report, and why each decision was made."""

from __future__ import annotations

import json

import click

from failoverd.cli.context import EXIT_REFUSED, Context, fail


@click.command()
@click.option("--json", "as_json", is_flag=True, help="For programs.")
@click.pass_obj
def history(obj: Context, *, as_json: bool) -> None:
    """Failovers, refusals and false alarms, newest first."""
    _, body = obj.ask("GET", f"/api/v1/clusters/{obj.cluster}/incidents")
    if as_json:
        click.echo(json.dumps(body["incidents"], indent=1))
        return
    for one in body["incidents"]:
        head = f"{one['id']:>6}  {one['began']}  {one['outcome']:<11}  {one['trigger']:<10}"
        click.echo(f"{head}  {one['diagnosis']:<11}  {one['sentence']}")
    if not body["incidents"]:
        click.echo("nothing has happened yet")


@click.command()
@click.argument("incident", required=False)
@click.option("--json", "as_json", is_flag=True, help="For programs.")
@click.option("--svg", "as_picture", is_flag=True, help="Its course as a picture.")
@click.pass_obj
def report(obj: Context, incident: str | None, *, as_json: bool, as_picture: bool) -> None:
    """The report of an incident, by its ID of `history`; without one, of the latest failover."""
    form = "" if as_json else "?format=svg" if as_picture else "?format=markdown"
    _tell_incident(obj, incident, form)


@click.command()
@click.argument("incident", required=False)
@click.option("--json", "as_json", is_flag=True, help="For programs.")
@click.pass_obj
def explain(obj: Context, incident: str | None, *, as_json: bool) -> None:
    """Make each decision of an incident again, from what it was made from, and say why."""
    _tell_incident(obj, incident, "/explanation" + ("" if as_json else "?format=text"))


def _tell_incident(obj: Context, incident: str | None, what: str) -> None:
    """What is told of this one, or of the latest failover."""
    where = f"/api/v1/clusters/{obj.cluster}/incidents"
    if incident is None:
        _, body = obj.ask("GET", where)
        numbers = [one["id"] for one in body["incidents"] if isinstance(one["id"], int)]
        if not numbers:
            fail("no failover was begun yet: failoverd history lists what was not", EXIT_REFUSED)
        incident = str(numbers[0])
    found, body = obj.ask("GET", f"{where}/{incident}{what}")
    if found != 200:
        fail(f"there is no incident {incident}: failoverd history lists them", EXIT_REFUSED)
    click.echo(body if isinstance(body, str) else json.dumps(body, indent=1))


COMMANDS = (history, report, explain)
