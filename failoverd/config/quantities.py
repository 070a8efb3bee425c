"""Durations and sizes as people write them: `250ms`, `5s`, `10min`; `16MB`.

A mistake is a ValueError `what is wrong; write what instead`.
"""

from __future__ import annotations

import re
from typing import Annotated, Any

from pydantic import AfterValidator, BeforeValidator, PlainSerializer, WithJsonSchema

_SECONDS = {"ms": 0.001, "s": 1.0, "min": 60.0, "h": 3600.0, "d": 86400.0}
_BYTES = {"B": 1, "kB": 1024, "MB": 1024**2, "GB": 1024**3, "TB": 1024**4}
_DURATION = re.compile(r"([0-9]{1,9}(?:\.[0-9]{1,9})?) ?(ms|s|min|h|d)")
_SIZE = re.compile(r"([0-9]{1,12}) ?(B|kB|MB|GB|TB)")
_SHORTEST_S, _LONGEST_S = 0.01, 366 * 86400.0


def parse_duration(value: Any) -> Any:
    """Seconds. Raises ValueError with what to write instead."""
    found = _DURATION.fullmatch(value) if isinstance(value, str) else None
    if found is None:
        raise ValueError(
            "is no duration; write a number with its unit, such as 250ms, 5s, 10min or 1h"
        )
    seconds = float(found[1]) * _SECONDS[found[2]]
    if seconds > _LONGEST_S:
        raise ValueError("is too long; write at most 366d")
    return seconds


def parse_size(value: Any) -> Any:
    """Bytes; units are powers of 1024, as PostgreSQL has them. Raises ValueError."""
    if value == "0" or (value == 0 and not isinstance(value, bool)):
        return 0
    found = _SIZE.fullmatch(value) if isinstance(value, str) else None
    if found is None:
        raise ValueError("is no size; write a number with its unit, such as 64kB, 16MB, 1GB, or 0")
    return int(found[1]) * _BYTES[found[2]]


def duration(text: str) -> float:
    """A default, as it would be written."""
    seconds: float = parse_duration(text)
    return seconds


def size(text: str) -> int:
    count: int = parse_size(text)
    return count


def show_duration(seconds: float) -> str:
    """As it would be written; the inverse of `duration`, to the millisecond."""
    if seconds < 1:
        return f"{seconds * 1000:.0f}ms"
    if seconds >= 120 and seconds % 60 == 0:
        return f"{seconds / 60:.0f}min"
    return f"{seconds:.3f}".rstrip("0").rstrip(".") + "s"


def show_size(count: int) -> str:
    """As it would be written; the inverse of `size`."""
    for unit in ("TB", "GB", "MB", "kB"):
        if count and count % _BYTES[unit] == 0:
            return f"{count // _BYTES[unit]}{unit}"
    return f"{count}B" if count else "0"


def _long_enough(seconds: float) -> float:
    if seconds < _SHORTEST_S:
        raise ValueError("is too short; write at least 10ms")
    return seconds


Duration = Annotated[
    float,
    BeforeValidator(parse_duration),
    PlainSerializer(show_duration, return_type=str, when_used="json"),
    WithJsonSchema({"type": "string", "pattern": r"^[0-9]+(\.[0-9]+)? ?(ms|s|min|h|d)$"}),
]
"""Seconds; may be none at all."""

Span = Annotated[Duration, AfterValidator(_long_enough)]
"""Seconds; 10 ms or more, so that nothing is done without a pause or given no time at all."""

Size = Annotated[
    int,
    BeforeValidator(parse_size),
    PlainSerializer(show_size, return_type=str, when_used="json"),
    WithJsonSchema(
        {"anyOf": [{"type": "string", "pattern": "^([0-9]+ ?(B|kB|MB|GB|TB)|0)$"}, {"const": 0}]}
    ),
]
"""Bytes."""
