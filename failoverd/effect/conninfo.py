"""A standby's primary_conninfo, led to another host; whatever else it says is its own.

Source: PostgreSQL documentation, "Connection Strings"; src/interfaces/libpq/fe-connect.c.
"""

from __future__ import annotations

import re
from urllib.parse import parse_qsl, unquote, urlsplit

_PAIR = re.compile(r"\s*([A-Za-z_]+)\s*=\s*('(?:[^'\\]|\\.)*'|(?:[^\s'\\]|\\.)*)\s*")
_URI = re.compile(r"^postgres(?:ql)?://")


class NotUnderstood(ValueError):  # noqa: N818 - what happened
    """It is written in no way that libpq would take. Never says what is in it."""


def led_to(conninfo: str, host: str, port: int) -> str:
    """The same connection, to another host. Raises NotUnderstood.

    Where it names several hosts and this one among them, libpq finds it: it is left as it is.
    """
    options = parse(conninfo)
    hosts = options.get("host", "").split(",")
    if len(hosts) > 1 and host in hosts:
        return written(options)
    kept = {k: v for k, v in options.items() if k not in ("host", "hostaddr", "port")}
    return written({"host": host, "port": str(port), **kept})


def parse(conninfo: str) -> dict[str, str]:
    """Its options by name, in order."""
    return _of_uri(conninfo) if _URI.match(conninfo) else _of_pairs(conninfo)


def written(options: dict[str, str]) -> str:
    return " ".join(f"{key}={_quoted(value)}" for key, value in options.items())


def _of_pairs(conninfo: str) -> dict[str, str]:
    options: dict[str, str] = {}
    at = 0
    while at < len(conninfo):
        found = _PAIR.match(conninfo, at)
        if found is None or found.end() == at:
            raise NotUnderstood("its primary_conninfo is not understood")
        value = found[2]
        if value.startswith("'"):
            value = value[1:-1]
        options[found[1]] = re.sub(r"\\(.)", r"\1", value)
        at = found.end()
    return options


def _of_uri(conninfo: str) -> dict[str, str]:
    try:
        parts = urlsplit(conninfo)
        account, _, places = parts.netloc.rpartition("@")
        user, _, password = account.partition(":")
        hosts, ports = zip(*(_place(place) for place in places.split(",")), strict=True)
        options = {
            "host": ",".join(hosts),
            "port": ",".join(ports) if any(ports) else "",
            "user": unquote(user),
            "password": unquote(password),
            "dbname": unquote(parts.path.lstrip("/")),
            **dict(parse_qsl(parts.query, strict_parsing=bool(parts.query))),
        }
    except ValueError:
        raise NotUnderstood("its primary_conninfo is not understood") from None
    return {key: value for key, value in options.items() if value}


def _place(place: str) -> tuple[str, str]:
    """`host:port`, `[::1]:port`, or the host alone."""
    if place.startswith("["):
        host, _, rest = place[1:].partition("]")
        return host, rest.lstrip(":")
    host, _, port = place.partition(":")
    return unquote(host), port


def _quoted(value: str) -> str:
    if value and re.fullmatch(r"[^\s'\\]+", value):
        return value
    return "'" + value.replace("\\", "\\\\").replace("'", "\\'") + "'"
