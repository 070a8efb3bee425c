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
    Paused,
    Promoting,
    Reverting,
    Salvaging,
    Settling,
    Starting,
    Watching,
)


def restored(m: Machine, now: Instant, ago_s: float | None = 0.0) -> Machine:
    """A machine read back from the journal: look at everything first, then resume.

    It was journaled `ago_s` seconds ago; None: the wall clock cannot tell.
    """
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
        primary_lsn_at=_unseen_since(m, now, ago_s),
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


def _unseen_since(m: Machine, now: Instant, ago_s: float | None) -> Instant | None:
    """When the primary's position was known last, where it went on writing unseen since.

    None where it was in doubt already: it is told as it was then. Of the two clocks the one that
    says longer is believed: the wall clock may have been set back, the other begins with each boot.
    """
    seen_at = m.memory.primary_lsn_at
    well = (Watching, Paused, Settling, Starting)
    if seen_at is None or not isinstance(m.state, well):
        return None
    if isinstance(m.state, Starting) and m.state.resuming:
        return None
    by_boot = [seen_at] if seen_at <= now else []
    by_wall = [] if ago_s is None else [Instant(now - ago_s - max(0.0, m.entered_at - seen_at))]
    return min([*by_boot, *by_wall], default=None)


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
