"""What must hold at every moment, by the true state of the world: design rules, not their code.

Nothing here diagnoses or elects: it knows what is true, and compares with what was done.
"""

from __future__ import annotations

from dataclasses import replace

from failoverd.core.asked import asks
from failoverd.core.dead_man import Phase
from failoverd.core.effects import DisarmDeadMan, MeasureDivergence, Promote, StopMode
from failoverd.core.events import Observed, OperatorAcknowledges, OperatorFailover
from failoverd.core.leadership import parted
from failoverd.core.model import ClusterView, Instant, NodeName
from failoverd.core.policy import Choice, Mode
from failoverd.core.restart import restored
from failoverd.core.situation import Machine
from failoverd.core.states import Confirming, Fencing, Paused, Settling, name_of
from failoverd.daemon.course import Ask, Saw
from failoverd.observability.metrics import Metrics
from failoverd.record.codec import loads
from tests.sim.act import Act
from tests.sim.beliefs import Beliefs
from tests.sim.candidates import fits
from tests.sim.daemon import Daemon
from tests.sim.dead_men import DeadMen
from tests.sim.failovers import Failovers, Known
from tests.sim.led import Led
from tests.sim.losses import Losses
from tests.sim.onlookers import Onlookers
from tests.sim.postgres import Host, Server
from tests.sim.reach import connect_outcome
from tests.sim.sights import Sights
from tests.sim.watcher import Watcher
from tests.sim.ways import Way
from tests.sim.world import Acknowledged, World

SAMPLE_S = 0.1
HEARD_S = 3.0
"""After it has spoken for that long a daemon has heard it."""


class Broken(AssertionError):  # noqa: N818 - what happened
    """A rule was broken; the message says which one and how."""


