"""The commands. They talk to the daemon over its socket and import little."""

from __future__ import annotations

import json
import sys
import time
from pathlib import Path
from typing import Any

import click

from failoverd import __version__
from failoverd.cli.by_hand import COMMANDS, yes_option
from failoverd.cli.check import check
from failoverd.cli.client import remote
from failoverd.cli.context import (
    EXIT_REFUSED,
    EXIT_TIMED_OUT,
    EXIT_USAGE,
    Context,
    confirm,
    fail,
    hoisted,
)
from failoverd.cli.host_program import host_program
from failoverd.cli.planned import COMMANDS as PLANNED

POLL_S = 0.2


class _Commands(click.Group):
    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        return super().parse_args(ctx, hoisted(args))


@click.group(cls=_Commands, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(__version__, prog_name="failoverd")
@click.option("-c", "--config", help="Configuration file [/etc/failoverd/config.yaml].")
@click.option("--socket", help="The daemon's control socket.")
@click.option("--cluster", help="The cluster, where the daemon watches several.")
@click.option("--url", help="A daemon elsewhere, such as https://monitor:9187.")
@click.option("--token-file", help="With --url: the token to act with; mode 0600.")
@click.option("--ca-file", help="With --url: the authority of its certificate [the system's].")
@click.pass_context
def cli(
    context: click.Context,
    config: str | None,
    socket: str | None,
    cluster: str | None,
    url: str | None,
    token_file: str | None,
    ca_file: str | None,
) -> None:
    """Automatic failover for PostgreSQL: proof before promotion."""
    if url is None and (token_file or ca_file):
        fail("--token-file and --ca-file belong to --url; write it, too", EXIT_USAGE)
    try:
        there = None if url is None else remote(url, token_file, ca_file)
    except ValueError as error:
        fail(str(error), EXIT_USAGE)
    context.obj = Context(config, socket, cluster, there)


@cli.command()
@click.pass_obj
def run(obj: Context) -> None:
    """Run the daemon (systemd does)."""
    from failoverd.daemon.service import run as run_daemon

    sys.exit(run_daemon(Path(obj.config)))


@cli.command()
@click.option("--watch", is_flag=True, help="As it changes, until interrupted.")
@click.option("--json", "as_json", is_flag=True, help="For programs.")
@click.pass_obj
def status(obj: Context, *, watch: bool, as_json: bool) -> None:
    """What the daemon sees, what it would do, and why."""
    if watch:
        from failoverd.cli.watch import watch as watch_on

        watch_on(obj, as_json=as_json)
        return
    from failoverd.cli.screen import status_screen

    found = obj.statuses()
    if as_json:
        click.echo(json.dumps(found[0] if len(found) == 1 else found, indent=1))
    else:
        click.echo("\n\n".join(status_screen(one) for one in found))


@cli.command()
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
    """Print each state until the failover is over."""
    deadline = time.monotonic() + timeout_s  # noqa: TID251 - a person waits at this end
    said = ""
    while time.monotonic() < deadline:  # noqa: TID251
        _, now = obj.ask("GET", f"/api/v1/clusters/{cluster}")
        if now["sentence"] != said:
            said = now["sentence"]
            click.echo(said)
        if now["state"] == "watching":
            if now["primary"] == old:
                fail(f"{old} is the primary as before", EXIT_REFUSED)
            click.echo(f"confirmed: {now['primary']} is the primary on timeline {now['timeline']}")
            return
        if now["state"] == "blocked":
            sys.exit(EXIT_REFUSED)
        time.sleep(POLL_S)
    fail("it is not over yet: failoverd status says where it is", EXIT_TIMED_OUT)


@cli.command()
@click.option("--for", "duration", help="Resume by itself after this time, such as 30min.")
@click.pass_obj
def pause(obj: Context, duration: str | None) -> None:
    """Watch, but act on nothing; survives a restart."""
    body: dict[str, Any] = {}
    if duration is not None:
        from failoverd.config.quantities import duration as seconds

        try:
            body["for_s"] = seconds(duration)
        except ValueError as error:
            fail(f"--for: {error}", EXIT_USAGE)
    obj.act("pause", body)


@cli.command()
@click.pass_obj
def resume(obj: Context) -> None:
    """Act again."""
    obj.act("resume", {})


@cli.command("reload")
@click.pass_obj
def reload_configuration(obj: Context) -> None:
    """Take up the configuration file: all of it or, with a clear error, none of it."""
    _, answer = obj.ask("POST", "/api/v1/reload")
    if not answer["ok"]:
        fail(f"not reloaded, nothing changed:\n{answer['message']}", EXIT_REFUSED)
    click.echo("reloaded (a failover that is under way finishes with the old one)")


for command in (*COMMANDS, *PLANNED, check):
    cli.add_command(command)


@cli.command()
@click.pass_obj
def ack(obj: Context) -> None:
    """Acknowledge the last failover: the cooldown and the daily limit start anew."""
    obj.act("ack", {})


@cli.command()
@click.option("--version", "major", type=click.IntRange(13, 18), default=17, help="Server major.")
@click.option("--user", default="failoverd", help="The role's name.")
@click.option("--managed", is_flag=True, help="For `synchronous: managed`, too.")
@click.option("--replication", metavar="ROLE", help="The role of `replication: {user: ROLE}`, too.")
@click.option("--password-file", type=click.Path(path_type=Path), help="Its password is set, too:"
              " as what PostgreSQL keeps of it, never in clear.")  # fmt: skip
def grants(
    major: int, user: str, replication: str | None, password_file: Path | None, *, managed: bool
) -> None:
    """Print the SQL for the monitoring role, least privilege, by server version."""
    from failoverd.config.grants import grants as statements
    from failoverd.config.grants import replication_grants
    from failoverd.config.secrets import SecretMissing, first_line

    named = "--password-file"
    try:
        password = None if password_file is None else first_line(password_file)
        named = "--user"
        wanted = [statements(major, user, managed=managed, password=password)]
        named = "--replication"
        if replication is not None:
            wanted.append(replication_grants(replication))
    except (ValueError, SecretMissing) as error:
        fail(f"{named}: {error}", EXIT_USAGE)
    click.echo("\n\n".join(wanted))


@cli.command()
def schema() -> None:
    """Print the JSON Schema of the configuration."""
    from failoverd.config.load import schema as json_schema

    click.echo(json.dumps(json_schema(), indent=2))


@cli.command()
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


@cli.command()
@click.argument("incident", required=False)
@click.option("--json", "as_json", is_flag=True, help="For programs.")
@click.option("--svg", "as_picture", is_flag=True, help="Its course as a picture.")
@click.pass_obj
def report(obj: Context, incident: str | None, *, as_json: bool, as_picture: bool) -> None:
    """The report of an incident, by its ID of `history`; without one, of the latest failover."""
    form = "" if as_json else "?format=svg" if as_picture else "?format=markdown"
    _tell_incident(obj, incident, form)


@cli.command()
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


@cli.command()
@click.option("--fault", type=click.Choice(["crash", "hang", "stop"]), default="crash")
@click.option("--keep", is_flag=True, help="Leave servers and daemon running.")
@click.option("--postgres", type=click.Path(path_type=Path), help="Another directory of binaries.")
def demo(*, fault: str, keep: bool, postgres: Path | None) -> None:
    """A real primary and standby on this machine, a fault, a failover: to watch."""
    from failoverd.demo import main

    sys.exit(main(fault, keep=keep, postgres=postgres))


cli.add_command(host_program)
