"""A row of the table of checks: its name, what it means, how it is mended, and its function."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from failoverd.core.judged import Judged
from failoverd.core.model import NodeName
from failoverd.core.survey import HostStanding, ServerStanding, Survey


@dataclass(frozen=True, slots=True)
class Row:
    """None of a judge: this check does not apply there."""

    name: str
    means: str
    mended_by: str


@dataclass(frozen=True, slots=True)
class OfNode(Row):
    judge: Callable[[Survey, NodeName], Judged | None]


@dataclass(frozen=True, slots=True)
class OfServer(Row):
    """Of each node that answers by SQL; unknown where it does not."""

    judge: Callable[[Survey, NodeName, ServerStanding], Judged | None]


@dataclass(frozen=True, slots=True)
class OfHost(Row):
    """Of each node whose host answers; unknown where it does not."""

    judge: Callable[[Survey, NodeName, HostStanding], Judged | None]


@dataclass(frozen=True, slots=True)
class OfCluster(Row):
    judge: Callable[[Survey], Judged | None]