class Invariants:
    def __init__(self, world: World, daemons: list[Daemon], *, metrics: bool) -> None:
        self.world = world
        self.daemons = daemons
        self.known: dict[str, Known] = {}
        self.promoted: NodeName | None = None
        """By a daemon, and the last one."""
        self.led = Led(world, self.fail)
        self.losses = Losses(world, self.fail)
        self.dead_men = DeadMen(world, self.fail)
        self.sights = Sights(world)
        self.beliefs = Beliefs(world, self.fail)
        self.begun = Failovers(world, self.fail, self.sights, self.beliefs, self.losses)
        self.onlookers = Onlookers(world, self.fail, daemons)
        self.failovers = 0
        self.forgot: set[str] = set()
        """Whose journal was lost, and with it what they owed."""
        self.states: set[str] = set()
        self.metrics = Metrics() if metrics else None
        world.checks.append(self.happened)
        world.kernel.after(SAMPLE_S, self._sample)

    def fail(self, what: str) -> None:
        self.world.tell("invariant", what)
        raise Broken(what)

    def of(self, d: Daemon) -> Known:
        name = d.name if d.store is None else "all"
        known = self.known.get(name)
        if known is None:
            known = self.known[name] = Known()
        return known

    # Sampled: since when each daemon could see each node well.

    def _sample(self) -> None:
        world = self.world
        world.timed_out_streams()
        self.onlookers.sample()
        receivers = self.beliefs.receivers()
        for d in self.daemons:
            alive, saw_well = d.alive, self.of(d).saw_well
            if alive:
                self.beliefs.came_back(d)
                self.dead_men.sample(d)
                self.led.sample(d)
            outcomes = {name: connect_outcome(world, d.name, name) for name in world.hosts}
            self.sights.sample(d.name, outcomes, saw_well, alive=alive)
            self.beliefs.sample(d, outcomes, receivers)
        world.kernel.after(SAMPLE_S, self._sample)

    # What happens in the world.

    def happened(self, what: str, about: object) -> None:
        match what, about:
            case "acknowledged", (Acknowledged(), Server() as server):
                self._one_acknowledges(server)
            case "wrote", Server() as server:
                self.begun.wrote_at[server.name] = self.world.now
            case "promoted", Server() as server:
                self._promoted(server)
            case "asked", (Server() as server, Promote() as effect, Daemon() as d):
                self._asked(server, effect, d)
            case "stopping", (Server() as server, Act() as act):
                self._stopping(server, act)
            case "freezing", (Server(), Act() as act):
                self._freezing(act)
            case "starting", Server() as server:
                self._started_again(server)
            case "died", Server() as server:
                self.sights.died_at[server.name] = self.world.now
                for d in self.daemons:
                    d.session_died(server.name)
            case "forgot", Daemon() as d:
                self.known.pop(d.name, None)
                self.forgot.add(d.name)
            case "asked twice", (Daemon() as d, effect):
                self.fail(f"{d.name} asks for what is under way: {effect}")
            case "falsely vouched", (Daemon() as d, node, None):
                if self.world.now - self.sights.silent_at.get((d.name, node), 0.0) > HEARD_S:
                    self.fail(f"{d.name} takes a word for {node}, which answers it")
            case _:
                self._beside(what, about)

    def _beside(self, what: str, about: object) -> None:
        """Of dead-men and of the applications' ways."""
        match what, about:
            case "expired", (Server() as server, Daemon() as d):
                self.dead_men.counted_as_expired(d, server, excused=self._not_ours(server))
            case "fired", (Host() as host, Watcher() as watcher):
                self.dead_men.fires(host, watcher)
            case "acts", Act() as act:
                self._acts(act)
            case "redirected", (Way() as way, Daemon() as d):
                excused = self.world.hands or self.world.lied or self.independent
                if not excused:
                    self.led.redirected(way, d, self.promoted)
            case _:
                pass

    def _writers(self, but: Server) -> list[NodeName]:
        """Who else could acknowledge a commit, and is not excused by hands or a lying agent."""
        return [
            s.name
            for s in self.world.servers()
            if s is not but and s.may_commit() and s.system == but.system and not self._not_ours(s)
        ]

    def _not_ours(self, server: Server) -> bool:
        return server.by_hand or server.powered_off or self.world.lied

    def _one_acknowledges(self, server: Server) -> None:
        other = self.promoted
        if other is None or other == server.name or self._not_ours(server):
            return
        self.fail(f"{server.name} acknowledges a commit although {other} was promoted")

    def _promoted(self, server: Server) -> None:
        if server.by_hand:
            return
        writers = self._writers(server)
        if writers:
            self.fail(f"{server.name} was promoted, and {writers} can take commits")
        old = next((d.machine.memory.primary for d in self.daemons
                    if d.name == server.promoted_by and d.alive), None)  # fmt: skip
        if old is not None and old != server.name:
            self.losses.promoted(self.world.server(old), server)
        self.promoted = server.name
        self.failovers += 1

    def _asked(self, server: Server, effect: Promote, d: Daemon) -> None:
        if self.independent:
            self._started_this_moment(server)
        writers = self._writers(server)
        if writers:
            self.fail(f"{d.name} asks {server.name} to promote, and {writers} can take commits")
        wrong = fits(self.world, server, effect, d, self.of(d).stood)
        if wrong is not None:
            self.fail(wrong)

    @property
    def independent(self) -> bool:
        """Two that know nothing of each other."""
        return len(self.daemons) > 1 and self.world.store is None

    def _acts(self, act: Act) -> None:
        """On a host, or by SQL: nobody does once a later term has begun."""
        store, term = self.world.store, parted(act.owner)[1]
        if store is not None and term < store.term:
            self.fail(f"{act.by} acts ({act.verb}) in term {term}, and {store.term} has begun")

    def _started_this_moment(self, but: Server) -> None:
        """By its operator, after the last look: of two that know of each other nobody would ask."""
        for server in self.world.servers():
            if (
                server is not but
                and server.may_commit()
                and self.world.now - server.started_at < 0.1
            ):
                server.by_hand = True

    def _stopping(self, server: Server, act: Act) -> None:
        """An automatic fence: never of what is well, never of what others hear (rule 4)."""
        d = next((d for d in self.daemons if d.name == act.by), None)
        if d is None or not d.alive or not server.may_commit():
            return
        key = (d.name, server.name)
        if server.name != d.machine.memory.primary or d.machine.asked:
            return
        by_policy = Choice.FAILOVER in (d.policy.on_half_hung, d.policy.on_unwritable)
        heard = act.began - self.beliefs.unheard_at.get(key, 0.0) > 5.0
        silent = self.sights.silent_at.get(key, 0.0)
        if heard and not by_policy and act.began - silent < 0.2:
            self.fail(f"{d.name} stops {server.name}, which a standby has heard all the time")
        if not act.automatic:
            return
        if act.verb != "agent":
            # A power switch is thrown when its slow agent comes to it.
            self.beliefs.stops(d, server)
        slow = max((*self.world.slow.values(), self.world.hosts[server.name].slow_acts, 0.0))
        if act.began - self.sights.bad_at.get(key, 0.0) > 0.45 + 2 * slow:
            self.fail(f"{d.name} stops {server.name}, which was well at the last look")
        patient = d.policy.recovery_limit_s > 60 and not by_policy
        if patient and act.began - silent > 3.5 + 2 * slow:
            self.fail(f"{d.name} stops {server.name}, which has answered all the time")

    def _freezing(self, act: Act) -> None:
        d = next((d for d in self.daemons if d.name == act.by), None)
        if d is None or not d.alive or d.machine.memory.primary is None:
            return
        primary = self.world.server(d.machine.memory.primary)
        fencing = isinstance(d.machine.state, Fencing) and d.machine.state.mode
        if fencing is not StopMode.DEAD_ONLY and fencing and not d.machine.asked:
            armed = d.machine.dead_man is not None and d.machine.dead_man.phase is Phase.ARMED
            reached = self.world.both_ways(d.name, primary.name)
            if armed and (not reached or d.machine.state.attempt):  # type: ignore[union-attr]
                return  # what keeps a standby from answering a dead-man is a part of the fence
            told = [a for a in self.world.acknowledged[-4:] if a.node == primary.name]
            serves = primary.may_commit() and not primary.stopped and self._runs(primary)
            if told and self.world.now - told[-1].at < 1.0 and serves:
                self.fail(f"{d.name} freezes a standby of {primary.name}, which serves")

    def _runs(self, server: Server) -> bool:
        return self.world.hosts[server.name].runs

    def _started_again(self, server: Server) -> None:
        """A daemon starts an old primary: a promotion of its own kind."""
        if server.standby_signal:
            return
        writers = self._writers(server)
        if writers:
            self.fail(f"{server.name} is started read-write, and {writers} can take commits")
        pending = [
            s.name for s in self.world.servers() if s.promote_at is not None and s.postmaster
        ]
        if pending and not self.world.hands:
            self.fail(f"{server.name} is started read-write, and {pending} is being promoted")
        self.promoted = server.name

    # What a daemon does.

    def daemon(self, d: Daemon, due: Saw | Ask) -> None:
        if isinstance(due, Ask):
            if due.effects:
                self._may_act(d, due)
            return
        before, after = due.before, due.after
        self.states.add(name_of(after.state))
        self.beliefs.saw(d, due)
        if isinstance(due.event, Observed):
            self.onlookers.saw(d, after, self.sights.silent_at)
        if self.metrics is not None:
            self._metric(d, due)
        known = self.of(d)
        known.stood.update((after.epoch, node) for node in after.frozen)
        if isinstance(due.event, OperatorAcknowledges):
            known.confirmed_at, known.automatic = None, 0
        if after.epoch < before.epoch:
            self.fail(f"{d.name}: the epoch goes back from {before.epoch} to {after.epoch}")
        if isinstance(after.state, Fencing) and before.incident is None:
            alone = not self.independent and not self.world.hands
            self.begun.begins(d, known, after, alone=alone)
        if isinstance(after.state, Settling) and isinstance(before.state, Confirming):
            self.begun.confirmed(d, known, before, after)
        if after.asked and before.asked - after.asked and isinstance(after.state, Fencing):
            return
        if isinstance(after.state, Paused) and after.incident is not None:
            self.fail(f"{d.name} is paused in the middle of a failover")
        if len(after.asked) > 1:
            self.fail(f"{d.name}: {sorted(after.asked)} were asked to promote in one incident")

    def _may_act(self, d: Daemon, ask: Ask) -> None:
        """Journal before effects; nothing where nothing may be done."""
        observes = d.policy.mode is Mode.OBSERVE and d.machine.incident is None
        # What a stale node alone holds is read in observe, too (docs/fencing.md): no act.
        harmless = DisarmDeadMan | MeasureDivergence if observes else DisarmDeadMan
        acts = [e for e in ask.effects if not isinstance(e, harmless)]
        if acts and (observes or isinstance(d.machine.state, Paused)):
            self.fail(f"{d.name} acts although it may not: {ask.effects}")
        for effect in ask.effects:
            self.beliefs.asks(d, effect)
        kept = None if d.journal is None else loads(Machine, d.journal)
        wanted = set(asks(d.machine, d.policy))
        written = kept is not None and self._durable(kept) == self._durable(d.machine)
        if not written or not wanted.issuperset(ask.effects):
            self.fail(f"{d.name} asks for {ask.effects} before the journal has it")

    def _durable(self, m: Machine) -> Machine:
        """What a restart begins from, without what belongs to one look."""
        of_now = restored(replace(m, view=ClusterView({})), Instant(0.0))
        memory = replace(of_now.memory, primary_lsn=None, primary_lsn_at=None, peak_wal_rate=0.0)
        return replace(of_now, memory=memory)

    def _metric(self, d: Daemon, due: Saw) -> None:
        assert self.metrics is not None
        known = self.of(d)
        if not known.state_metric:
            self.metrics.seed(d.name, d.policy, {})
        self.metrics.stepped(d.name, due.before, due.event, due.after, d.now(), d.policy)
        known.state_metric = "seeded"
        if d.journaled is None or due.entry is None:
            return
        gauge = self.metrics._all.state
        shown = [s for s in ("fencing", name_of(due.after.state), "watching")
                 if gauge.labels(d.name, s).value == 1]  # fmt: skip
        journaled = name_of(d.journaled.state)
        if journaled not in shown:
            self.fail(f"{d.name}: the metric says {shown}, the journal {journaled}")


__all__ = ["Broken", "Invariants", "OperatorFailover"]
