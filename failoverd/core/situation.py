"""The machine as a value: the state, and what is carried from one state to the next.

Everything here but the view and the instants is durable: it is journaled before any
effect is asked for, and a restart begins from it (`restored`).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace

from failoverd.core.dead_man import Arming
from failoverd.core.diagnosis import Diagnosis, diagnose
from failoverd.core.divergence import Counted
from failoverd.core.events import (
    Confirmed,
    Event,
    Now,
    Observed,
    OperatorAcknowledges,
    OperatorAdopts,
    OperatorFences,
    OperatorPause,
    OperatorVouches,
)
from failoverd.core.jobs import KEPT_OUT, Job, NodeJob, asked_in_vain, kept_out_by
from failoverd.core.measuring import Unmeasured
from failoverd.core.memory import Memory, observe
from failoverd.core.model import (
    FROZEN_SLOT,
    ClusterView,
    Epoch,
    Frozen,
    Instant,
    Lsn,
    NodeName,
    NodeReport,
    ProofKind,
    SavedSettings,
    Timeline,
    WalEnd,
    WalLoss,
    WallTime,
)
from failoverd.core.one_process import forgetful
from failoverd.core.policy import Policy, TargetName
from failoverd.core.schedule import Scheduled
from failoverd.core.states import (
    Blocked,
    Confirming,
    Electing,
    Fencing,
    Incident,
    Paused,
    Promoting,
    Settling,
    Starting,
    State,
    Watching,
)
from failoverd.core.target import TargetJob, TargetReport, Targets, all_owed, closed
from failoverd.core.waited_for import SyncChange
from failoverd.core.writers import sole_writable, writers


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
    freezes_from: int = 0
    """Visit: of what was asked before it, a freeze may have been thawed since, or the reverse."""
    asked: frozenset[NodeName] = frozenset()
    """Every node that was ever asked to promote in this incident."""
    asked_at: Lsn | None = None
    asked_loss: WalLoss | None = None
    """What it was asked at, for as long as the old primary has stood still under our guard."""
    asked_end: WalEnd | None = None
    """Of the old primary's WAL, where it was read by then."""
    frozen_by_others: frozenset[NodeName] = frozenset()
    """Another daemon has frozen them, and may have asked them to promote."""
    jobs: Mapping[NodeName, NodeJob] = field(default_factory=dict[NodeName, NodeJob])
    dead_man: Arming | None = None
    """What is armed, or may be; None: nothing."""
    dead_man_number: int = 0
    """Of the last thing that was asked of one."""
    dead_man_unlike_since: Instant | None = None
    """Since when what is armed is not what should be. Not journaled."""
    divergences: Mapping[NodeName, Counted] = field(default_factory=dict[NodeName, Counted])
    """What only a stale node has written."""
    split: Epoch = Epoch(0)
    """Number of the split brain that is on; 0: none."""
    paused_by: str | None = None
    paused_until: WallTime | None = None
    last_confirmed: WallTime | None = None
    failovers: tuple[WallTime, ...] = ()
    """Confirmed automatic failovers of the last day."""
    managed: bool = False
    """synchronous_standby_names is ours to set."""
    synchronous: SyncChange | None = None
    """Decided, and not seen in force yet."""
    unmeasured: Unmeasured | None = None
    """What the last failover lost is an estimate."""
    diagnosis: Diagnosis | None = None
    """Of the primary, as the latest view has it."""
    scheduled: Scheduled | None = None
    plan_ended: str = ""
    """What became of the last that was scheduled, where it was not simply begun."""
    stopping_since: Instant | None = None
    """Of a switchover: since when the old primary takes no more writes, at the earliest."""
    targets: Targets = field(default_factory=dict[TargetName, TargetJob])
    """Where the applications' ways lead, and what is owed to them."""
    targets_seen: Mapping[TargetName, TargetReport] = field(
        default_factory=dict[TargetName, TargetReport]
    )

    def observing(self, event: Event, policy: Policy) -> Machine:
        """With an observation folded in, before anything is decided on it."""
        if not isinstance(event, Observed):
            return self
        view = seen_since(event.view, self.memory.primary_since)
        memory = observe(self.memory, view, policy)
        primary = memory.primary
        looked_at = primary is not None and view.report(primary).round > 0
        diagnosis = diagnose(view, memory, policy) if looked_at else None
        wrote = primary is not None and view.report(primary).writable
        return replace(
            unsure(self) if wrote else self,
            view=view,
            memory=memory,
            targets_seen=event.targets,
            diagnosis=diagnosis,
        )

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
                if name != self.memory.primary
                and self.view.report(name).answers
                and not self.kept_out(name)
            )
        )

    def kept_out(self, node: NodeName) -> bool:
        """It was fenced, or is to be: no standby of ours."""
        return node in self.jobs and self.jobs[node].job in KEPT_OUT

    def owing(self, node: NodeName, job: NodeJob) -> Machine:
        return replace(self, jobs={**self.jobs, node: job})

    def owing_nothing(self, node: NodeName) -> Machine:
        return replace(self, jobs={n: job for n, job in self.jobs.items() if n != node})

    def unfrozen(self, node: NodeName) -> Machine:
        """Its own settings are in force there again, or others that it is to keep."""
        saved = {n: s for n, s in self.saved.items() if n != node}
        frozen = {n: f for n, f in self.frozen.items() if n != node}
        return replace(self, saved=saved, frozen=frozen)


