"""Lines that say the same again and again, and the number of the incident on every line.

Processors of structlog: plain functions of one line's fields.
"""

from __future__ import annotations

import re
from collections import OrderedDict
from collections.abc import Callable, MutableMapping
from typing import Any

import structlog

AGAIN_AFTER_S = 60.0
REMEMBERED = 1000
_FIGURE = re.compile(r"(?<![\w./])\d+(\.\d+)?(?![\w/])")

Fields = MutableMapping[str, Any]
Processor = Callable[[Any, str, Fields], Fields]


def without_repeats(monotonic: Callable[[], float]) -> Processor:
    """The same sentence, but for its figures, once a minute, with how often it was not written.

    A change of state and an act of an operator are always written.
    """
    said: OrderedDict[tuple[Any, ...], tuple[float, int]] = OrderedDict()

    def once(_: Any, level: str, fields: Fields) -> Fields:
        if "from_state" in fields or "act" in fields:
            return fields
        sentence = _FIGURE.sub("#", str(fields.get("event")))
        key = (level, sentence, fields.get("cluster"), fields.get("incident"))
        now = monotonic()
        at, left_out = said.pop(key, (None, 0))
        if at is not None and now - at < AGAIN_AFTER_S:
            said[key] = (at, left_out + 1)
            raise structlog.DropEvent
        said[key] = (now, 0)
        while len(said) > REMEMBERED:
            said.popitem(last=False)
        if left_out:
            fields["repeated"] = left_out
        return fields

    return once


class UnderWay:
    """Which cluster has an incident under way: its number belongs on every line meanwhile."""

    def __init__(self) -> None:
        self._of: dict[str, int] = {}

    def is_now(self, cluster: str, incident: int | None) -> None:
        if incident is None:
            self._of.pop(cluster, None)
        else:
            self._of[cluster] = incident

    def numbered(self, _: Any, __: str, fields: Fields) -> Fields:
        """A line of no cluster gets the number where there is but one."""
        if "incident" in fields or not self._of:
            return fields
        cluster = fields.get("cluster")
        if cluster in self._of:
            fields["incident"] = self._of[cluster]
        elif cluster is None and len(self._of) == 1:
            (fields["incident"],) = self._of.values()
        return fields
