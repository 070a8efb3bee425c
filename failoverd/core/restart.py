"""What a restart begins from, and a wall clock that went backwards."""

from __future__ import annotations

from dataclasses import replace

from failoverd.core.dead_man import Arming, Phase
from failoverd.core.divergence import Counted
from failoverd.core.events import Now
from failoverd.core.model import ClusterView, Instant
from failoverd.core.situation import Machine, forgetful, incident_over
from failoverd.core.states import (
    Blocked,
    Confirming,
    Electing,
    Fencing,
    Promoting,
    Reverting,
    Salvaging,
    Settling,
    Starting,
)


def restored(m: Machine, now: Instant) -> Machine:
    """A machine read back from the journal: look at everything first, then resume."""
    match m.state:
        case Fencing() | Electing() | Salvaging() | Promoting() | Confirming() | Reverting():
            state = Starting(resuming=True)
        case Blocked(returns_to=returns_to) if returns_to is not None:
            state = Starting(resuming=True)
        case Settling() as settling:
            state = Starting(settling=settling)
        case Starting() as cut_short_again:
            state = cut_short_again
        case _:
            state = Starting()
    memory = replace(
        forgetful(m.memory),
        primary_lsn=m.memory.primary_lsn,
        peak_wal_rate=m.memory.peak_wal_rate,
    )
    kept = replace(
        m,
        state=state,
        visit=m.visit + 1,
        entered_at=now,
        view=ClusterView({}),
        diagnosis=None,
        # Somebody may have thawed them since: whoever resumes freezes anew.
        frozen={},
        memory=memory,
        synchronous=None if m.synchronous is None else replace(m.synchronous, retry_at=None),
        unmeasured=None if m.unmeasured is None else replace(m.unmeasured, retry_at=None),
        dead_man=_asked_again(m),
        dead_man_unlike_since=None,
        jobs={
            n: replace(j, retry_at=None, keep_down_at=None, rejoin_at=None)
            for n, j in m.jobs.items()
        },
        divergences={n: Counted(one.divergence) for n, one in m.divergences.items()},
        targets={n: replace(t, retry_at=None, since=Instant(0.0)) for n, t in m.targets.items()},
        targets_seen={},
        stopping_since=None,
    )
    return kept if state.resuming else incident_over(kept)


def _asked_again(m: Machine) -> Arming | None:
    """What another process had acknowledged is no proof of this one's."""
    a = m.dead_man
    if a is None:
        return None
    phase = Phase.DISARMING if a.phase is Phase.DISARMING else Phase.ASKED
    return replace(
        a, phase=phase, failed=0, retry_at=None, name="", armed_for=None, reading=None, why=""
    )


def clocks_kept(m: Machine, now: Now) -> Machine:
    """A wall clock that went backwards starts the cooldown anew, in full and once."""
    if m.last_confirmed is None or m.last_confirmed <= now.wall:
        return m
    return replace(
        m,
        last_confirmed=now.wall,
        failovers=tuple(min(at, now.wall) for at in m.failovers),
    )
