"""The machine as a value: the state, and what is carried from one state to the next.

Everything here but the view and the instants is durable: it is journaled before any
effect is asked for, and a restart begins from it (`restored`).
"""

from __future__ import annotations

import enum
from collections.abc import Mapping
from dataclasses import dataclass, field, replace

from failoverd.core.effects import Freeze, ReadSettings, Thaw
from failoverd.core.events import (
    Confirmed,
    Election,
    Event,
    FrozenAt,
    Now,
    Observed,
    OperatorAcknowledges,
    OperatorPause,
    OperatorResume,
    Replied,
    SettingsRead,
    Thawed,
)
from failoverd.core.memory import Memory, observe
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
    Fencing,
    Incident,
    Promoting,
    Reverting,
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
    saved: Mapping[NodeName, SavedSettings] = field(default_factory=dict)
    frozen: Mapping[NodeName, Frozen] = field(default_factory=dict)
    asked: frozenset[NodeName] = frozenset()
    """Every node that was ever asked to promote in this incident."""
    asked_at: Lsn | None = None
    jobs: Mapping[NodeName, NodeJob] = field(default_factory=dict)
    paused_by: str | None = None
    paused_until: WallTime | None = None
    last_confirmed: WallTime | None = None
    failovers: tuple[WallTime, ...] = ()
    """Confirmed automatic failovers of the last day."""

    def observing(self, event: Event, policy: Policy) -> Machine:
        """With an observation folded in, before anything is decided on it."""
        if not isinstance(event, Observed):
            return self
        return replace(self, view=event.view, memory=observe(self.memory, event.view, policy))

    @property
    def primary_report(self) -> NodeReport:
        assert self.memory.primary is not None
        return self.view.report(self.memory.primary)

    @property
    def next_epoch(self) -> Epoch:
        """The highest of journal and hosts, plus one."""
        return Epoch(max(self.epoch, self.memory.highest_epoch) + 1)

    def standbys(self, policy: Policy) -> tuple[NodeName, ...]:
        """Whoever is not the primary: all are frozen, also those that may not take over."""
        return tuple(sorted(n for n in policy.nodes if n != self.memory.primary))

    def frozen_or_known(self) -> tuple[NodeName, ...]:
        known = {n for n in self.view.nodes if n != self.memory.primary}
        return tuple(sorted(known | set(self.frozen)))

    def frozen_positions(self) -> Mapping[NodeName, Frozen] | None:
        return self.frozen or None

    def asked_position(self, node: NodeName, election: Election) -> tuple[Lsn, WalLoss]:
        """What is known of a node that was asked already: it goes on, whatever is behind it."""
        position = self.asked_at or Lsn(0)
        unknown = WalLoss(0, False, "unknown: the promotion was asked for before a restart")
        return position, election.loss if election.candidate == node and election.loss else unknown


def carry(before: Machine, state: State, event: Event, now: Now) -> Machine:
    """The machine after a transition: context follows from what happened, nowhere else."""
    after = _note_event(before, event)
    if state == before.state:
        return after
    entered = type(state) is not type(before.state) or _attempt(state) != _attempt(before.state)
    after = replace(after, state=state)
    if not entered:
        return after
    after = replace(after, visit=before.visit + 1, entered_at=now.monotonic)
    return _note_entry(after, state, now)


def _attempt(state: State) -> int:
    return getattr(state, "attempt", 0)


def _note_event(m: Machine, event: Event) -> Machine:
    match event:
        case Replied(effect=ReadSettings(node=node), result=SettingsRead(saved)):
            return replace(m, saved={**m.saved, node: saved})
        case Replied(effect=Freeze(node=node), result=FrozenAt(frozen)):
            return replace(m, frozen={**m.frozen, node: frozen})
        case Replied(effect=Thaw(node=node), result=Thawed()):
            return replace(
                m,
                saved={n: s for n, s in m.saved.items() if n != node},
                frozen={n: f for n, f in m.frozen.items() if n != node},
                jobs={n: j for n, j in m.jobs.items() if n != node or j.job is not Job.DETACHED},
            )
        case OperatorPause(by=by, until=until):
            return replace(m, paused_by=by, paused_until=until)
        case OperatorResume():
            return replace(m, paused_by=None, paused_until=None)
        case OperatorAcknowledges():
            return replace(m, last_confirmed=None, failovers=())
        case _:
            return m


def _note_entry(m: Machine, state: State, now: Now) -> Machine:
    match state:
        case Fencing(incident=incident, primary=primary):
            job = NodeJob(Job.OWED_UNGUARD, incident.epoch)
            return replace(
                m, incident=incident, epoch=incident.epoch, jobs={**m.jobs, primary: job}
            )
        case Promoting(candidate=candidate, position=position):
            return replace(m, asked=m.asked | {candidate}, asked_at=position)
        case Settling(primary=primary, confirmed=confirmed):
            return _confirmed(m, primary, confirmed, now)
        case Watching() if m.memory.primary is None:
            return replace(m, memory=_identified(m.memory, m.view))
        case Starting():
            return replace(m, memory=replace(m.memory, primary=None))
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
        timeline=confirmed.timeline,
        promise=None,
        seen_healthy=True,
    )
    day_ago = WallTime(now.wall - 86400)
    automatic = m.incident is not None and m.incident.trigger == "automatic"
    recent = tuple(at for at in m.failovers if at > day_ago)
    return replace(
        m,
        memory=memory,
        jobs=jobs,
        last_confirmed=now.wall,
        failovers=(*recent, now.wall) if automatic else recent,
    )


def _incident_over(m: Machine) -> Machine:
    return replace(m, incident=None, asked=frozenset(), asked_at=None)


def _identified(memory: Memory, view: ClusterView) -> Memory:
    """The only writable node is the primary."""
    for name, report in view.nodes.items():
        server = report.server
        if server is not None and not server.in_recovery:
            return replace(
                forgetful(memory),
                primary=name,
                system_identifier=server.system_identifier,
                timeline=Timeline(max(memory.timeline, server.timeline)),
                version=server.version,
                seen_healthy=True,
                promise=None,
            )
    return memory


def forgetful(memory: Memory) -> Memory:
    """Without what belonged to one process and one primary."""
    return replace(
        memory,
        primary_lsn=None,
        primary_lsn_at=None,
        peak_wal_rate=0.0,
        last_alive_at=None,
        failed_rounds=0,
        doubt=None,
    )


def restored(m: Machine, now: Instant) -> Machine:
    """A machine read back from the journal: look at everything first, then resume."""
    cut_short = isinstance(m.state, Blocked) and m.state.returns_to is not None
    resuming = cut_short or isinstance(m.state, (Fencing, Promoting, Confirming, Reverting))
    resuming = resuming or type(m.state).__name__ in ("Electing", "Salvaging")
    kept = replace(
        m,
        state=Starting(resuming=resuming),
        visit=m.visit + 1,
        entered_at=now,
        view=ClusterView({}),
        memory=forgetful(m.memory),
        jobs={n: replace(j, retry_at=None) for n, j in m.jobs.items()},
    )
    return kept if resuming else _incident_over(kept)
