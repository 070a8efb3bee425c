"""What a daemon believes and counts, held against what is true: also where no harm comes of it.

Most wrong beliefs are caught by a second rule before anything is done. Here they are caught by
themselves: a diagnosis that the world does not bear out, a round that should not have counted.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from failoverd.core.dead_man import FIRED
from failoverd.core.effects import Confirm, Effect, Fence, Promote, Salvage, Thaw, Unfence, Unguard
from failoverd.core.events import Observed, OperatorAdopts, Replied, Woke
from failoverd.core.jobs import Job
from failoverd.core.model import (
    FROZEN_SLOT,
    PROOF_LIFETIME_S,
    SPOKE,
    Guard,
    NodeName,
    NodeReport,
    Outcome,
)
from failoverd.core.policy import Mode
from failoverd.core.situation import Machine
from failoverd.core.states import (
    Blocked,
    Confirming,
    Electing,
    Fencing,
    Promoting,
    Reverting,
    Settling,
    Starting,
    Watching,
)
from failoverd.daemon.course import Saw
from tests.explore.asks import wrongly_asked
from tests.sim.postgres import Server
from tests.sim.reach import connect_outcome, held_outcome
from tests.sim.world import World

if TYPE_CHECKING:
    from tests.sim.daemon import Daemon

WHOSE_TIME_COUNTS = ("stopped", "hung", "unreachable")
ROUND_S = 4.0
"""A round of looks and the next one, where everything times out."""
LATELY_S = 1.5
BACK_S = 15.0
WAY_BACK_S = 40.0
"""Of one attempt: whatever it asks for has been answered, and the next one is due."""
OF_ONE_VISIT = (Fence, Salvage, Promote, Confirm, Unfence)


@dataclass(slots=True)
class Heard:
    """How one daemon's rounds of its primary went, counted from its looks alone."""

    last: tuple[int, NodeName, int] | None = None
    silent_rounds: int = 0
    heard_at: float = 0.0


