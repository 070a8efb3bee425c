"""`failoverd check`: of the running daemon, or from here where none answers."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import click

from failoverd.cli.client import Remote, TimedOut, Unreachable, ask
from failoverd.cli.context import EXIT_CONFIG, EXIT_REFUSED, HTTP_FAILED, Context, fail

CHECK_S = 120.0
"""A fence agent may take its whole time limit, and a look that failed is made again."""
HTTP_REFUSED = 400


@click.command()
@click.option("--direct", is_flag=True, help="Ask each node from here, also where a daemon runs.")
@click.option("--json", "as_json", is_flag=True, help="For programs.")
@click.pass_obj
def check(obj: Context, *, direct: bool, as_json: bool) -> None:
    """Check the configuration, then whether a failover would work now. Changes nothing."""
    from failoverd.cli.readiness import tell
    from failoverd.config.load import load
    from failoverd.config.messages import ConfigurationErrors

    path = Path(obj.config)
    try:
        configuration = load(path)
    except ConfigurationErrors as errors:
        fail(str(errors), EXIT_CONFIG)
    say = click.echo if not as_json else lambda _: None
    say(f"{path}: well-formed, {len(configuration.clusters)} cluster(s)")
    if obj.wanted is not None and obj.wanted not in configuration.clusters:
        fail(f"no cluster is called {obj.wanted}", EXIT_REFUSED)
    running = {} if direct else _running(obj.daemon)
    documents: dict[str, Any] = {}
    for name, cluster in configuration.clusters.items():
        if obj.wanted not in (None, name):
            continue
        status = running.get(name)
        if status is not None and set(status["nodes"]) == set(cluster.nodes):
            say(f"{name}: as the running daemon sees it (--direct: as seen from here)")
            documents[name] = _checked(obj, name, status, say)
        else:
            from failoverd.cli.preflight import preflight

            say(f"{name}: as seen from here, once")
            documents[name] = preflight(name, configuration)
    if as_json:
        click.echo(json.dumps({"clusters": documents}, indent=1))
    passed = [as_json or tell(name, document) for name, document in documents.items()]
    unready = any(document["ready"] is False for document in documents.values())
    sys.exit(EXIT_REFUSED if unready or not all(passed) else 0)


def _checked(
    obj: Context, name: str, status: dict[str, Any], say: Callable[[str], None]
) -> dict[str, Any]:
    """The daemon looks at everything anew."""
    found, document = ask(obj.daemon, "POST", f"/api/v1/clusters/{name}/check", timeout_s=CHECK_S)
    if found >= HTTP_REFUSED:
        fail(f"the daemon could not check it, its log says why ({found})", EXIT_REFUSED)
    outlook = status["outlook"]
    say(f"if the primary died now: {outlook['would']} ({outlook['why']})")
    return dict(document)


def _running(daemon: str | Remote) -> dict[str, dict[str, Any]]:
    """What a daemon says of its clusters; empty where none answers."""
    try:
        status, body = ask(daemon, "GET", "/api/v1/clusters")
    except (Unreachable, TimedOut):
        return {}
    return {one["cluster"]: one for one in body["clusters"]} if status < HTTP_FAILED else {}
