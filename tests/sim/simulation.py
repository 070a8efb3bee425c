"""One run: a seed, a cluster, trouble, its end, and what must come of it."""

from __future__ import annotations

import dataclasses
import random
from collections import Counter
from dataclasses import dataclass, field, replace

from failoverd.core.jobs import TO_FOLLOW, Job
from failoverd.core.leadership import SHORTEST_TTL_S
from failoverd.core.model import NodeName
from failoverd.core.policy import (
    Choice,
    DeadManPolicy,
    Mode,
    NodePolicy,
    Policy,
    TargetName,
    TargetPolicy,
)
from failoverd.core.states import Blocked, BlockReason, Suspect, Watching, name_of
from failoverd.daemon.course import Ask, Saw
from tests.sim.applications import writes, writes_by
from tests.sim.daemon import Daemon
from tests.sim.faults import (
    Fault,
    Stage,
    befall,
    drawn,
    drawn_beside,
    drawn_of_followers,
    drawn_of_leases,
    over_at,
    shorter,
)
from tests.sim.invariants import Broken, Invariants
from tests.sim.kernel import Kernel, Steps
from tests.sim.postgres import FOREIGN_SYSTEM, Host, Server, SyncNames
from tests.sim.store import Store
from tests.sim.ways import Way
from tests.sim.world import World

BOUND_S = 90.0
"""After the last fault is over: by then one confirmed primary, or a reason that is true."""
NAMES = tuple(NodeName(name) for name in ("pg1", "pg2", "pg3"))


@dataclass(frozen=True, slots=True)
class Plan:
    """Everything that a seed decides beforehand."""

    seed: int
    faults: tuple[Fault, ...]
    policy: Policy
    sync: SyncNames | None
    agents: tuple[str, ...]
    daemons: int
    rebuilds: bool
    foreign: bool
    rate_s: float
    small: bool = False
    """The last standby has lower settings than the primary."""
    recovery_s: float = 0.5
    lease_s: float = 0.0
    """Of a lease by which several daemons agree who leads; 0: there is none."""
    promotes_in: float | None = None
    """How long a promotion takes from its request on; None: now so, now so."""
    failovers: int | None = None
    """How many there must be, where that is certain."""
    by: float | None = None
    """And by when."""


def plan_of(seed: int) -> Plan:
    rng = random.Random(seed)
    faults = drawn(rng)
    three = rng.random() < 0.75
    names = NAMES if three else NAMES[:2]
    foreign = three and rng.random() < 0.06
    nodes = {
        name: NodePolicy(
            f"10.0.0.{n}",
            priority=rng.choice((100, 100, 50)),
            never=three and not foreign and name == "pg3" and rng.random() < 0.1,
        )
        for n, name in enumerate(names, 1)
    }
    policy = Policy(
        nodes=nodes,
        mode=rng.choices((Mode.AUTOMATIC, Mode.MANUAL, Mode.OBSERVE), (94, 4, 2))[0],
        cooldown_s=rng.choice((0.001, 5.0, 12.0)),
        max_per_day=rng.choice((1, 2, 10)),
        max_data_loss_bytes=rng.choice((0, 300, 16 << 20, 16 << 20, 16 << 20)),
        on_half_hung=rng.choice((Choice.WAIT, Choice.WAIT, Choice.FAILOVER)),
        half_hung_after_s=6.0,
        on_unwritable=rng.choice((Choice.WAIT, Choice.WAIT, Choice.FAILOVER)),
        recovery_limit_s=rng.choice((8.0, 300.0)),
    )
    others = names[1:]
    sync = rng.choice(
        (
            None,
            None,
            SyncNames(any_of=True, count=1, names=others),
            SyncNames(any_of=False, count=1, names=others),
            SyncNames(any_of=True, count=len(others), names=others),
        )
    )
    if policy.max_data_loss_bytes == 0 and sync is None and rng.random() < 0.7:
        sync = SyncNames(any_of=True, count=1, names=others)
    # Drawn from a source of their own: what came before them stays what it was.
    more = random.Random(seed * 104729 + 7)
    policy = replace(
        policy,
        synchronous_managed=more.random() < 0.15 and not foreign,
        synchronous_count=more.choice((1, 1, 2)),
        can_rejoin=more.random() < 0.5,
        rejoin_delay_s=more.choice((1.0, 20.0)),
    )
    beside = random.Random(seed * 15485863 + 11)
    if not foreign and beside.random() < 0.3:
        policy, faults = _with_more(policy, faults, beside)
    kinds = ("", "", "", "", "honest", "honest", "slow", "broken", "lying")
    plan = Plan(
        seed=seed,
        faults=faults,
        policy=policy,
        sync=None if foreign else sync,
        agents=tuple(rng.choice(kinds) for _ in names),
        daemons=2 if rng.random() < 0.2 else 1,
        rebuilds=rng.random() < 0.7,
        foreign=foreign,
        rate_s=rng.choice((0.1, 0.25, 0.6)),
        small=three and more.random() < 0.06,
    )
    return _with_a_lease(plan, beside)