def frozen_by_others(m: Machine) -> list[NodeName]:
    """Standbys in another daemon's hands, by what they say themselves or by our own attempt."""
    seen = {
        report.name
        for report in m.view.nodes.values()
        if report.server is not None
        and report.server.in_recovery
        and report.server.primary_slot_name.startswith(FROZEN_SLOT)
        and report.name not in m.saved
        and report.began_at > m.memory.thawed_at.get(report.name, Instant(-1.0))
    }
    return sorted(seen | m.frozen_by_others)


def carry(before: Machine, state: State, event: Event, now: Now) -> Machine:
    """The machine after a transition: context follows from what happened, nowhere else."""
    after = _note_command(before, event, now)
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
    return _note_entry(after, before.state, state, now)


def _attempt(state: State) -> int:
    return getattr(state, "attempt", 0)


def _note_command(m: Machine, event: Event, now: Now) -> Machine:
    match event:
        case OperatorFences(node=node):
            job = NodeJob(Job.OWED_FENCE, m.next_epoch)
            return replace(m.owing(node, job), epoch=m.next_epoch)
        case OperatorAdopts(node=node):
            return _identified_as(m, node, now.monotonic)
        case OperatorVouches(node=node) if node in m.asked:
            job = NodeJob(Job.OWED_GUARD, m.epoch)
            frozen = {n: f for n, f in m.frozen.items() if n != node}
            return replace(m.owing(node, job), asked=m.asked - {node}, frozen=frozen)
        case OperatorPause(by=by, until=until):
            return replace(m, paused_by=by, paused_until=until)
        case OperatorAcknowledges():
            return replace(m, last_confirmed=None, failovers=())
        case _:
            return m


def _note_entry(m: Machine, left: State, state: State, now: Now) -> Machine:
    begins = isinstance(state, Fencing) and state.incident.epoch != m.epoch
    goes_on = isinstance(state, (Fencing, Electing)) and isinstance(left, Blocked)
    if begins or (goes_on and not m.asked):
        # Who was blocked may have asked for thaws: whoever goes on freezes anew.
        m = replace(m, frozen={}, freezes_from=m.visit)
    match state:
        case Fencing(incident=incident, primary=primary) as fencing:
            return replace(
                m.owing(primary, NodeJob(Job.OWED_UNGUARD, incident.epoch)),
                incident=incident,
                epoch=incident.epoch,
                targets=closed(m.targets) if fencing.closes_targets else m.targets,
            )
        case Promoting(candidate=candidate, position=position) as asking:
            m = replace(m, asked=m.asked | {candidate}, asked_at=position)
            if asking.proof.kind is not ProofKind.STOPPED:
                return unsure(m)  # which leaves no guard: what is turned on again may write
            return replace(m, asked_loss=asking.loss, asked_end=asking.end)
        case Settling(primary=primary, confirmed=confirmed) if primary != m.memory.primary:
            proof = left.proof if isinstance(left, Confirming) else None
            planned = m.incident is not None and m.incident.trigger == "switchover"
            old_job = Job.REJOINING if planned else kept_out_by(proof)
            return _confirmed(m, old_job, primary, confirmed, now)
        case Starting():
            return incident_over(_superseded(m))
        case Watching() if m.memory.primary is None:
            return _identified(m)
        case Watching() | Blocked(returns_to=None):
            return incident_over(_left_down(m))
        case _:
            return m


