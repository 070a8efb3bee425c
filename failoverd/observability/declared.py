"""Every transition that may happen, with whatever may set it off."""

from __future__ import annotations

from collections.abc import Iterator

from failoverd.core.events import Trigger
from failoverd.core.operator import COMMANDED
from failoverd.core.states import State, name_of
from failoverd.core.transitions import transitions


def declared() -> Iterator[tuple[str, str, str]]:
    """State left, state entered, trigger."""
    for pair in transitions():
        for trigger in _triggers(pair):
            yield name_of(pair[0]), name_of(pair[1]), trigger


_WATCHING = frozenset({"starting", "watching", "suspect", "paused", "blocked"})


def _triggers(pair: tuple[type[State], type[State]]) -> tuple[Trigger, ...]:
    """What may set a transition off: outside of a failover only time, unless commanded."""
    calm = {name_of(pair[0]), name_of(pair[1])} <= _WATCHING
    return (Trigger.AUTOMATIC,) if calm and pair not in COMMANDED else tuple(Trigger)