WAY = TargetName("haproxy")


def _with_more(
    policy: Policy, faults: tuple[Fault, ...], rng: random.Random
) -> tuple[Policy, tuple[Fault, ...]]:
    """A dead-man, a way of the applications, or both; and more often than not trouble for them."""
    which = rng.choice(("dead-man", "way", "both"))
    if which != "way":
        policy = replace(policy, dead_man=DeadManPolicy(rng.choice((3.0, 5.0, 5.0, 12.0))))
    if which != "dead-man":
        way = TargetPolicy(closes=rng.random() < 0.6, pauses=rng.random() < 0.3)
        policy = replace(policy, targets={WAY: way})
    return policy, drawn_beside(rng) if rng.random() < 0.7 else faults


def _with_a_lease(plan: Plan, rng: random.Random) -> Plan:
    """Several daemons of which one leads; and what goes wrong between them and their store."""
    if plan.daemons > 1 or rng.random() > 0.15:
        return plan
    # Of followers from a source of their own, as above.
    more = drawn_of_followers(random.Random(plan.seed * 32452843 + 13), plan.faults)
    of_leases = drawn_of_leases(rng, plan.faults)
    faults = tuple(sorted((*plan.faults, *of_leases, *more), key=lambda f: f.at))
    ttl_s = rng.choice((SHORTEST_TTL_S, 5.0, 8.0))
    return replace(plan, daemons=rng.choice((2, 2, 3)), lease_s=ttl_s, faults=faults)


@dataclass(slots=True)
class Outcome:
    seed: int
    broken: str = ""
    story: list[tuple[float, str, str]] = field(default_factory=list[tuple[float, str, str]])
    failovers: int = 0
    seconds: float = 0.0
    turns: int = 0
    faults: Counter[str] = field(default_factory=Counter[str])
    states: set[str] = field(default_factory=set[str])
    ends: str = ""


