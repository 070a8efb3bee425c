"""One event is folded into the machine; what it asks of the world follows from what it is then.

What each state makes of an event stands on its page, machine.py; what is asked for in each, in
asked.py. Duties beside the procedure are looked after in every state.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

from failoverd.core.answers import answered
from failoverd.core.arming import weighed
from failoverd.core.asked import asks
from failoverd.core.decision import wake_at
from failoverd.core.effects import Effect, Freeze, MeasureDivergence, ReadSettings
from failoverd.core.events import (
    DaemonStops,
    DeadManLost,
    Event,
    Now,
    Observed,
    Progressed,
    Replied,
    Woke,
)
from failoverd.core.machine import successor
from failoverd.core.model import Instant
from failoverd.core.operator import command, refusal
from failoverd.core.policy import Policy
from failoverd.core.rejoin import brought_back
from failoverd.core.situation import Machine, carry
from failoverd.core.states import Electing, Fencing, Salvaging
from failoverd.core.switchover import noted, planned
from failoverd.core.upkeep import before_deciding


@dataclass(frozen=True, slots=True)
class Step:
    machine: Machine
    effects: tuple[Effect, ...]
    wake_at: Instant | None


def step(machine: Machine, event: Event, now: Now, policy: Policy) -> Step:
    """Fold one event into the machine; say what to ask of the world, and when to wake."""
    m = before_deciding(machine.observing(event, policy), event, now, policy)
    if isinstance(event, (Observed, Woke, Replied)):
        m = planned(brought_back(m, event, now, policy), event, now, policy)
    match event:
        case Observed() | Woke():
            m = carry(m, successor(m, event, now, policy), event, now)
        case Replied(effect=MeasureDivergence()):
            pass
        case Replied(visit=visit) if visit == m.visit or of_this_incident(event, m):
            m = answered(m, event, now)
            m = carry(m, successor(m, event, now, policy), event, now)
        case Progressed(visit=visit) if visit == m.visit and isinstance(m.state, Salvaging):
            come = replace(m.state, done_bytes=event.done_bytes, of_bytes=event.of_bytes)
            m = carry(m, come, event, now)
        case Replied() | Progressed() | DeadManLost() | DaemonStops():
            pass
        case _:
            if refusal(m, event, policy) is None:
                m = carry(m, command(m, event, now, policy), event, now)
                m = planned(brought_back(m, event, now, policy), event, now, policy)
    m = noted(machine, m, now)
    m = weighed(m, event, now, policy)
    return Step(m, asks(m, policy), wake_at(m, now))


def of_this_incident(reply: Replied, m: Machine) -> bool:
    """Standbys are frozen beside the fence: their answers outlive the visit that asked.

    But for those that come late, by their host or by our journal, and were thawed meanwhile.
    """
    match reply.effect:
        case ReadSettings(epoch=epoch) | Freeze(epoch=epoch):
            stands = epoch == m.epoch and reply.visit >= m.freezes_from
            return stands and isinstance(m.state, (Fencing, Electing))
        case _:
            return False
