"""Which states are the same: those that differ in when alone, or in how often it was tried."""

from __future__ import annotations

import dataclasses
import enum
import functools
from collections.abc import Mapping

from failoverd.core.divergence import Counted
from failoverd.core.effects import Effect
from failoverd.core.jobs import NodeJob
from failoverd.core.memory import Memory
from failoverd.core.target import TargetJob
from tests.explore.node import LONG, Node, node_of

SKIPPED = frozenset(
    {
        "evidence", "why", "sentence", "advice", "view", "entered_at", "visit", "by", "since",
        "peak_wal_rate", "reason_text", "highest_epoch", "calibrations", "version", "server_log",
        "looked_at", "primary_lsn_at", "frozen_at", "targets_seen", "number", "dead_man_number",
        "name", "reading", "armed_for", "failed",
        "stopping_since", "said", "plan_ended", "failures", "paused",
    }
)  # fmt: skip


def key(node: Node) -> int:
    m = node.machine
    visit = m.visit
    return hash(
        (
            shape(m, node.now),
            node.world,
            node.seen,
            min(LONG, round(node.now - node.seen_at)),
            tuple(
                sorted((v == visit, repr_of(e), round(node.now - t)) for v, e, t in node.under_way)
            ),
            frozenset(repr_of(e) for v, e in node.answered if v == visit),
            node.budget,
            node.hands_used,
        )
    )


def repr_of(effect: Effect) -> str:
    return f"{type(effect).__name__} {getattr(effect, 'mode', '')} {node_of(effect)}"


def shape(value: object, now: float, name: str = "") -> object:
    if isinstance(value, enum.Enum) or value is None or isinstance(value, str | bool):
        return value
    if isinstance(value, float):
        return max(-LONG, min(LONG, round(value - now)))
    if isinstance(value, int):
        return min(3, value) if name in ("attempt", "failures") else value
    if isinstance(value, Memory):
        heard = -LONG if value.last_alive_at is None else max(-5, round(value.last_alive_at - now))
        return (
            value.primary, value.timeline, value.seen_healthy, heard, min(4, value.failed_rounds),
            tuple(sorted(value.standby_timelines.items())), value.primary_lsn,
            value.primary_since > now - 1,
        )  # fmt: skip
    if isinstance(value, NodeJob):
        # How often it was tried, and how long it rests, is when and not what.
        return value.job, value.epoch, value.told, value.retry_at is not None
    if isinstance(value, Counted):
        known = value.divergence
        return known is not None, known is not None and known.running, value.retry_at is not None
    if isinstance(value, Mapping):
        return tuple(sorted((str(k), shape(v, now)) for k, v in value.items()))
    if isinstance(value, frozenset):
        return tuple(sorted(value))
    if isinstance(value, tuple):
        return tuple(shape(item, now) for item in value)
    if isinstance(value, TargetJob):
        return value.points_at, min(1, value.failures), shape(value.retry_at, now)
    kind = type(value)
    return (kind.__name__, *(shape(getattr(value, f), now, f) for f in compared(kind)))


@functools.cache
def compared(kind: type) -> tuple[str, ...]:
    return tuple(f.name for f in dataclasses.fields(kind) if f.name not in SKIPPED)
