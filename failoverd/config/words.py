"""The forms that a name, a path or an address may have.

A mistake is a ValueError `what is wrong; write what instead`.
"""

from __future__ import annotations

import ipaddress
import re
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import AfterValidator, BeforeValidator, Field, PlainValidator, WithJsonSchema

_LONGEST_SOCKET_PATH = 107
"""Bytes. Source: unix(7), sun_path."""
_HOST = re.compile(r"[A-Za-z0-9_][A-Za-z0-9._-]*|[0-9a-fA-F]*:[0-9a-fA-F:.]*(%\w+)?")
_SECRET_OPTION = re.compile("passw|secret|token")
_HIGHEST_PORT, _HIGHEST_PRIORITY = 65535, 1_000_000


def _matches(pattern: str, otherwise: str) -> AfterValidator:
    form = re.compile(pattern)

    def check(text: str) -> str:
        if form.fullmatch(text) is None:
            raise ValueError(otherwise)
        return text

    return AfterValidator(check)


def _one_line(text: str) -> str:
    if not text or any(ord(character) < ord(" ") for character in text):
        raise ValueError("is empty or has a control character; write one line of text")
    return text


def _path(value: Any) -> Any:
    if not isinstance(value, str):
        return value
    if not value.startswith("/"):
        raise ValueError("is no absolute path; write one that begins with /")
    return Path(_one_line(value))


def _maybe_path(text: str) -> str:
    return str(_path(text)) if text else text


def _socket(path: Path) -> Path:
    if len(str(path).encode()) > _LONGEST_SOCKET_PATH:
        raise ValueError("is too long for a Unix socket; write at most 107 bytes")
    return path


def _host(text: str) -> str:
    if re.fullmatch(r"[^\s/:\[\]]+:[0-9]+", text):
        raise ValueError("has a port; write the address alone, and the port as postgres: {port: N}")
    if _HOST.fullmatch(text) is None:
        raise ValueError("is no address; write a host name or an IP address, without brackets")
    return text


def _ipv4_with_prefix(text: str) -> str:
    address, slash, _ = text.partition("/")
    try:
        ipaddress.IPv4Interface(text)
        ipaddress.IPv4Address(address)
    except ValueError:
        slash = ""
    if not slash:
        raise ValueError("is no IPv4 address with its prefix; write one like 192.0.2.100/24")
    return text


def _listen(text: str) -> str:
    host, _, port = text.rpartition(":")
    plain = re.fullmatch(r"\[[0-9a-fA-F:.]+\]|[^\s:\[\]]+", host) is not None
    if not plain or not re.fullmatch("[0-9]{1,5}", port) or int(port) > _HIGHEST_PORT:
        raise ValueError("is no address with a port; write one like 127.0.0.1:9187 or [::1]:9187")
    return text


def _words(value: Any) -> Any:
    if isinstance(value, str):
        return tuple(value.split())
    return tuple(value) if isinstance(value, list) else value


def _options(value: Any) -> Any:
    """`lanplus: true` is 1 to a fence agent, and a number is its digits."""
    if not isinstance(value, dict):
        return value
    for key in value:
        if _SECRET_OPTION.search(str(key)) and not str(key).endswith("_script"):
            raise ValueError(f"has the secret {key}; write secrets: {{{key}: {{file: /path}}}}")
    return {key: _as_text(one) for key, one in value.items()}


def _as_text(value: Any) -> Any:
    if isinstance(value, bool):
        return str(int(value))
    return str(value) if isinstance(value, int) else value


def _priority(value: Any) -> Any:
    if value == "never":
        return value
    if not isinstance(value, int) or isinstance(value, bool):
        raise ValueError("is no priority; write a whole number, or never")  # noqa: TRY004
    if not 0 <= value <= _HIGHEST_PRIORITY:
        raise ValueError(f"is no priority; write a number from 0 to {_HIGHEST_PRIORITY}, or never")
    return value


Name = Annotated[
    str,
    Field(json_schema_extra={"pattern": "^[a-z0-9][a-z0-9_-]{0,62}$"}),
    _matches(
        "[a-z0-9][a-z0-9_-]{0,62}",
        "is no name; write at most 63 of a-z, 0-9, _ and -, beginning with a letter or a digit",
    ),
]
Line = Annotated[str, AfterValidator(_one_line)]
"""Text that is not empty."""
Variable = Annotated[
    str, _matches("[A-Za-z_][A-Za-z0-9_]*", "is no variable's name; write letters, digits and _")
]
Credential = Annotated[
    str, _matches(r"(?!\.\.?$)[^/\x00-\x1f]+", "is no credential's name; write it without a path")
]
Unit = Annotated[
    str,
    _matches(
        r"([A-Za-z0-9:_@][A-Za-z0-9:_.@\\-]*)?",
        "is no systemd unit; write its name, such as postgresql-17",
    ),
]
DebianCluster = Annotated[
    str,
    _matches(
        r"([0-9]+(\.[0-9]+)?/[A-Za-z0-9_][A-Za-z0-9_.-]*)?",
        "is no cluster of Debian's; write it as pg_lsclusters has it, such as 15/main",
    ),
]
OptionName = Annotated[
    str, _matches("(?!action$)[a-z][a-z0-9_]*", "is no option; write its name as `metadata` has it")
]
Options = Annotated[
    dict[OptionName, Line],
    BeforeValidator(_options),
    WithJsonSchema(
        {"type": "object", "additionalProperties": {"type": ["string", "integer", "boolean"]}}
    ),
]
"""As text, which is how a fence agent reads them."""
Word = Annotated[
    str,
    _matches("[A-Za-z0-9_.:-]+", "is no name in HAProxy; write letters, digits, _ . : and -"),
]
DatabaseWords = Annotated[str, _matches("[A-Za-z0-9_-]+", "is no database; write the name of one")]
Interface = Annotated[
    str, _matches(r"[A-Za-z0-9_.:-]{1,15}", "is no interface; write its name, such as eth0")
]
Ipv4WithPrefix = Annotated[str, AfterValidator(_ipv4_with_prefix)]
Port = Annotated[int, Field(ge=1, le=_HIGHEST_PORT)]
AbsolutePath = Annotated[Path, BeforeValidator(_path)]
MaybePath = Annotated[str, AfterValidator(_maybe_path)]
"""An absolute path, or nothing."""
SocketPath = Annotated[AbsolutePath, AfterValidator(_socket)]
Host = Annotated[str, AfterValidator(_host)]
Listen = Annotated[str, AfterValidator(_listen)]
Words = Annotated[
    tuple[Line, ...],
    BeforeValidator(_words),
    WithJsonSchema({"anyOf": [{"type": "array", "items": {"type": "string"}}, {"type": "string"}]}),
]
Priority = Annotated[
    int | Literal["never"],
    PlainValidator(_priority),
    WithJsonSchema(
        {"anyOf": [{"type": "integer", "minimum": 0, "maximum": _HIGHEST_PRIORITY},
                   {"const": "never"}]}
    ),
]  # fmt: skip
