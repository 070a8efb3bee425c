"""The command line. Commands talk to the daemon over its socket and import little."""

from __future__ import annotations

import json
import sys
import time
from pathlib import Path
from typing import Any

import click

from failoverd import __version__
from failoverd.cli.client import TimedOut, Unreachable, ask, config_path, socket_path

EXIT_REFUSED, EXIT_USAGE, EXIT_UNREACHABLE, EXIT_TIMED_OUT, EXIT_CONFIG = 1, 2, 3, 4, 78
POLL_S = 0.2


class Context:
    """What every command needs to know."""

    def __init__(self, config: str | None, socket: str | None, cluster: str | None) -> None:
        self.config = config_path(config)
        self.socket = socket_path(self.config, socket)
        self.wanted = cluster

    def ask(self, method: str, where: str, body: dict[str, Any] | None = None) -> tuple[int, Any]:
        """Ends the program with 3 or 4 where there is no answer."""
        try:
            return ask(self.socket, method, where, body)
        except Unreachable as error:
            _fail(str(error), EXIT_UNREACHABLE)
        except TimedOut as error:
            _fail(str(error), EXIT_TIMED_OUT)
        raise AssertionError

    def statuses(self) -> list[dict[str, Any]]:
        _, body = self.ask("GET", "/api/v1/clusters")
        found: list[dict[str, Any]] = body["clusters"]
        return [one for one in found if self.wanted in (None, one["cluster"])]

    @property
    def cluster(self) -> str:
        """The one that was named, or the only one."""
        found = self.statuses()
        if not found:
            _fail(f"no cluster is called {self.wanted}", EXIT_REFUSED)
        if len(found) > 1:
            names = ", ".join(one["cluster"] for one in found)
            _fail(f"there are several clusters ({names}): say --cluster NAME", EXIT_USAGE)
        return str(found[0]["cluster"])

    def act(self, verb: str, body: dict[str, Any]) -> None:
        """POST, print what came of it, and end with 1 where it was refused."""
        _, answer = self.ask("POST", f"/api/v1/clusters/{self.cluster}/{verb}", body)
        if not answer["ok"]:
            _fail(f"refused: {answer['message']}", EXIT_REFUSED)
        click.echo(answer["message"])


def _fail(text: str, status: int) -> None:
    click.echo(text, err=True)
    sys.exit(status)


def _confirm(what: str, *, yes: bool) -> None:
    """Says what is about to be done; asks on a terminal; refuses without one unless --yes."""
    click.echo(what)
    if yes:
        return
    if not sys.stdin.isatty():
        _fail("refused: there is no terminal to ask on; say --yes if you mean it", EXIT_REFUSED)
    if not click.confirm("Go on?"):
        _fail("nothing was done", EXIT_REFUSED)


GLOBAL = ("-c", "--config", "--socket", "--cluster")


def hoisted(arguments: list[str]) -> list[str]:
    """With the options of all commands first: they may be written behind the command, too."""
    front: list[str] = []
    rest: list[str] = []
    words = iter(arguments)
    for word in words:
        if word in GLOBAL:
            front += [word, *([value] if (value := next(words, None)) is not None else [])]
        elif word.startswith(tuple(f"{option}=" for option in GLOBAL[1:])):
            front.append(word)
        else:
            rest.append(word)
    return front + rest


class _Commands(click.Group):
    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        return super().parse_args(ctx, hoisted(args))