class Simulation:
    def __init__(self, plan: Plan) -> None:
        self.plan = plan
        self.kernel = Kernel()
        rng = random.Random(plan.seed * 7919 + 1)
        names = tuple(plan.policy.nodes)
        hosts = {
            name: Host(name, Server(name), agent=a, recovery_s=plan.recovery_s)
            for name, a in zip(names, plan.agents, strict=True)
        }
        self.world = World(self.kernel, rng, hosts, promotes_in=plan.promotes_in)
        self.world.ways = {name: Way(name, names[0]) for name in plan.policy.targets}
        self._begin(hosts)
        self.world.store = Store(plan.lease_s, plan.seed) if plan.lease_s else None
        self.daemons: list[Daemon] = []
        self.invariants = Invariants(self.world, self.daemons, metrics=plan.seed % 10 == 0)
        for n in range(plan.daemons):
            self.kernel.at(0.3 * n, self._begin_daemon, n)
        stage = Stage(self.world, self.daemons)
        self.over = over_at(plan.faults)
        for fault in plan.faults:
            self.kernel.at(fault.at, befall, stage, fault, self.over)
        end = self.over + BOUND_S
        self.kernel.spawn(writes(self.world, "app default", plan.rate_s, end))
        self.kernel.spawn(writes(self.world, "app local", plan.rate_s * 2.5, end))
        for way in self.world.ways.values():
            self.kernel.spawn(writes_by(self.world, way, f"app {way.name}", plan.rate_s, end))
        self.kernel.at(self.over + 0.5, self._put_right)
        if plan.by is not None:
            self.kernel.at(plan.by, self._in_time)
        if plan.rebuilds:
            self.kernel.spawn(self._rebuilds())

    def _begin(self, hosts: dict[NodeName, Host]) -> None:
        primary, *standbys = hosts.values()
        primary.server.sync, primary.server.wal = self.plan.sync, [-3] * 5
        self.world.start(primary.name, by="its operator")
        for host in standbys:
            server = host.server
            server.standby_signal, server.conninfo = True, primary.name
            server.wal = list(primary.server.wal)
        if self.plan.small:
            standbys[-1].server.connections = 50
        if self.plan.foreign:
            stranger = standbys[-1].server
            stranger.system, stranger.wal = FOREIGN_SYSTEM, [-4] * 5000
        for host in standbys:
            self.world.start(host.name, by="its operator")

    def _begin_daemon(self, n: int) -> None:
        name = f"d{n + 1}"
        self.daemons.append(
            Daemon(name, self.world, self.plan.policy, self._checked, self.world.store)
        )

    def _checked(self, d: Daemon, due: Saw | Ask) -> None:
        if isinstance(due, Saw) and due.before.visit != due.after.visit:
            why = "" if due.entry is None else due.entry.sentence
            moved = f"{name_of(due.before.state)} -> {name_of(due.after.state)}"
            self.world.tell(d.name, f"{moved}: {why[:160]}")
        self.invariants.daemon(d, due)

    def _in_time(self) -> None:
        if self.invariants.failovers < (self.plan.failovers or 0):
            self.invariants.fail(f"no failover by {self.plan.by} s, and one must be")

    # People who put things right.

    def _put_right(self) -> None:
        """The trouble is over: what is dead and a standby by right is started again."""
        world = self.world
        world.tell("world", "the trouble is over")
        world.cut.clear()
        if world.store is not None:
            world.store.down = False
        world.slow.clear()
        for way in world.ways.values():
            way.down = False
        for host in world.hosts.values():
            host.paused = host.disk_full = host.ssh_broken = False
            host.answers_lost, host.slow_acts = 0, 0.0
            host.agent = "honest" if host.agent in ("slow", "broken", "lying") else host.agent
            server = host.server
            server.stopped = server.postmaster_stopped = server.slots_full = False
            server.role_broken = server.replay_paused = server.orphan = False
            if not host.up:
                world.power_on(host)
            elif not server.processes and server.standby_signal and server.marker is None:
                world.start(host.name, by="its operator")
            world.release(server)
        for d in self.daemons:
            d.journal_fails = False
            d.kills_at_write = 0
            d.come_back()

    def _rebuilds(self) -> Steps:
        """Now and then an operator makes standbys of whatever follows nobody."""
        world = self.world
        while True:
            yield 1.0
            ready = [d for d in self.daemons if d.alive]
            if not ready or not all(isinstance(d.machine.state, Watching) for d in ready):
                continue
            writers = [s for s in world.servers() if s.may_commit()]
            if len(writers) != 1 or any(d.machine.memory.primary != writers[0].name for d in ready):
                continue
            for host in world.hosts.values():
                owed = any(host.name in d.machine.jobs for d in ready)
                if host.server is writers[0] or not owed or not host.runs or host.disk_full:
                    continue
                if not world.both_ways(host.name, writers[0].name):
                    continue
                if world.now - host.rebuilt_at < 8.0:
                    continue
                host.rebuilt_at = world.now
                self._rebuilt(host, writers[0])

    def _rebuilt(self, host: Host, primary: Server) -> None:
        server = host.server
        self.world.tell(host.name, f"is rebuilt by its operator as a standby of {primary.name}")
        self.world.die(server)
        server.orphan = False
        server.wal, server.timeline = list(primary.wal), primary.timeline
        server.history, server.checkpoint = primary.history, max(0, len(primary.wal) - 1)
        server.standby_signal, server.marker = True, None
        server.slot, server.conninfo = "", primary.name
        server.by_hand = server.powered_off = False
        server.directory += 1
        host.kept_down = False
        self.world.start(host.name, by="its operator")

    # The run, and its end.

    def run(self) -> Outcome:
        outcome = Outcome(self.plan.seed, faults=Counter(f.kind for f in self.plan.faults))
        try:
            self.kernel.run_until(self.over + 3.0)
            while self.kernel.now < self.over + BOUND_S:
                self.kernel.run_until(self.kernel.now + 1.0)
                if self.nobody_leads() is None and not any(map(self.unsettled, self.daemons)):
                    break
            else:
                self._ends_in_order()
            wanted, found = self.plan.failovers, self.invariants.failovers
            if wanted is not None and wanted != found:
                self.invariants.fail(f"{found} failovers, and {wanted} must be")
        except AssertionError as broken:
            outcome.broken = str(broken) or repr(broken)
        except Exception as bug:  # noqa: BLE001 - whatever it is, the daemon would have fallen
            outcome.broken = f"{type(bug).__name__}: {bug}"
        outcome.story = self.world.story
        outcome.failovers = self.invariants.failovers
        outcome.seconds = self.kernel.now
        outcome.turns = sum(d.turns for d in self.daemons)
        outcome.states = self.invariants.states
        outcome.ends = " ".join(name_of(d.machine.state) for d in self.daemons if d.alive)
        return outcome

    def nobody_leads(self) -> str | None:
        """Of daemons that share a lease."""
        waits = self.world.store is not None and not any(d.alive for d in self.daemons)
        return "no daemon leads" if waits else None

    def unsettled(self, d: Daemon) -> str | None:
        """Why this daemon has not come to rest with one confirmed primary; None: it has."""
        if not d.alive and self.world.store is not None:
            return None
        m = d.machine
        if not isinstance(m.state, Watching):
            why = f" ({m.state.reason}: {m.state.why})" if isinstance(m.state, Blocked) else ""
            return f"{d.name} is {name_of(m.state)}{why}"
        writers = [
            s.name for s in self.world.servers() if s.may_commit() and s.system == self._system
        ]
        if writers != [m.memory.primary]:
            return f"{d.name} watches {m.memory.primary}, and {writers} take commits"
        led = {way.leads_to for way in self.world.ways.values()}
        if led - {m.memory.primary}:
            return f"{d.name} watches {m.memory.primary}, and applications are led to {led}"
        for host in self.world.hosts.values() if d.name not in self.invariants.forgot else ():
            job = m.jobs[host.name].job if host.name in m.jobs else None
            server = host.server
            frozen = server.slot.startswith("failoverd_frozen_") and server.postmaster
            if (
                frozen
                and server.recovery
                and job not in TO_FOLLOW
                and not self._kept_by_other(d, host)
            ):
                return f"{host.name} is frozen, and {d.name} owes it {job}"
            if job is Job.OWED_THAW and host.name not in m.saved:
                return f"{d.name} owes {host.name} a thaw, and has not frozen it"
            reached = host.runs and self.world.both_ways(d.name, host.name)
            if job is Job.OWED_GUARD and reached and d.policy.mode is Mode.AUTOMATIC:
                return f"{host.name} is within reach, and {d.name} has not guarded it"
            ours = server.standby_signal and server.marker is not None
            # Who follows the primary is its standby by right by now, whatever lies beside it.
            ours = ours and server.stream is None
            if ours and job is None and not self._kept_by_other(d, host):
                return f"{host.name} is guarded, and {d.name} owes it nothing"
        return None

    @property
    def _system(self) -> str:
        return self.world.servers()[0].system

    def _kept_by_other(self, d: Daemon, host: Host) -> bool:
        return any(host.name in o.machine.jobs for o in self.daemons if o is not d and o.alive)

    def _ends_in_order(self) -> None:
        waits = self.nobody_leads()
        if waits is not None:
            self.invariants.fail(f"after {BOUND_S:.0f} s without trouble: {waits}")
        for d in self.daemons:
            why = self.unsettled(d)
            if why is not None and not self._true_reason(d):
                self.invariants.fail(f"after {BOUND_S:.0f} s without trouble: {why}")

    def _true_reason(self, d: Daemon) -> bool:
        """Reasons to stand still that only a human can end, where the world bears them out."""
        m, world = d.machine, self.world
        if isinstance(m.state, Watching) and not world.lied and not self._turned_on_again():
            return False
        if world.hands or world.lied or any(s.powered_off for s in world.servers()):
            return True
        if d.policy.mode is not Mode.AUTOMATIC:
            return True
        if len(self.daemons) > 1 and world.store is None:
            # Two that know nothing of each other may wait for an operator (decision 11).
            return isinstance(m.state, Blocked | Suspect)
        primary = m.memory.primary
        if primary is None and not any(s.may_commit() for s in world.servers()):
            return True  # it has never known who the primary is: rule 15 says to wait
        if primary is not None and not self._calibrated(d, primary):
            return True  # its host's look has not seen this life of it: silence proves nothing
        if not isinstance(m.state, Blocked):
            return False
        match m.state.reason:
            case BlockReason.TOO_MANY_FAILOVERS | BlockReason.NEVER_SEEN_HEALTHY:
                return True
            case BlockReason.NO_CANDIDATE | BlockReason.LOSS_TOO_LARGE:
                return True
            case BlockReason.UNCONFIRMED:  # promoted, and dead before it was confirmed
                return not any(world.server(n).processes for n in m.asked)
            case _:
                return False

    def _turned_on_again(self) -> bool:
        return any(s.powered_off and s.processes for s in self.world.servers())

    def _calibrated(self, d: Daemon, name: NodeName) -> bool:
        known, host = d.machine.memory.calibrations.get(name), self.world.hosts[name]
        return known is not None and known.boot_id == f"{name}-{host.boot}"


