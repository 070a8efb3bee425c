"""`failoverd status --watch`: what the daemon sees, as it changes.

On a terminal one screen that is drawn over itself; into a pipe a block for each change, or with
`--json` a line. A daemon that does not answer is waited for.
"""

from __future__ import annotations

import json
import os
import shutil
import sys
import time
from collections.abc import Callable, Sequence
from datetime import datetime
from typing import Any

import click

from failoverd.cli.client import TimedOut, Unreachable, ask
from failoverd.cli.context import Context
from failoverd.cli.screen import status_screen

EVERY_S = 0.5
SHOWN_EVENTS = 10
HOME, CLEAR_LINE, CLEAR_BELOW = "\x1b[H", "\x1b[K", "\x1b[J"
ALONE, BACK = "\x1b[?1049h\x1b[?25l", "\x1b[?25h\x1b[?1049l"
RESTLESS = frozenset(
    {"since_s", "seen_s_ago", "retry_in_s", "in_s", "cooldown_remaining_s", "lag_bytes", "lsn"}
)
"""What changes by itself; a pipe is told only of what somebody would want to know."""

Seen = tuple[list[dict[str, Any]], list[dict[str, Any]]]
"""Statuses, and the last events, oldest first."""


def watch(obj: Context, *, as_json: bool) -> None:
    """Until it is interrupted."""
    try:
        if as_json or not sys.stdout.isatty():
            _in_lines(obj, as_json=as_json)
        else:
            _on_a_terminal(obj)
    except KeyboardInterrupt:
        return
    except BrokenPipeError:
        # Whoever read it has ended; nothing is left to be flushed.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


def _look(obj: Context) -> Seen | str:
    """What there is to see, or why there is nothing."""
    try:
        _, body = ask(obj.daemon, "GET", "/api/v1/clusters")
        _, happened = ask(obj.daemon, "GET", "/api/v1/events", accept="application/json")
    except (Unreachable, TimedOut) as error:
        return str(error)
    found = [one for one in body["clusters"] if obj.wanted in (None, one["cluster"])]
    if not found:
        return f"no cluster is called {obj.wanted}"
    names = {one["cluster"] for one in found}
    return found, [one for one in happened["events"] if one["cluster"] in names]


def _in_lines(obj: Context, *, as_json: bool) -> None:
    said: Any = None
    while True:
        seen = _look(obj)
        at_rest = seen if isinstance(seen, str) else [_at_rest(one) for one in seen[0]]
        if at_rest != said:
            said = at_rest
            click.echo(_told(seen, as_json=as_json))
            sys.stdout.flush()
        time.sleep(EVERY_S)


def _told(seen: Seen | str, *, as_json: bool) -> str:
    if as_json:
        what = {"error": seen} if isinstance(seen, str) else {"clusters": seen[0]}
        return json.dumps(what)
    at = _now()
    if isinstance(seen, str):
        return f"{at}  {seen}\n"
    return f"{at}\n" + "\n\n".join(status_screen(one) for one in seen[0]) + "\n"


def _at_rest(value: Any) -> Any:
    """Without what changes from one look to the next by itself."""
    match value:
        case dict():
            return {k: _at_rest(v) for k, v in value.items() if k not in RESTLESS | {"outlook"}}
        case list():
            return [_at_rest(one) for one in value]
        case _:
            return value


def _on_a_terminal(obj: Context, write: Callable[[str], object] = sys.stdout.write) -> None:
    write(ALONE)
    try:
        while True:
            size = shutil.get_terminal_size()
            write(frame(_look(obj), _now(), size.columns, size.lines))
            sys.stdout.flush()
            time.sleep(EVERY_S)
    finally:
        write(BACK)
        sys.stdout.flush()


def frame(seen: Seen | str, at: str, columns: int, lines: int) -> str:
    """One screen. The clusters come first; events take what room is left."""
    head = f"failoverd  {at}  (Ctrl-C ends it)"
    if isinstance(seen, str):
        body = [seen]
    else:
        body = "\n\n".join(status_screen(one) for one in seen[0]).splitlines()
        room = max(0, lines - len(body) - 5)
        body += _events(seen[1], min(SHOWN_EVENTS, room))
    text = [head, "", *body][: max(1, lines - 1)]
    return HOME + "".join(f"{_fit(line, columns)}{CLEAR_LINE}\r\n" for line in text) + CLEAR_BELOW


def _events(events: Sequence[dict[str, Any]], room: int) -> list[str]:
    if not events or room < 1:
        return []
    shown = [
        f"  {one['at'][11:23]}  {one['cluster']}  {one['state']:<11} {one['sentence']}"
        for one in reversed(events[-room:])
    ]
    return ["", "events, newest first (UTC):", *shown]


def _fit(line: str, columns: int) -> str:
    return line if len(line) <= columns else line[: max(0, columns - 1)] + "…"


def _now() -> str:
    return datetime.now().astimezone().strftime("%H:%M:%S")  # noqa: TID251 - for people to read
