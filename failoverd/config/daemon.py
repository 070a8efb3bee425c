"""What may be written of the daemon itself."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal

from pydantic import Field

from failoverd.config.access import Tls
from failoverd.config.leadership import Leadership
from failoverd.config.notify import Notify
from failoverd.config.section import Section
from failoverd.config.words import AbsolutePath, Listen, SocketPath


class Log(Section):
    """Log lines go to standard output."""

    format: Literal["json", "console"] = "json"
    """json for machines, console for people."""
    level: Literal["debug", "info", "warning", "error"] = "info"
    """The least that is written."""


class Daemon(Section):
    """The daemon itself."""

    listen: Listen = "127.0.0.1:9187"
    """Address and port of the page, metrics and API; read-only unless there is a token."""
    tls: Tls | None = None
    """HTTPS there, and not HTTP."""
    token_file: AbsolutePath | None = None
    """Whoever sends the token in it (`Authorization: Bearer`) may act over HTTPS, too. Needs `tls`;
    only its owner may read it: `openssl rand -hex 32`. It is read at each use."""
    state_dir: AbsolutePath = Path("/var/lib/failoverd")
    """The journal and the incident reports; on a local disk."""
    control_socket: SocketPath = Path("/run/failoverd/control.sock")
    """The Unix socket that the command line talks to."""
    ssh_connections: Annotated[int, Field(ge=1, le=100_000)] = 400
    """How many SSH connections stay open while nobody uses them, of all clusters: beyond it the one
    that was not used for longest is closed. What needs one never waits for it."""
    log: Log = Log()
    leadership: Leadership = Leadership()
    notify: list[Notify] = []
    """Who is told at once of what needs a person, beside alerts (docs/operation.md)."""