@dataclass(slots=True)
class Beliefs:
    world: World
    fail: Callable[[str], None]
    of: dict[str, Heard] = field(default_factory=dict[str, Heard])
    lives_seen: set[tuple[str, NodeName, int]] = field(
        default_factory=set[tuple[str, NodeName, int]]
    )
    """Boots in which a daemon could see server and host together."""
    answered_at: dict[tuple[str, NodeName], float] = field(
        default_factory=dict[tuple[str, NodeName], float]
    )
    host_at: dict[tuple[str, NodeName], float] = field(
        default_factory=dict[tuple[str, NodeName], float]
    )
    """When its host was last within reach."""
    unheard_at: dict[tuple[str, NodeName], float] = field(
        default_factory=dict[tuple[str, NodeName], float]
    )
    proved: set[tuple[str, int]] = field(default_factory=set[tuple[str, int]])
    """Of each daemon, the epochs in which it has had a fence proved."""

    def came_back(self, d: Daemon) -> None:
        """Who was fenced, takes writes again and is within reach, is fenced once more.

        And a way back comes to its end.
        """
        now, m = self.world.now, d.machine
        if isinstance(m.state, Reverting) and now + d.clock_offset - m.entered_at > WAY_BACK_S:
            self.fail(f"{d.name} does not come to the end of its way back: {m.state.why}")
        if not m.jobs and not self.back_since:
            return
        at_rest = isinstance(m.state, Watching) or (
            isinstance(m.state, Blocked) and m.state.returns_to is None
        )
        able = at_rest and d.policy.mode is Mode.AUTOMATIC and not self.world.slow
        for name in self.world.hosts:
            server, key = self.world.server(name), (d.name, name)
            fenced = able and name in m.jobs and m.jobs[name].job is Job.QUARANTINED
            # Of one on the present timeline nobody knows by that alone which of the two is stale.
            fenced = fenced and server.timeline < m.memory.timeline and server.may_commit()
            if not fenced or now - self.host_at.get(key, -9.0) >= LATELY_S:
                if self.back_since:
                    self.back_since.pop(key, None)
            elif now - self.back_since.setdefault(key, now) > BACK_S:
                self.fail(f"{name} was fenced by {d.name}, takes writes again, and is left alone")

    def receivers(self) -> list[tuple[NodeName, NodeName]]:
        """Each standby that receives now, and from whom."""
        world, now = self.world, self.world.now
        return [
            (s.name, s.stream.upstream)
            for s in world.servers()
            if s.stream is not None
            and now - s.stream.heard_at < LATELY_S
            and world.streams(s, world.server(s.stream.upstream))
        ]

    def sample(
        self,
        d: Daemon,
        outcomes: Mapping[NodeName, Outcome],
        receivers: list[tuple[NodeName, NodeName]],
    ) -> None:
        """Heard is whoever a standby receives from that this daemon reaches."""
        now, ok = self.world.now, Outcome.OK
        heard = {upstream for standby, upstream in receivers if outcomes[standby] is ok}
        for name, host in self.world.hosts.items():
            key, answers = (d.name, name), outcomes[name] is ok or self.holds(d, name)
            if answers:
                self.answered_at[key] = now
            if host.runs and not host.ssh_broken and self.world.both_ways(d.name, name):
                self.host_at[key] = now
                if answers:
                    self.lives_seen.add((d.name, name, host.boot))
            if name not in heard:
                self.unheard_at[key] = now

    back_since: dict[tuple[str, NodeName], float] = field(
        default_factory=dict[tuple[str, NodeName], float]
    )

    # What it makes of a look.

    def saw(self, d: Daemon, due: Saw) -> None:
        before, after, event = due.before, due.after, due.event
        match event:
            case Observed():
                self._counted(d, before, after, event)
                self._promise_changes(d, before, after)
                if after.memory.primary is not None and after.diagnosis is not None:
                    self._said(d, after, after.memory.primary)
            case Replied(effect=Thaw(node=node)) if {*before.saved} - {*after.saved, node}:
                self.fail(f"{d.name} thaws {node}, and forgets whom else it has frozen")
            case Replied(visit=visit, effect=effect) if visit < before.visit:
                if isinstance(effect, OF_ONE_VISIT) and after.state != before.state:
                    self.fail(f"{d.name} believes an answer to an earlier {type(effect).__name__}")
            case _:
                pass
        self._moved(d, due)
        name, by_order = after.memory.primary, isinstance(event, OperatorAdopts)
        if name is not None and name != before.memory.primary and not by_order:
            timeline = self.world.server(name).timeline
            if timeline < before.memory.timeline:
                self.fail(
                    f"{d.name} adopts {name} on timeline {timeline}, and has seen a later one"
                )
            beside = self._seen_writing(before, {name}, -1.0) if before.view.nodes else []
            if beside and before.memory.primary is None:
                self.fail(f"{d.name} adopts {name}, and has seen {beside} take writes")
        by_itself = isinstance(event, Observed | Woke | Replied)
        left = isinstance(before.state, Starting) and not isinstance(after.state, Starting)
        if by_itself and left and not all(after.view.report(n).round for n in d.policy.nodes):
            self.fail(f"{d.name} decides before it has looked at every node")

    def _moved(self, d: Daemon, due: Saw) -> None:
        """From one state to the next, by a proof or by a look."""
        before, after = due.before.state, due.after.state
        proved = isinstance(before, Fencing) and isinstance(after, Electing | Promoting)
        if proved:
            self.proved.add((d.name, due.after.epoch))
        if proved and due.after.entered_at - after.proof.proved_at > PROOF_LIFETIME_S:
            self.fail(f"{d.name} goes on by a proof that is too old")
        if isinstance(before, Confirming) and isinstance(after, Settling):
            m = due.before
            ours = {before.candidate, *m.asked, *({m.memory.primary} - {None})}
            beside = self._seen_writing(m, ours, before.proof.proved_at)
            if beside:
                self.fail(
                    f"{d.name} confirms {before.candidate}, and has seen {beside} take writes"
                )
            self._guarded(d, due.after, m.memory.primary)
        waits = isinstance(before, Blocked) and isinstance(before.returns_to, Fencing)
        if (
            waits
            and isinstance(after, Fencing | Reverting)
            and isinstance(due.event, Observed | Woke)
        ):
            look = due.after.primary_report.began_at
            if isinstance(before, Blocked) and look < before.since:
                self.fail(f"{d.name} goes on by a look from before its fence failed")

    def _promise_changes(self, d: Daemon, before: Machine, after: Machine) -> None:
        """What was in force holds until something else is, or the names are gone."""
        was, now = before.memory.promise, after.memory.promise
        if before.memory.primary != after.memory.primary or was is None or now is None:
            return
        if was.kept is not None and now.kept is None and not (was.void or now.void):
            self.fail(f"{d.name} forgets what was promised under {was.kept.standby_names}")

    def _guarded(self, d: Daemon, after: Machine, old: NodeName | None) -> None:
        """Whoever is said to be quarantined has a guard, so that it cannot start as a primary."""
        if old is None or old not in after.jobs or self.world.hands or self.world.lied:
            return
        if after.jobs[old].job is Job.QUARANTINED and self.world.server(old).marker is None:
            self.fail(f"{d.name} counts {old} as quarantined, and no guard lies there")

    def _counted(self, d: Daemon, before: Machine, after: Machine, event: Observed) -> None:
        name = after.memory.primary
        if name is None or name != before.memory.primary:
            return
        report = event.view.report(name)
        if report.began_at <= after.memory.primary_since or not report.round:
            return
        spoilt = report.ours or event.view.our_network_down or bool(event.view.journal_failing)
        spoilt = spoilt or bool(d.journal_failing)
        counted = after.memory.failed_rounds
        if spoilt and counted > before.memory.failed_rounds:
            self.fail(f"{d.name} counts a round that it spoilt itself against {name}")
        if spoilt and after.diagnosis is not None and after.diagnosis != "blind":
            self.fail(f"{d.name} says {after.diagnosis} of a round that it spoilt itself")
        if not spoilt and report.heard and counted:
            self.fail(f"{d.name} counts a round in which {name} answered")
        known = self.of.setdefault(d.name, Heard())
        this = (d.restarts, name, report.round)
        if spoilt or this == known.last:
            return
        known.silent_rounds = 0 if report.heard else known.silent_rounds + 1
        known.last = this
        spoke = [k.ended_at for k in (report.held, report.fresh) if k.outcome in SPOKE]
        if spoke:
            known.heard_at = max(spoke) - d.clock_offset

    def _said(self, d: Daemon, m: Machine, name: NodeName) -> None:
        report, said = m.view.report(name), m.diagnosis
        if said in ("crashed", "stopped"):
            self._dead(d, m, report)
        if said == "demoted" and report.host.look.ok and report.host_of_now:
            facts = report.host.facts
            if facts is not None and facts.guard is Guard.OURS:
                self.fail(f"{d.name} says that {name} was demoted, and it is under our own guard")
        if said in ("unreachable", "hung"):
            self._silent(d, report)

    def _dead(self, d: Daemon, m: Machine, report: NodeReport) -> None:
        world, name = self.world, report.name
        server, host = world.server(name), world.hosts[name]
        began, facts = report.began_at - d.clock_offset, report.host.facts
        if facts is not None and facts.dead_man == FIRED:
            return
        if server.processes and server.started_at < began:
            self.fail(f"{d.name} says that {name} is {m.diagnosis}, and its processes run")
        of_now = facts is not None and facts.boot_id == f"{name}-{host.boot}"
        if of_now and (d.name, name, host.boot) not in self.lives_seen:
            self.fail(f"{d.name} says that {name} is {m.diagnosis}, by a look never calibrated")
        for other in m.view.others(name):
            stream = world.server(other.name).stream
            if other.server is None or stream is None or stream.upstream != name:
                continue
            if stream.heard_at < min(began, other.server.seen_at - d.clock_offset):
                self.fail(
                    f"{d.name} says that {name} is {m.diagnosis}, and {other.name} streams from it"
                )

    def _silent(self, d: Daemon, report: NodeReport) -> None:
        world, name, said = self.world, report.name, "cannot be reached"
        if world.slow:
            return
        others = [n for n in world.hosts if n != name]
        lately = world.now - ROUND_S
        if report.host.look.ok:
            return
        now = [n for n in others if self._answers(d, n)]
        if not now and not any(self.answered_at.get((d.name, n), -9.0) > lately for n in others):
            self.fail(f"{d.name} says that {name} {said}, and no standby answers")
        silent_s = world.now - self.of[d.name].heard_at if d.name in self.of else 0.0
        hosts = [world.hosts[n] for n in others if world.both_ways(d.name, n)]
        could = any(host.runs and not host.ssh_broken for host in hosts)
        tried = could or any(self.host_at.get((d.name, n), -9.0) > lately - 2 for n in others)
        if not tried and silent_s < 55.0:
            self.fail(f"{d.name} says that {name} {said}, and nobody else could try")

    def _answers(self, d: Daemon, name: NodeName) -> bool:
        return connect_outcome(self.world, d.name, name) is Outcome.OK or self.holds(d, name)

    def holds(self, d: Daemon, name: NodeName) -> bool:
        """Whoever lets nobody new in (no slot left, shutting down) answers in a held session."""
        session = None if d.life is None else d.life.rounds.held(name)
        return held_outcome(self.world, d.name, name, session) is Outcome.OK

    # Before it acts.

    def begins(self, d: Daemon, m: Machine, primary: NodeName) -> None:
        """A failover; `automatic` ones have waited as long as they must."""
        incident = m.incident
        assert incident is not None
        beside = self._seen_writing(m, {primary}, -1.0)
        if beside:
            self.fail(f"{d.name} begins a failover, and has seen {beside} take writes")
        for report in m.view.nodes.values():
            facts, server = report.host.facts, report.server
            frozen = server is not None and server.primary_slot_name.startswith(FROZEN_SLOT)
            if frozen and server is not None and server.in_recovery and report.name not in m.saved:
                self.fail(
                    f"{d.name} begins a failover, and has seen {report.name} frozen by others"
                )
            if facts is not None and facts.epoch >= incident.epoch:
                self.fail(f"{d.name} takes epoch {incident.epoch}, which {report.name} has seen")
        if incident.trigger != "automatic" or incident.diagnosis not in WHOSE_TIME_COUNTS:
            return
        known, waits = self.of.setdefault(d.name, Heard()), d.policy.threshold_s
        if known.silent_rounds < d.policy.failures:
            self.fail(f"{d.name} begins after {known.silent_rounds} failed rounds of {primary}")
        if self.world.now - known.heard_at < waits - 0.01:
            passed = self.world.now - known.heard_at
            self.fail(f"{d.name} begins {passed:.2f} s after {primary} has answered")

    def asks(self, d: Daemon, effect: Effect) -> None:
        m = d.machine
        wrong = wrongly_asked(m, effect, d.monotonic())
        if wrong is not None:
            self.fail(f"{d.name}: {wrong}")
        if isinstance(effect, Unguard | Unfence):
            beside = self._seen_writing(m, {effect.node, *({m.memory.primary} - {None})}, -1.0)
            if beside:
                self.fail(f"{d.name} gives {effect.node} back, and has seen {beside} take writes")
        if not isinstance(effect, Promote):
            return
        proof, candidate = effect.proof, effect.candidate
        beside = self._seen_writing(m, {candidate, *m.asked}, proof.proved_at)
        if beside:
            self.fail(f"{d.name} asks {candidate} to promote, and has seen {beside} take writes")

    def _seen_writing(self, m: Machine, but: set[NodeName], since: float) -> list[NodeName]:
        return [
            r.name
            for r in m.view.nodes.values()
            if r.name not in but
            and r.writable
            and r.server is not None
            and r.server.seen_at > since
            and r.server.system_identifier == m.memory.system_identifier
        ]

    def stops(self, d: Daemon, server: Server) -> None:
        """What was found dead is left alone where it has been started since.

        Not what had been fenced in this incident: it runs under our guard by then, and a hand that
        takes the guard away after the last look is met by a fence of that.
        """
        state = d.machine.state
        if not isinstance(state, Fencing) or state.attempt or d.machine.asked:
            return
        if server.by_hand and (d.name, d.machine.epoch) in self.proved:
            return
        laid = self.world.now if server.marker is None else server.marker[2]
        dead = state.incident.diagnosis in ("crashed", "stopped")
        if dead and server.postmaster and server.started_at < laid and not server.stopped:
            self.fail(f"{d.name} stops {server.name}, which was started again")
