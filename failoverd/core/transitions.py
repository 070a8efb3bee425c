"""The transition table: it is written nowhere but in the types of the state functions."""

from __future__ import annotations

import types
import typing

from failoverd.core.machine import (
    blocked,
    confirming,
    electing,
    fencing,
    paused,
    promoting,
    reverting,
    salvaging,
    settling,
    starting,
    suspect,
    watching,
)
from failoverd.core.operator import COMMANDED
from failoverd.core.states import State


def transitions() -> frozenset[tuple[type[State], type[State]]]:
    """Every declared transition, read from the annotations of the state functions."""
    functions = (
        starting, watching, suspect, fencing, electing, salvaging, promoting,
        confirming, settling, reverting, paused, blocked,
    )  # fmt: skip
    pairs: set[tuple[type[State], type[State]]] = set()
    for function in functions:
        hints = typing.get_type_hints(function)
        source, returned = hints["s"], hints["return"]
        targets = (
            typing.get_args(returned) if isinstance(returned, types.UnionType) else (returned,)
        )
        pairs |= {(source, target) for target in targets if target is not source}
    return frozenset(pairs | COMMANDED)
