"""One run: a seed, a cluster, trouble, its end, and what must come of it."""

from __future__ import annotations

import random
from collections import Counter
from dataclasses import dataclass, field

from failoverd.core.model import NodeName
from failoverd.core.states import name_of
from failoverd.daemon.course import Ask, Saw
from tests.sim.applications import writes, writes_by
from tests.sim.daemon import Daemon
from tests.sim.faults import Stage, befall, over_at
from tests.sim.invariants import Invariants
from tests.sim.kernel import Kernel
from tests.sim.plan import Plan, plan_of
from tests.sim.postgres import FOREIGN_SYSTEM, Host, Server
from tests.sim.repairs import all_is_mended, rebuilds
from tests.sim.rest import BOUND_S, Rest
from tests.sim.store import Store
from tests.sim.ways import Way
from tests.sim.world import World


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
        self.kernel.at(self.over + 0.5, all_is_mended, self.world, self.daemons)
        if plan.by is not None:
            self.kernel.at(plan.by, self._in_time)
        if plan.rebuilds:
            self.kernel.spawn(rebuilds(self.world, self.daemons))

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

    def run(self) -> Outcome:
        rest = Rest(self.world, self.daemons, self.invariants.forgot, self.invariants.fail)
        outcome = Outcome(self.plan.seed, faults=Counter(f.kind for f in self.plan.faults))
        try:
            self.kernel.run_until(self.over + 3.0)
            while self.kernel.now < self.over + BOUND_S:
                self.kernel.run_until(self.kernel.now + 1.0)
                if rest.settled:
                    break
            else:
                rest.ends_in_order()
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


def run(seed: int) -> Outcome:
    return Simulation(plan_of(seed)).run()


def run_plan(plan: Plan) -> Outcome:
    return Simulation(plan).run()
