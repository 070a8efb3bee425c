"""What every command needs: the daemon, the cluster, and how to end."""

from __future__ import annotations

import sys
from typing import Any, NoReturn

import click

from failoverd.cli.client import (
    Remote,
    TimedOut,
    Unreachable,
    ask,
    config_path,
    socket_path,
)

EXIT_REFUSED, EXIT_USAGE, EXIT_UNREACHABLE, EXIT_TIMED_OUT, EXIT_CONFIG = 1, 2, 3, 4, 78
HTTP_FAILED = 500
NO_ACTS = (404, 405)


class Context:
    """What every command needs to know."""

    def __init__(
        self,
        config: str | None,
        socket: str | None,
        cluster: str | None,
        there: Remote | None = None,
    ) -> None:
        self.config = config_path(config)
        self.daemon = there or socket_path(self.config, socket)
        self.wanted = cluster

    def ask(self, method: str, where: str, body: dict[str, Any] | None = None) -> tuple[int, Any]:
        """Ends the program with 3 or 4 where there is no answer."""
        try:
            status, answer = ask(self.daemon, method, where, body)
        except Unreachable as error:
            fail(str(error), EXIT_UNREACHABLE)
        except TimedOut as error:
            fail(str(error), EXIT_TIMED_OUT)
        if method == "POST" and isinstance(self.daemon, Remote) and status in NO_ACTS:
            told = "it takes no acts over TCP, or knows none of that name"
            fail(f"refused by {self.daemon.url}: {told}; see daemon.token_file", EXIT_REFUSED)
        if status >= HTTP_FAILED:
            fail(f"the daemon could not answer, its log says why ({status})", EXIT_REFUSED)
        return status, answer

    def statuses(self) -> list[dict[str, Any]]:
        """Of the cluster that was named, or of all. Ends with 1 where none is called that."""
        _, body = self.ask("GET", "/api/v1/clusters")
        found: list[dict[str, Any]] = body["clusters"]
        if self.wanted is None:
            return found
        wanted = [one for one in found if one["cluster"] == self.wanted]
        if not wanted:
            known = ", ".join(one["cluster"] for one in found)
            fail(f"no cluster is called {self.wanted}: one of {known}", EXIT_REFUSED)
        return wanted

    @property
    def cluster(self) -> str:
        """The one that was named, or the only one."""
        found = self.statuses()
        if len(found) > 1:
            names = ", ".join(one["cluster"] for one in found)
            fail(f"there are several clusters ({names}): say --cluster NAME", EXIT_USAGE)
        return str(found[0]["cluster"])

    def with_primary(self, cluster: str) -> dict[str, Any]:
        """Its status. Ends with 1 where its primary is not known, which nothing can be done to."""
        found = next(one for one in self.statuses() if one["cluster"] == cluster)
        if found["primary"] is None:
            fail(f"refused: the primary is not known yet: {found['sentence']}", EXIT_REFUSED)
        return found

    def act(self, verb: str, body: dict[str, Any]) -> None:
        """POST, print what came of it, and end with 1 where it was refused."""
        _, answer = self.ask("POST", f"/api/v1/clusters/{self.cluster}/{verb}", body)
        if not answer["ok"]:
            fail(f"refused: {answer['message']}", EXIT_REFUSED)
        click.echo(answer["message"])


def fail(text: str, status: int) -> NoReturn:
    click.echo(text, err=True)
    sys.exit(status)


def confirm(what: str, *, yes: bool) -> None:
    """Says what is about to be done; asks on a terminal; refuses without one unless --yes."""
    click.echo(what)
    if yes:
        return
    if not sys.stdin.isatty():
        fail("refused: there is no terminal to ask on; say --yes if you mean it", EXIT_REFUSED)
    if not click.confirm("Go on?"):
        fail("nothing was done", EXIT_REFUSED)


GLOBAL = ("-c", "--config", "--socket", "--cluster", "--url", "--token-file", "--ca-file")


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