@click.group(cls=_Commands, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(__version__, prog_name="failoverd")
@click.option("-c", "--config", help="Configuration file [/etc/failoverd/config.yaml].")
@click.option("--socket", help="The daemon's control socket.")
@click.option("--cluster", help="The cluster, where the daemon watches several.")
@click.pass_context
def cli(
    context: click.Context, config: str | None, socket: str | None, cluster: str | None
) -> None:
    """Automatic failover for PostgreSQL: proof before promotion."""
    context.obj = Context(config, socket, cluster)


yes_option = click.option("--yes", is_flag=True, help="Do not ask.")


@cli.command()
@click.pass_obj
def run(obj: Context) -> None:
    """Run the daemon (systemd does)."""
    from failoverd.daemon.service import run as run_daemon

    sys.exit(run_daemon(Path(obj.config)))


@cli.command()
@click.pass_obj
def check(obj: Context) -> None:
    """Check the configuration, then whether a failover would work now. Changes nothing."""
    from failoverd.config.load import load
    from failoverd.config.messages import ConfigurationErrors

    path = Path(obj.config)
    try:
        configuration = load(path)
    except ConfigurationErrors as errors:
        _fail(str(errors), EXIT_CONFIG)
        raise AssertionError from None
    click.echo(f"{path}: well-formed, {len(configuration.clusters)} cluster(s)")
    from failoverd.cli.preflight import preflight

    sys.exit(preflight(configuration))


@cli.command()
@click.option("--watch", is_flag=True, help="Again every second, until interrupted.")
@click.option("--json", "as_json", is_flag=True, help="For programs.")
@click.pass_obj
def status(obj: Context, *, watch: bool, as_json: bool) -> None:
    """What the daemon sees, what it would do, and why."""
    from failoverd.cli.screen import status_screen

    while True:
        found = obj.statuses()
        if as_json:
            text = json.dumps(found[0] if len(found) == 1 else found, indent=1)
        else:
            text = "\n\n".join(status_screen(one) for one in found)
        if watch and sys.stdout.isatty():
            click.clear()
        click.echo(text)
        if not watch:
            return
        time.sleep(1)


@cli.command()
@click.option("--to", help="The standby that shall take over.")
@click.option("--accept-loss", help="Raise max_data_loss for this failover, such as 64MB.")
@click.option("--dry-run", is_flag=True, help="Say who would take over, and why not the others.")
@click.option("--timeout", default=120.0, help="Seconds to wait for the end of it.")
@yes_option
@click.pass_obj
def failover(
    obj: Context,
    *,
    to: str | None,
    accept_loss: str | None,
    dry_run: bool,
    timeout: float,
    yes: bool,
) -> None:
    """Fail over now: skips threshold, cooldown and mode; never proof or max_data_loss."""
    cluster = obj.cluster
    before = next(one for one in obj.statuses() if one["cluster"] == cluster)
    outlook = before["outlook"]
    click.echo(f"primary {before['primary']} is {before['diagnosis']}")
    click.echo(f"would {outlook['would']} ({outlook['why']})")
    for obstacle in outlook["obstacles"]:
        click.echo(f"  in the way: {obstacle}")
    if dry_run:
        return
    body: dict[str, Any] = {"to": to}
    if accept_loss is not None:
        from failoverd.config.quantities import size

        try:
            body["accept_loss_bytes"] = size(accept_loss)
        except ValueError as error:
            _fail(f"--accept-loss: {error}", EXIT_USAGE)
    target = to or "the best standby"
    _confirm(f"About to fence {before['primary']} of {cluster} and promote {target}.", yes=yes)
    obj.act("failover", body)
    _follow(obj, cluster, before["primary"], timeout)


def _follow(obj: Context, cluster: str, old: str, timeout_s: float) -> None:
    """Print each state until the failover is over."""
    deadline = time.monotonic() + timeout_s  # noqa: TID251 - a person waits at this end
    said = ""
    while time.monotonic() < deadline:  # noqa: TID251
        _, now = obj.ask("GET", f"/api/v1/clusters/{cluster}")
        if now["sentence"] != said:
            said = now["sentence"]
            click.echo(f"{now['state']}: {said}")
        if now["state"] == "watching":
            if now["primary"] == old:
                _fail(f"{old} is the primary as before", EXIT_REFUSED)
            click.echo(f"confirmed: {now['primary']} is the primary on timeline {now['timeline']}")
            return
        if now["state"] == "blocked":
            sys.exit(EXIT_REFUSED)
        time.sleep(POLL_S)
    _fail("it is not over yet: failoverd status says where it is", EXIT_TIMED_OUT)


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
            _fail(f"--for: {error}", EXIT_USAGE)
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
        _fail(f"not reloaded, nothing changed:\n{answer['message']}", EXIT_REFUSED)
    click.echo("reloaded (a failover that is under way finishes with the old one)")


@cli.command()
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
            _fail("refused: there is no terminal to ask on; say --yes if you mean it", EXIT_REFUSED)
        if click.prompt("Type the node's name again") != node:
            _fail("that is another name: nothing was done", EXIT_REFUSED)
    obj.act("fenced", {"node": node, "reason": reason})


@cli.command()
@click.pass_obj
def ack(obj: Context) -> None:
    """Acknowledge the last failover: the cooldown and the daily limit start anew."""
    obj.act("ack", {})


@cli.command()
@click.option("--version", "major", type=click.IntRange(13, 18), default=17, help="Server major.")
@click.option("--user", default="failoverd", help="The role's name.")
def grants(major: int, user: str) -> None:
    """Print the SQL for the monitoring role, least privilege, by server version."""
    from failoverd.config.grants import grants as statements

    try:
        click.echo(statements(major, user))
    except ValueError as error:
        _fail(f"--user: {error}", EXIT_USAGE)


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
        head = f"{one['id']:>4}  {one['began']}  {one['outcome']:<10}  {one['trigger']:<9}"
        click.echo(f"{head}  {one['diagnosis']:<11}  {one['sentence']}")
    if not body["incidents"]:
        click.echo("nothing has happened yet")


@cli.command()
@click.argument("incident", type=int, required=False)
@click.option("--json", "as_json", is_flag=True, help="For programs.")
@click.pass_obj
def report(obj: Context, incident: int | None, *, as_json: bool) -> None:
    """The report of an incident; without a number, of the latest."""
    base = f"/api/v1/clusters/{obj.cluster}/incidents"
    if incident is None:
        _, body = obj.ask("GET", base)
        if not body["incidents"]:
            _fail("nothing has happened yet", EXIT_REFUSED)
        incident = body["incidents"][0]["id"]
    query = "" if as_json else "?format=markdown"
    found, body = obj.ask("GET", f"{base}/{incident}{query}")
    if found != 200:
        _fail(f"there is no incident {incident}: failoverd history lists them", EXIT_REFUSED)
    click.echo(json.dumps(body, indent=1) if as_json else body)


@cli.command()
@click.option("--fault", type=click.Choice(["crash", "hang", "stop"]), default="crash")
@click.option("--keep", is_flag=True, help="Leave servers and daemon running.")
@click.option("--postgres", type=click.Path(path_type=Path), help="Another directory of binaries.")
def demo(*, fault: str, keep: bool, postgres: Path | None) -> None:
    """A real primary and standby on this machine, a fault, a failover: to watch."""
    from failoverd.demo import main

    sys.exit(main(fault, keep=keep, postgres=postgres))
