"""The machine as a value: the state, and what is carried from one state to the next.

Everything here but the view and the instants is durable: it is journaled before any
effect is asked for, and a restart begins from it (`restored`).
"""

from __future__ import annotations

import enum
from collections.abc import Mapping
from dataclasses import dataclass, field, replace

from failoverd.core.effects import Fence, Freeze, ReadSettings
from failoverd.core.events import (
    Confirmed,
    Election,
    Event,
    FrozenAt,
    Now,
    Observed,
    OperatorAcknowledges,
    OperatorPause,
    Replied,
    SettingsRead,
    StillAlive,
)
from failoverd.core.memory import Memory, answered_writable, observe, sole_writable
from failoverd.core.model import (
    ClusterView,
    Epoch,
    Frozen,
    Instant,
    Lsn,
    NodeName,
    NodeReport,
    SavedSettings,
    Timeline,
    WalLoss,
    WallTime,
)
from failoverd.core.policy import Policy
from failoverd.core.states import (
    Blocked,
    Confirming,
    Electing,
    Fencing,
    Incident,
    Paused,
    Promoting,
    Reverting,
    Salvaging,
    Settling,
    Starting,
    State,
    Watching,
)


class Job(enum.StrEnum):
    """What is owed to one node; it may take hours, so it is no state of the cluster."""

    OWED_UNGUARD = "owed_unguard"
    QUARANTINED = "quarantined"
    """Fenced and superseded; it must not come back as a primary."""
    DETACHED = "frozen"
    """A standby that was frozen and follows nobody yet."""
    OWED_THAW = "owed_thaw"
    """What a freeze changed could not be put back yet."""


@dataclass(frozen=True, slots=True)
class NodeJob:
    job: Job
    epoch: Epoch
    attempt: int = 0
    retry_at: Instant | None = None


@dataclass(frozen=True, slots=True)
class Machine:
    state: State = field(default_factory=Starting)
    visit: int = 0
    """Grows with each entry into a state; a reply to an earlier visit is dropped."""
    entered_at: Instant = Instant(0.0)
    epoch: Epoch = Epoch(0)
    memory: Memory = field(default_factory=Memory)
    view: ClusterView = field(default_factory=lambda: ClusterView({}))
    incident: Incident | None = None
    saved: Mapping[NodeName, SavedSettings] = field(default_factory=dict[NodeName, SavedSettings])
    frozen: Mapping[NodeName, Frozen] = field(default_factory=dict[NodeName, Frozen])
    asked: frozenset[NodeName] = frozenset()
    """Every node that was ever asked to promote in this incident."""
    asked_at: Lsn | None = None
    jobs: Mapping[NodeName, NodeJob] = field(default_factory=dict[NodeName, NodeJob])
    paused_by: str | None = None
    paused_until: WallTime | None = None
    last_confirmed: WallTime | None = None
    failovers: tuple[WallTime, ...] = ()
    """Confirmed automatic failovers of the last day."""

    def observing(self, event: Event, policy: Policy) -> Machine:
        """With an observation folded in, before anything is decided on it."""
        if not isinstance(event, Observed):
            return self
        view = seen_since(event.view, self.memory.primary_since)
        return replace(self, view=view, memory=observe(self.memory, view, policy))

    @property
    def primary_report(self) -> NodeReport:
        assert self.memory.primary is not None
        return self.view.report(self.memory.primary)

    @property
    def looked_at(self) -> bool:
        """The primary is known, and was looked at since it is the primary."""
        return self.memory.primary is not None and self.primary_report.round > 0

    @property
    def next_epoch(self) -> Epoch:
        """The highest of journal and hosts, plus one."""
        return Epoch(max(self.epoch, self.memory.highest_epoch) + 1)

    def standbys(self, policy: Policy) -> tuple[NodeName, ...]:
        """Whoever can be frozen: all that answer, also those that may not take over."""
        return tuple(
            sorted(
                name
                for name in policy.nodes
                if name != self.memory.primary and self.view.report(name).answers
            )
        )

    def frozen_positions(self) -> Mapping[NodeName, Frozen] | None:
        return self.frozen or None

    def asked_position(self, node: NodeName, election: Election) -> tuple[Lsn, WalLoss]:
        """What is known of a node that was asked already: it goes on, whatever is behind it."""
        position = self.asked_at or Lsn(0)
        unknown = WalLoss(0, False, "unknown: the promotion was asked for before a restart")
        return position, election.loss if election.candidate == node and election.loss else unknown


def carry(before: Machine, state: State, event: Event, now: Now) -> Machine:
    """The machine after a transition: context follows from what happened, nowhere else."""
    after = _note_command(before, event)
    if state == before.state:
        return after
    if isinstance(before.state, Paused):
        after = replace(after, paused_by=None, paused_until=None)
    entered = (
        type(state) is not type(before.state)
        or _attempt(state) != _attempt(before.state)
        or isinstance(state, Starting)
    )
    after = replace(after, state=state)
    if not entered:
        return after
    after = replace(after, visit=before.visit + 1, entered_at=now.monotonic)
    return _note_entry(after, state, now)


def _attempt(state: State) -> int:
    return getattr(state, "attempt", 0)


