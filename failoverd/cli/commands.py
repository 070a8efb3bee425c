"""The commands. They talk to the daemon over its socket and import little."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

import click

from failoverd import __version__
from failoverd.cli.by_hand import COMMANDS as BY_HAND
from failoverd.cli.check import check
from failoverd.cli.client import remote
from failoverd.cli.context import (
    EXIT_REFUSED,
    EXIT_USAGE,
    Context,
    fail,
    hoisted,
)
from failoverd.cli.failover import failover
from failoverd.cli.host_program import host_program
from failoverd.cli.incidents import COMMANDS as OF_INCIDENTS
from failoverd.cli.planned import COMMANDS as PLANNED


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
@click.option("--fault", type=click.Choice(["crash", "hang", "stop"]), default="crash")
@click.option("--keep", is_flag=True, help="Leave servers and daemon running.")
@click.option("--postgres", type=click.Path(path_type=Path), help="Another directory of binaries.")
def demo(*, fault: str, keep: bool, postgres: Path | None) -> None:
    """A real primary and standby on this machine, a fault, a failover: to watch."""
    from failoverd.demo import main

    sys.exit(main(fault, keep=keep, postgres=postgres))


for command in (*BY_HAND, *PLANNED, *OF_INCIDENTS, failover, check, host_program):
    cli.add_command(command)
