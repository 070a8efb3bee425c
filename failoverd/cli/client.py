"""Talks to the daemon over its Unix socket. Imports nothing slow."""

from __future__ import annotations

import http.client
import json
import os
import socket
from pathlib import Path
from typing import Any

DEFAULT_CONFIG = "/etc/failoverd/config.yaml"
DEFAULT_SOCKET = "/run/failoverd/control.sock"


class Unreachable(Exception):  # noqa: N818 - what happened
    """No daemon answers on the socket."""


class TimedOut(Exception):  # noqa: N818 - what happened
    """The daemon did not answer in time."""


class _UnixConnection(http.client.HTTPConnection):
    def __init__(self, path: str, timeout_s: float) -> None:
        super().__init__("localhost", timeout=timeout_s)
        self._path = path

    def connect(self) -> None:
        self.sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        self.sock.settimeout(self.timeout)
        self.sock.connect(self._path)


def socket_path(config: str | None, given: str | None) -> str:
    """--socket, $FAILOVERD_SOCKET, `control_socket:` of the configuration, the default."""
    if given or os.environ.get("FAILOVERD_SOCKET"):
        return given or os.environ["FAILOVERD_SOCKET"]
    try:
        text = Path(config_path(config)).read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError):
        return DEFAULT_SOCKET
    return (_written_socket(text) if "control_socket" in text else None) or DEFAULT_SOCKET


def _written_socket(text: str) -> str | None:
    """`daemon: {control_socket: ...}`, however it is laid out. None where it cannot be told."""
    import yaml

    try:
        document = yaml.safe_load(text)
    except yaml.YAMLError:
        return None
    daemon = document.get("daemon") if isinstance(document, dict) else None
    found = daemon.get("control_socket") if isinstance(daemon, dict) else None
    return found if isinstance(found, str) else None


def config_path(given: str | None) -> str:
    return given or os.environ.get("FAILOVERD_CONFIG") or DEFAULT_CONFIG


def ask(
    path: str,
    method: str,
    where: str,
    body: dict[str, Any] | None = None,
    timeout_s: float = 10.0,
    *,
    accept: str = "*/*",
) -> tuple[int, Any]:
    """HTTP status and the decoded body (text where it is not JSON).

    Raises Unreachable or TimedOut.
    """
    connection = _UnixConnection(path, timeout_s)
    try:
        payload = None if body is None else json.dumps(body)
        headers = {"Content-Type": "application/json", "Accept": accept}
        connection.request(method, where, payload, headers)
        response = connection.getresponse()
        text = response.read().decode()
    except TimeoutError:
        raise TimedOut(f"the daemon did not answer within {timeout_s:.0f} s") from None
    except PermissionError:
        raise Unreachable(
            f"this user may not ask the daemon on {path}: be root, or in the socket's group"
        ) from None
    except (OSError, http.client.HTTPException) as error:
        raise Unreachable(
            f"no daemon answers on {path} ({error}); start it: systemctl start failoverd"
        ) from None
    finally:
        connection.close()
    try:
        return response.status, json.loads(text)
    except ValueError:
        return response.status, text
