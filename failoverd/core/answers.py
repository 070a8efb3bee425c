"""What the answers of effects leave behind in the machine, before anything is decided on them."""

from __future__ import annotations

from dataclasses import replace

from failoverd.core.effects import Fence, Freeze, Promote, ReadSettings, Retire
from failoverd.core.events import (
    FROZEN_ALREADY,
    EffectFailed,
    FrozenAt,
    Now,
    Replied,
    Retired,
    SettingsRead,
    StillAlive,
)
from failoverd.core.situation import Machine, unsure
from failoverd.core.states import Promoting


def answered(m: Machine, event: Replied, now: Now) -> Machine:
    """With what the present visit's effects have found, before anything is decided on it."""
    match event:
        case Replied(effect=ReadSettings(node=node), result=SettingsRead(saved)):
            # The first reading stands: a later one may have read what the freeze wrote.
            foreign = m.frozen_by_others - {node}
            return replace(m, saved={node: saved, **m.saved}, frozen_by_others=foreign)
        case Replied(effect=ReadSettings(node=node), result=EffectFailed(reason=reason)) if (
            reason == FROZEN_ALREADY
        ):
            return replace(m, frozen_by_others=m.frozen_by_others | {node})
        case Replied(effect=Freeze(node=node), result=FrozenAt(frozen)):
            return replace(m, frozen={**m.frozen, node: frozen})
        case Replied(effect=Promote(candidate=node), result=StillAlive()):
            # The last look came before the request.
            m, before = unsure(m), not isinstance(m.state, Promoting) or m.state.asked_before
            return m if before else replace(m, asked=m.asked - {node})
        case Replied(effect=Promote(candidate=node), result=EffectFailed(reason="refused")):
            # By its own guard: it is not frozen any more, and this time it was not asked.
            others = {n: f for n, f in m.frozen.items() if n != node}
            before = not isinstance(m.state, Promoting) or m.state.asked_before
            return replace(m, asked=m.asked if before else m.asked - {node}, frozen=others)
        case Replied(effect=Retire(node=node), result=Retired()):
            others = {n: f for n, f in m.frozen.items() if n != node}
            m = replace(m, asked=m.asked - {node}, asked_at=None, frozen=others)
            return unsure(m)
        case Replied(effect=Fence(), result=StillAlive()):
            memory = replace(m.memory, last_alive_at=now.monotonic, failed_rounds=0, doubt=None)
            return unsure(replace(m, memory=memory))
        case _:
            return m
