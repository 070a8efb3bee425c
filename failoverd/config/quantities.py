"""Durations and sizes as people write them: `250ms`, `5s`, `10min`; `16MB`."""

from __future__ import annotations

import re
from typing import Annotated, Any

from pydantic import BeforeValidator, WithJsonSchema

_SECONDS = {"ms": 0.001, "s": 1.0, "min": 60.0, "h": 3600.0, "d": 86400.0}
_BYTES = {"B": 1, "kB": 1024, "MB": 1024**2, "GB": 1024**3, "TB": 1024**4}
_DURATION = re.compile(r"^(\d+(?:\.\d+)?)\s*(ms|s|min|h|d)$")
_SIZE = re.compile(r"^(\d+)\s*(B|kB|MB|GB|TB)$")


def parse_duration(value: Any) -> Any:
    """Seconds. Raises ValueError with what to write instead."""
    if isinstance(value, float):
        return value
    found = _DURATION.match(value) if isinstance(value, str) else None
    if found is None:
        raise ValueError("write a duration with its unit, such as 250ms, 5s, 10min or 1h")
    return float(found[1]) * _SECONDS[found[2]]


def parse_size(value: Any) -> Any:
    """Bytes; units are powers of 1024, as PostgreSQL has them. Raises ValueError."""
    if value == 0 and not isinstance(value, bool):
        return 0
    found = _SIZE.match(value) if isinstance(value, str) else None
    if found is None:
        raise ValueError("write a size with its unit, such as 0, 64kB, 16MB or 1GB")
    return int(found[1]) * _BYTES[found[2]]


def duration(text: str) -> float:
    """A default, as it would be written."""
    seconds: float = parse_duration(text)
    return seconds


def size(text: str) -> int:
    count: int = parse_size(text)
    return count


Duration = Annotated[
    float,
    BeforeValidator(parse_duration),
    WithJsonSchema({"type": "string", "pattern": r"^\d+(\.\d+)? ?(ms|s|min|h|d)$"}),
]
Size = Annotated[
    int,
    BeforeValidator(parse_size),
    WithJsonSchema(
        {"anyOf": [{"type": "string", "pattern": r"^\d+ ?(B|kB|MB|GB|TB)$"}, {"const": 0}]}
    ),
]
