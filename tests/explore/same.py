"""Which states are the same: those that differ in when alone, or in how often it was tried."""

from __future__ import annotations

import dataclasses
import enum
from collections.abc import Callable, Hashable, Mapping
from operator import attrgetter
from typing import Any

from failoverd.core.divergence import Counted
from failoverd.core.effects import Effect
from failoverd.core.jobs import NodeJob
from failoverd.core.memory import Memory
from failoverd.core.model import Lsn, SavedSettings
from failoverd.core.target import TargetJob
from tests.explore.node import LONG, Node, node_of

SKIPPED = frozenset(
    {
        "evidence", "why", "sentence", "advice", "view", "entered_at", "visit", "by", "since",
        "peak_wal_rate", "reason_text", "highest_epoch", "calibrations", "version", "server_log",
        "looked_at", "primary_lsn_at", "frozen_at", "targets_seen", "number", "dead_man_number",
        "name", "reading", "armed_for", "failed",
        "stopping_since", "said", "plan_ended", "failures", "paused", "freezes_from",
    }
)  # fmt: skip
ENOUGH = 3
"""Of attempts: from then on they are alike."""

Shape = Callable[[Any, float, int | None], Hashable]


def key(node: Node) -> int:
    return hash((key_beside_the_world(node), node.world, node.seen, node.budget, node.hands_used))


def key_beside_the_world(node: Node, digits: int | None = None) -> Hashable:
    """Of the daemon alone: what it knows, and what it has under way. `digits` of seconds."""
    m, now = node.machine, node.now
    visit = m.visit
    return (
        shape(m, now, digits),
        min(LONG, round(now - node.seen_at, digits)),
        tuple(
            sorted(
                (v == visit, v >= m.freezes_from, repr_of(e), round(now - t, digits))
                for v, e, t in node.under_way
            )
        ),
        frozenset(repr_of(e) for v, e in node.answered if v == visit),
    )


def repr_of(effect: Effect) -> str:
    return f"{type(effect).__name__} {getattr(effect, 'mode', '')} {node_of(effect)}"


def shape(value: object, now: float, digits: int | None = None) -> Hashable:
    kind = type(value)
    how = _SHAPES.get(kind)
    if how is None:
        how = _SHAPES[kind] = _shape_of(kind)
    return how(value, now, digits)


def _shape_of(kind: type) -> Shape:
    """How values of that type are compared, found out once."""
    if issubclass(kind, (enum.Enum, str, int, frozenset, Lsn, SavedSettings, type(None))):
        PLAIN.add(kind)
        return _itself
    for base, how in _BY_BASE:
        if issubclass(kind, base):
            return how
    return _of_fields(kind)


def _itself(value: Any, now: float, digits: int | None) -> Hashable:
    return value  # type: ignore[no-any-return]


def _moment(value: float, now: float, digits: int | None) -> Hashable:
    """Never negative: Python gives -1 and -2 the same hash, and so all that holds them."""
    return max(0, min(2 * LONG, LONG + round(value - now, digits)))


def _memory(value: Memory, now: float, digits: int | None) -> Hashable:
    heard: float = 0
    if value.last_alive_at is not None:
        heard = LONG + max(-5, round(value.last_alive_at - now, digits))
    return (
        value.primary, value.timeline, value.seen_healthy, heard, min(4, value.failed_rounds),
        tuple(sorted(value.standby_timelines.items())), value.primary_lsn,
        value.primary_since > now - 1,
    )  # fmt: skip


def _node_job(value: NodeJob, now: float, digits: int | None) -> Hashable:
    """How often it was tried, and how long it rests, is when and not what."""
    return value.job, value.epoch, value.told, value.retry_at is not None


def _counted(value: Counted, now: float, digits: int | None) -> Hashable:
    known = value.divergence
    return known is not None, known is not None and known.running, value.retry_at is not None


def _target_job(value: TargetJob, now: float, digits: int | None) -> Hashable:
    return value.points_at, min(1, value.failures), shape(value.retry_at, now, digits)


def _mapping(value: Mapping[Any, Any], now: float, digits: int | None) -> Hashable:
    return tuple(sorted((str(k), shape(v, now, digits)) for k, v in value.items())) if value else ()


def _items(value: tuple[Any, ...], now: float, digits: int | None) -> Hashable:
    return tuple([item if type(item) in PLAIN else shape(item, now, digits) for item in value])


_BY_BASE: tuple[tuple[type, Shape], ...] = (
    (float, _moment),
    (Memory, _memory),
    (NodeJob, _node_job),
    (Counted, _counted),
    (TargetJob, _target_job),
    (Mapping, _mapping),
    (tuple, _items),
)
_SHAPES: dict[type, Shape] = {}
PLAIN: set[type] = set()
"""Types without a moment in them, and without anything that is skipped."""


def _of_fields(kind: type) -> Shape:
    names = [f.name for f in dataclasses.fields(kind) if f.name not in SKIPPED]
    if "attempt" in names:
        names = ["attempt", *(name for name in names if name != "attempt")]
    word = kind.__name__
    if not names:
        return lambda value, now, digits: word
    if len(names) == 1:
        names = [*names, names[0]]
    read, tried = attrgetter(*names), names[0] == "attempt"

    def shaped(value: Any, now: float, digits: int | None) -> Hashable:
        parts = [part if type(part) in PLAIN else shape(part, now, digits) for part in read(value)]
        if tried:
            parts[0] = min(ENOUGH, parts[0])  # type: ignore[type-var]
        return (word, *parts)

    return shaped
