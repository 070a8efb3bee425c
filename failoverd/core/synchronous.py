"""What `synchronous_standby_names` promises.

Source: PostgreSQL documentation, "Multiple Synchronous Standbys".
"""

from __future__ import annotations

import functools
import re
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Requirement:
    """An acknowledged commit is on `count` of `names`, unknown on which. `*` matches any name."""

    count: int
    names: tuple[str, ...]

    def covers(self, application_name: str) -> bool:
        return "*" in self.names or application_name.lower() in self.names


_LIST = re.compile(
    r"^\s*(?:(?:first|any)\s+)?(?P<count>\d+)\s*\((?P<names>.*)\)\s*$",
    re.IGNORECASE | re.DOTALL,
)
_NAME = re.compile(r'"((?:[^"]|"")*)"|([^\s,]+)')
"""In quotes, in which two of them stand for one, or a plain word."""


@functools.lru_cache(maxsize=64)
def parse(setting: str) -> Requirement | None:
    """None where the setting is empty: nothing is promised."""
    if not setting.strip():
        return None
    match = _LIST.match(setting)
    count, listed = (int(match["count"]), match["names"]) if match else (1, setting)
    found = (quoted.replace('""', '"') or plain for quoted, plain in _NAME.findall(listed))
    return Requirement(count, tuple(name.lower() for name in found))