def answered(m: Machine, event: Replied, now: Now) -> Machine:
    """With what the present visit's effects have found, before anything is decided on it."""
    match event:
        case Replied(effect=ReadSettings(node=node), result=SettingsRead(saved)):
            return replace(m, saved={**m.saved, node: saved})
        case Replied(effect=Freeze(node=node), result=FrozenAt(frozen)):
            return replace(m, frozen={**m.frozen, node: frozen})
        case Replied(effect=Fence(), result=StillAlive()):
            memory = replace(m.memory, last_alive_at=now.monotonic, failed_rounds=0, doubt=None)
            return replace(m, memory=memory)
        case _:
            return m


def _note_command(m: Machine, event: Event) -> Machine:
    match event:
        case OperatorPause(by=by, until=until):
            return replace(m, paused_by=by, paused_until=until)
        case OperatorAcknowledges():
            return replace(m, last_confirmed=None, failovers=())
        case _:
            return m


def _note_entry(m: Machine, state: State, now: Now) -> Machine:
    match state:
        case Fencing(incident=incident, primary=primary):
            job = NodeJob(Job.OWED_UNGUARD, incident.epoch)
            frozen = m.frozen if incident.epoch == m.epoch else dict[NodeName, Frozen]()
            return replace(
                m,
                incident=incident,
                epoch=incident.epoch,
                frozen=frozen,
                jobs={**m.jobs, primary: job},
            )
        case Promoting(candidate=candidate, position=position):
            return replace(m, asked=m.asked | {candidate}, asked_at=position)
        case Settling(primary=primary, confirmed=confirmed) if primary != m.memory.primary:
            return _confirmed(m, primary, confirmed, now)
        case Starting():
            return _incident_over(_superseded(m))
        case Watching() if m.memory.primary is None:
            return _identified(m)
        case Watching() | Blocked(returns_to=None):
            return _incident_over(m)
        case _:
            return m


def _confirmed(m: Machine, primary: NodeName, confirmed: Confirmed, now: Now) -> Machine:
    """The candidate is the primary now; the old one is quarantined, the others follow nobody."""
    old = m.memory.primary
    jobs = {n: j for n, j in m.jobs.items() if n != primary}
    for standby in m.saved:
        if standby != primary:
            jobs[standby] = NodeJob(Job.DETACHED, m.epoch)
    if old is not None and old != primary:
        jobs[old] = NodeJob(Job.QUARANTINED, m.epoch)
    memory = replace(
        forgetful(m.memory),
        primary=primary,
        primary_since=now.monotonic,
        timeline=confirmed.timeline,
        promise=None,
        seen_healthy=True,
    )
    day_ago = WallTime(now.wall - 86400)
    automatic = m.incident is not None and m.incident.trigger == "automatic"
    recent = tuple(at for at in m.failovers if at > day_ago)
    return replace(
        m,
        view=seen_since(m.view, now.monotonic),
        memory=memory,
        jobs=jobs,
        last_confirmed=now.wall,
        failovers=(*recent, now.wall) if automatic else recent,
    )


def _incident_over(m: Machine) -> Machine:
    return replace(m, incident=None, asked=frozenset(), asked_at=None)


def _superseded(m: Machine) -> Machine:
    """Somebody else has made another primary; whoever was fenced or asked is none."""
    fenced = {n for n, j in m.jobs.items() if j.job is Job.OWED_UNGUARD} | m.asked
    jobs = {**m.jobs, **{n: NodeJob(Job.QUARANTINED, m.epoch) for n in fenced}}
    return replace(m, memory=replace(m.memory, primary=None), jobs=jobs)


def _identified(m: Machine) -> Machine:
    """The only writable node is the primary."""
    name = sole_writable(m.view, m.memory)
    server = m.view.report(name).server if name is not None else None
    if name is None or server is None:
        return m
    memory = replace(
        forgetful(m.memory),
        primary=name,
        system_identifier=server.system_identifier,
        timeline=Timeline(max(m.memory.timeline, server.timeline)),
        version=server.version,
        seen_healthy=answered_writable(m.view.report(name)),
        promise=None,
    )
    return replace(m, memory=memory, jobs={n: j for n, j in m.jobs.items() if n != name})


def seen_since(view: ClusterView, instant: Instant) -> ClusterView:
    """Without rounds that began before it: they saw another cluster."""
    nodes = {name: report for name, report in view.nodes.items() if report.began_at >= instant}
    return replace(view, nodes=nodes)


def forgetful(memory: Memory) -> Memory:
    """Without what belonged to one process and one primary."""
    return replace(
        memory,
        primary_since=Instant(0.0),
        primary_lsn=None,
        primary_lsn_at=None,
        peak_wal_rate=0.0,
        last_alive_at=None,
        failed_rounds=0,
        doubt=None,
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
        memory=memory,
        jobs={n: replace(j, retry_at=None) for n, j in m.jobs.items()},
    )
    return kept if state.resuming else _incident_over(kept)


def clocks_kept(m: Machine, now: Now) -> Machine:
    """A wall clock that went backwards starts the cooldown anew, in full and once."""
    if m.last_confirmed is None or m.last_confirmed <= now.wall:
        return m
    return replace(
        m,
        last_confirmed=now.wall,
        failovers=tuple(min(at, now.wall) for at in m.failovers),
    )