def _confirmed(
    m: Machine, old_job: Job, primary: NodeName, confirmed: Confirmed, now: Now
) -> Machine:
    """The candidate is the primary now; the old one is quarantined, the others follow nobody."""
    old = m.memory.primary
    jobs = {n: j for n, j in m.jobs.items() if n != primary}
    for standby in m.saved:
        if standby != primary and not m.kept_out(standby):
            jobs[standby] = NodeJob(Job.REPOINTING, m.epoch, said=_why_down(m, standby))
    if old is not None and old != primary:
        jobs[old] = NodeJob(old_job, m.epoch)
    jobs[primary] = NodeJob(Job.EQUIPPING, m.epoch)
    memory = replace(
        forgetful(m.memory),
        primary=primary,
        primary_since=now.monotonic,
        timeline=confirmed.timeline,
        promise=None,
        slots=(),
        slots_owed=m.memory.slots,
        seen_healthy=True,
    )
    day_ago = WallTime(now.wall - 86400)
    trigger = "" if m.incident is None else m.incident.trigger
    recent = tuple(at for at in m.failovers if at > day_ago)
    return replace(
        m,
        view=seen_since(m.view, now.monotonic),
        memory=memory,
        jobs=jobs,
        targets=all_owed(m.targets),
        synchronous=None,
        # What was planned and lost nothing is no reason to wait with the next failover.
        last_confirmed=m.last_confirmed if trigger == "switchover" else now.wall,
        failovers=(*recent, now.wall) if trigger == "automatic" else recent,
    )


def _left_down(m: Machine) -> Machine:
    """Stopped by us and frozen still, where the old primary goes on: nobody else says why."""
    given_up = () if m.incident is None else m.incident.given_up
    for node in given_up:
        if node in m.saved and node not in m.jobs:
            m = m.owing(node, NodeJob(Job.OWED_THAW, m.epoch, said=_why_down(m, node)))
    return m


def _why_down(m: Machine, node: NodeName) -> str:
    given_up = () if m.incident is None else m.incident.given_up
    return asked_in_vain(node) if node in given_up else ""


def incident_over(m: Machine) -> Machine:
    nobody = frozenset[NodeName]()
    m = replace(m, incident=None, asked=nobody, asked_at=None, frozen_by_others=nobody)
    return unsure(m)


def unsure(m: Machine) -> Machine:
    """The old primary may have written since somebody was asked to promote."""
    return m if m.asked_loss is None else replace(m, asked_loss=None, asked_end=None)


def _superseded(m: Machine) -> Machine:
    """Somebody else has made another primary; whoever was fenced or asked is none."""
    fenced = {n for n, j in m.jobs.items() if j.job is Job.OWED_UNGUARD} | m.asked
    old = {m.memory.primary} - {None, *fenced}
    jobs = {
        **m.jobs,
        **{n: NodeJob(Job.QUARANTINED, m.epoch) for n in fenced},
        **{n: _superseded_on(m, n, m.memory.timeline) for n in old if n is not None},
    }
    # Remembered also where the new one is out of sight before it was adopted.
    found = sole_writable(m.view, m.memory)
    server = m.view.report(found).server if found is not None else None
    seen = m.memory.timeline if server is None else server.timeline
    timeline = Timeline(max(m.memory.timeline, seen))
    return replace(m, memory=replace(m.memory, primary=None, timeline=timeline), jobs=jobs)


def _identified(m: Machine) -> Machine:
    """The only writable node is the primary."""
    name = sole_writable(m.view, m.memory)
    if name is None:
        return m
    identified = _identified_as(m, name, Instant(0.0))
    highest = Timeline(max(m.memory.timeline, identified.memory.timeline))
    return replace(identified, memory=replace(identified.memory, timeline=highest))


def _identified_as(m: Machine, name: NodeName, since: Instant) -> Machine:
    """It is the primary, on its own timeline, whatever was known before."""
    report = m.view.report(name)
    server = report.server
    if server is None:
        return m
    memory = replace(
        forgetful(m.memory),
        primary=name,
        primary_since=since,
        system_identifier=server.system_identifier,
        timeline=server.timeline,
        version=server.version,
        seen_healthy=False,
        promise=None,
    )
    others = {*writers(m.view, m.memory), m.memory.primary} - {name, None}
    told = {n: _superseded_on(m, n, m.memory.timeline) for n in others if n is not None}
    jobs = {n: j for n, j in {**told, **m.jobs}.items() if n != name}
    return replace(m, view=seen_since(m.view, since), memory=memory, jobs=jobs)


def _superseded_on(m: Machine, node: NodeName, timeline: Timeline) -> NodeJob:
    """What was owed to it stands; else it is remembered on which timeline it was replaced."""
    server = m.view.report(node).server
    on = timeline if server is None or server.in_recovery else server.timeline
    return m.jobs.get(node) or NodeJob(Job.SUPERSEDED, m.epoch, timeline=on)


def seen_since(view: ClusterView, instant: Instant) -> ClusterView:
    """Without rounds that began before it: they saw another cluster."""
    if all(report.began_at >= instant for report in view.nodes.values()):
        return view
    nodes = {name: report for name, report in view.nodes.items() if report.began_at >= instant}
    return replace(view, nodes=nodes)