def run(seed: int) -> Outcome:
    return Simulation(plan_of(seed)).run()


def run_plan(plan: Plan) -> Outcome:
    return Simulation(plan).run()


def shrunk(plan: Plan, tries: int = 200) -> Plan:
    """The fewest and shortest faults that still break the same rule."""
    rule = _rule(run_plan(plan).broken)
    while True:
        for fewer in shorter(plan.faults):
            tries -= 1
            smaller = replace(plan, faults=fewer)
            if _rule(run_plan(smaller).broken) == rule:
                plan = smaller
                break
            if tries <= 0:
                return plan
        else:
            return plan


def _rule(broken: str) -> str:
    """Without names and figures."""
    return " ".join(w for w in broken.split() if w.isalpha())[:60]


def told(outcome: Outcome, plan: Plan) -> str:
    """A run as a story: virtual time, who, what."""
    cluster = ", ".join(
        f"{f.name}={getattr(plan, f.name)}"
        for f in dataclasses.fields(plan)
        if f.name not in ("faults", "policy", "seed")
    )
    lines = [f"seed {plan.seed}: {outcome.broken or 'nothing was broken'}", cluster]
    lines += [f"  {fault}" for fault in plan.faults]
    lines += [f"{at:8.3f}  {who:<10} {what}" for at, who, what in outcome.story]
    return "\n".join(lines)


__all__ = ["Broken", "Outcome", "Plan", "plan_of", "run", "run_plan", "shrunk", "told"]
