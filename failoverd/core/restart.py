"""What a restart begins from, and a wall clock that went backwards."""

from __future__ import annotations

from dataclasses import replace

from failoverd.core.dead_man import Arming, Phase
from failoverd.core.diagnosis import Diagnosis
from failoverd.core.divergence import Counted
from failoverd.core.events import Now
from failoverd.core.model import ClusterView, Instant
from failoverd.core.one_process import forgetful
from failoverd.core.situation import Machine, incident_over, seen_since, unsure
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
    State,
    Suspect,
)
from failoverd.core.wal_rate import at_most


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
        peak_wal_rate=at_most(m.memory.peak_wal_rate),
    )
    kept = replace(
        unsure(m),
        state=state,
        visit=m.visit + 1,
        entered_at=now,
        view=ClusterView({}),
        diagnosis=None,
        # Somebody may have thawed them since: whoever resumes freezes anew.
        frozen={},
        freezes_from=m.visit + 1,
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


def taken_up(shared: Machine, own: Machine, now: Instant) -> Machine:
    """What another daemon has journaled, for whoever leads after it: as after a restart.

    That one's clocks are not ours: of where the primary was, and how fast it wrote, counts what
    was seen from here.
    """
    resumed = restored(shared, now, None)
    memory = replace(resumed.memory, primary_lsn_at=None)
    if own.memory.primary == memory.primary:
        known = [lsn for lsn in (memory.primary_lsn, own.memory.primary_lsn) if lsn is not None]
        memory = replace(
            memory,
            primary_lsn=max(known, default=None),
            primary_lsn_at=own.memory.primary_lsn_at,
            peak_wal_rate=max(memory.peak_wal_rate, own.memory.peak_wal_rate),
        )
    return replace(resumed, memory=memory)


def followed(shared: Machine, own: Machine, now: Instant) -> Machine:
    """As whoever leads has it, to be shown: with what is seen from here, and times of ours."""
    kept = taken_up(shared, own, now)
    same = own.visit == shared.visit and type(own.state) is type(shared.state)
    since = own.entered_at if same else now
    memory, view = kept.memory, own.view
    if own.memory.primary == memory.primary:
        memory = replace(memory, **{name: getattr(own.memory, name) for name in SEEN_FROM_HERE})
    else:
        memory = replace(memory, primary_since=now)
        view = seen_since(view, now)
    return replace(
        kept,
        state=_with_times_of_ours(shared.state, since),
        visit=shared.visit,
        entered_at=since,
        incident=shared.incident,
        memory=memory,
        view=view,
        diagnosis=own.diagnosis,
        targets_seen=own.targets_seen,
    )


SEEN_FROM_HERE = (
    "primary_since",
    "last_alive_at",
    "failed_rounds",
    "replay_stands",
    "keeping",
    "doubt",
    "writable_since",
    "shutting_down_since",
    "blinded",
    "seen_since",
    "thawed_at",
)
"""Of what is remembered, what belongs to one process."""


def _with_times_of_ours(state: State, since: Instant) -> State:
    match state:
        case Suspect():
            return replace(state, since=since, looked_at=since)
        case Blocked():
            return replace(state, since=since, retry_at=since, diagnosed_at=since)
        case _:
            return state


def _unseen_since(m: Machine, now: Instant, ago_s: float | None) -> Instant | None:
    """When the primary's position was known last, where it may have gone on writing unseen since.

    None where it was seen dead: it is told as it was then. Of the two clocks the one that says
    longer is believed: the wall clock may have been set back, the other begins with each boot.
    """
    seen_at = m.memory.primary_lsn_at
    if seen_at is None or _diagnosed(m) in SEEN_DEAD:
        return None
    by_boot = [seen_at] if seen_at <= now else []
    by_wall = [] if ago_s is None else [Instant(now - ago_s - max(0.0, m.entered_at - seen_at))]
    return min([*by_boot, *by_wall], default=None)


SEEN_DEAD = frozenset({Diagnosis.CRASHED, Diagnosis.STOPPED})


def _diagnosed(m: Machine) -> Diagnosis | None:
    """What the primary was when it was last doubted. Cut off from us it may write on."""
    match m.state:
        case Suspect(diagnosis=diagnosis) | Blocked(diagnosis=diagnosis, returns_to=None):
            return diagnosis
        case _:
            return None if m.incident is None else m.incident.diagnosis


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
