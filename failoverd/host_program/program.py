"""The text that a database host runs: arguments as shell assignments, then every verb."""

from __future__ import annotations

import functools
import re
import shlex
from collections.abc import Mapping
from pathlib import Path

_FILES = (
    "prologue",
    "arguments",
    "look",
    "right",
    "status",
    "guard",
    "service",
    "stop",
    "keep_down",
    "start",
    "settings",
    "freeze",
    "promote",
    "follow",
    "retire",
    "reach",
    "log",
    "diverged",
    "wal",
    "wal_receive",
    "dead_man",
    "watcher",
    "checkpoint",
    "rejoin",
    "rejoin_run",
    "databases",
    "virtual_ip",
    "readiness",
    "dispatch",
)
LEAVING_A_PROCESS = frozenset({"dead_man_arm", "rejoin_start"})
"""The verbs that need the text itself: the process that they leave behind runs it."""
_NAME = re.compile(r"[a-z][a-z0-9_]*")


@functools.cache
def source() -> str:
    """Prologue, one file a subject, dispatch; without the arguments."""
    folder = Path(__file__).parent
    return "".join((folder / f"{name}.sh").read_text() for name in _FILES)


def program(arguments: Mapping[str, str]) -> bytes:
    """What to feed to `sh -s`. Raises ValueError for a name that the shell would not take."""
    lines: list[str] = []
    for name, value in sorted(arguments.items()):
        if not _NAME.fullmatch(name) or "\0" in value:
            raise ValueError(f"not an argument of the host program: {name!r}")
        lines.append(f"FD_{name}={shlex.quote(value)}\n")
    if arguments.get("verb") in LEAVING_A_PROCESS:
        lines.append(f"FD_program={shlex.quote(source())}\n")
    return ("".join(lines) + source()).encode()
