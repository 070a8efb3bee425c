"""Talks to the daemon over its Unix socket, or over HTTPS. Imports nothing slow."""

from __future__ import annotations

import http.client
import json
import os
import socket
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from failoverd.config.verification import verifying

DEFAULT_CONFIG = "/etc/failoverd/config.yaml"
DEFAULT_SOCKET = "/run/failoverd/control.sock"


class Unreachable(Exception):  # noqa: N818 - what happened
    """No daemon answers there."""


class TimedOut(Exception):  # noqa: N818 - what happened
    """The daemon did not answer in time."""


@dataclass(frozen=True, slots=True)
class Remote:
    """A daemon on another host, over HTTPS."""

    url: str
    token: str | None = None
    ca_file: str | None = None

    def connection(self, timeout_s: float) -> http.client.HTTPSConnection:
        """Raises OSError where `ca_file` holds no authority."""
        parts = urlsplit(self.url)
        tls = verifying(self.ca_file)
        return http.client.HTTPSConnection(
            parts.hostname or "", parts.port, timeout=timeout_s, context=tls
        )

    @property
    def headers(self) -> dict[str, str]:
        return {} if self.token is None else {"Authorization": f"Bearer {self.token}"}


def remote(url: str, token_file: str | None, ca_file: str | None) -> Remote:
    """Raises ValueError that says what is wrong with one of them."""
    from failoverd.config.access import token_of

    try:
        parts = urlsplit(url)
        known = parts.scheme == "https" and parts.hostname and parts.port != 0
    except ValueError:
        known = False
    if not known:
        raise ValueError(f"--url: {url} is no address; write one like https://monitor:9187")
    token = None if token_file is None else token_of(Path(token_file)).decode()
    return Remote(url, token, ca_file)


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
    daemon: str | Remote,
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
    payload = None if body is None else json.dumps(body)
    headers = {"Content-Type": "application/json", "Accept": accept}
    try:
        if isinstance(daemon, Remote):
            status, text = _exchange(
                daemon.connection(timeout_s), method, where, payload, headers | daemon.headers
            )
        else:
            unix = _UnixConnection(daemon, timeout_s)
            status, text = _exchange(unix, method, where, payload, headers)
    except TimeoutError:
        raise TimedOut(f"the daemon did not answer within {timeout_s:.0f} s") from None
    except (OSError, http.client.HTTPException) as error:
        raise Unreachable(_why_not(daemon, error)) from None
    try:
        return status, json.loads(text)
    except ValueError:
        return status, text


def _exchange(
    connection: http.client.HTTPConnection,
    method: str,
    where: str,
    payload: str | None,
    headers: dict[str, str],
) -> tuple[int, str]:
    try:
        connection.request(method, where, payload, headers)
        response = connection.getresponse()
        return response.status, response.read().decode()
    finally:
        connection.close()


def _why_not(daemon: str | Remote, error: Exception) -> str:
    if isinstance(daemon, Remote):
        return f"no daemon that can be trusted answers on {daemon.url} ({error})"
    if isinstance(error, PermissionError):
        return f"this user may not ask the daemon on {daemon}: be root, or in the socket's group"
    return f"no daemon answers on {daemon} ({error}); start it: systemctl start failoverd"
