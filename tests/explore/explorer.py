"""Breadth first through everything that can happen to a small cluster and its daemon.

A state is the machine, the world, what was last seen of it, the effects under way and
what may still go wrong. Two states that differ only in when they are reached, or in how
often something was tried, are one.
"""

from __future__ import annotations

import dataclasses
import enum
import functools
from collections import deque
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field, replace

from failoverd.core.arming import renewed
from failoverd.core.divergence import Counted
from failoverd.core.effects import (
    CloseTarget,
    Effect,
    Equip,
    Fence,
    MeasureDivergence,
    Promote,
    ReadSettings,
    Redirect,
    Salvage,
    Unfence,
)
from failoverd.core.events import (
    EffectFailed,
    Event,
    Now,
    Observed,
    OperatorAcknowledges,
    OperatorAdopts,
    OperatorFailover,
    OperatorFences,
    OperatorPause,
    OperatorResume,
    OperatorUnfences,
    OperatorVouches,
    Replied,
    Trigger,
    Woke,
)
from failoverd.core.jobs import Job, NodeJob
from failoverd.core.machine import step
from failoverd.core.memory import Memory
from failoverd.core.model import (
    ClusterView,
    Instant,
    Look,
    NodeName,
    Outcome,
    ProofKind,
    WalLoss,
    WallTime,
)
from failoverd.core.policy import Policy, TargetName, TargetPolicy
from failoverd.core.restart import restored
from failoverd.core.schedule import OperatorCancels, OperatorRejoins, OperatorSwitchover
from failoverd.core.situation import (
    Machine,
)
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
    Watching,
)
from failoverd.core.target import TargetJob, TargetReport
from failoverd.core.wal_answers import Salvaged
from failoverd.daemon.course import line_of
from tests.explore.world import (
    CLEAN,
    DEAD,
    FAILED,
    FREEZE,
    HUNG,
    SAID,
    UP,
    World,
    beginning,
    half_fenced,
    performed,
    policies,
    view_of,
)

BEGAN_AT = 1000.0
LONG = 31
PATIENCE_S = 2.0
"""By then an effect has answered, be it that it does not know."""


@dataclass(frozen=True, slots=True)
class Budget:
    """How often each kind of misfortune or order may still come."""

    crashes: int = 0
    hangs: int = 0
    cuts: int = 0
    """A node that we cannot reach any more, and that lives."""
    losses: int = 0
    """A node that nobody reaches any more, and that may go on for whoever is on its host."""
    restarts: int = 0
    """A dead, hung or cut-off node comes back by somebody else's hand."""
    standbys_lost: int = 0
    lost_answers: int = 0
    failures: int = 0
    kills: int = 0
    orders: frozenset[str] = frozenset()
    pauses: int = 0
    """Half a minute in which nothing is seen and nothing answers."""
    hands: int = 0
    """Somebody promotes or demotes a node behind our back."""


@dataclass(frozen=True, slots=True)
class Node:
    """A state of everything."""

    machine: Machine
    world: World
    seen: World
    """As of the last round of the primary."""
    seen_at: float
    under_way: tuple[tuple[int, Effect, float], ...]
    """What was asked for and not answered: at which visit, what, when."""
    answered: tuple[tuple[int, Effect], ...]
    now: float
    budget: Budget
    round: int
    hands_used: bool = False
    vouched: bool = False
    owner: int = 0
    """Which daemon this is, where there are two."""

    @property
    def clock(self) -> Now:
        return Now(Instant(self.now), WallTime(self.now))


class Broken(AssertionError):  # noqa: N818 - what happened
    """An invariant does not hold; says how it came to that."""


@dataclass(slots=True)
class Findings:
    states: int = 0
    steps: int = 0
    depth: int = 0
    transitions: set[tuple[type[State], type[State]]] = field(default_factory=set)
    sample: list[Node] = field(default_factory=list)


Check = Callable[[Node, Node], None]


def first(
    policy: Policy, budget: Budget, standbys: int, *, known: bool = True, agent: bool = False
) -> Node:
    """Everybody healthy, looked at and calibrated; or, not `known`, never looked at."""
    world = beginning(standbys, agent=agent)
    node = Node(Machine(), world, world, BEGAN_AT, (), (), BEGAN_AT, budget, 1)
    if not known:
        return node
    for _ in range(3):
        _, node = tick(node, policy)
    assert isinstance(node.machine.state, Watching)
    return node


def explore(
    policy: Policy,
    budget: Budget,
    check: Check,
    *,
    standbys: int = 2,
    limit: int = 1_000_000,
    sample_every: int = 197,
    known: bool = True,
    agent: bool = False,
) -> Findings:
    found = Findings()
    start = first(policy, budget, standbys, known=known, agent=agent)
    seen = {key(start)}
    queue = deque([(start, 0)])
    came_from: dict[int, tuple[int, str]] = {}
    while queue:
        node, depth = queue.popleft()
        found.states += 1
        found.depth = max(found.depth, depth)
        if found.states % sample_every == 1:
            found.sample.append(node)
        for what, after in moves(node, policy):
            found.steps += 1
            left = Starting if what == "kill" else type(node.machine.state)
            if type(after.machine.state) is not left:
                found.transitions.add((left, type(after.machine.state)))
            try:
                check(node, after)
            except AssertionError as error:
                raise Broken(f"{error}\n{story(came_from, id(node), what)}\n{after}") from error
            same = key(after)
            if same not in seen and len(seen) < limit:
                seen.add(same)
                came_from[id(after)] = (id(node), what)
                _KEPT.append(after)
                queue.append((after, depth + 1))
    _KEPT.clear()
    return found


_KEPT: list[Node] = []
"""Identities stay unique while their owners live."""


def story(came_from: Mapping[int, tuple[int, str]], at: int, last: str) -> str:
    told = [last]
    while at in came_from:
        at, what = came_from[at]
        told.append(what)
    return " -> ".join(reversed(told))


# What can happen next.


def moves(node: Node, policy: Policy) -> Iterator[tuple[str, Node]]:
    if any(isinstance(effect, FIRST) for _, effect in first_in_line(node)):
        yield from replies(node, policy)
        return
    if all(node.now - asked_at < PATIENCE_S for _, _, asked_at in node.under_way):
        yield tick(node, policy)
    if node.budget.pauses:
        budget = replace(node.budget, pauses=node.budget.pauses - 1)
        yield "31 s", replace(node, now=node.now + LONG, budget=budget)
    if node.world != node.seen and node.now - node.seen_at < 0.05:
        yield "standbys seen", stale(node, policy)
    yield from replies(node, policy)
    yield from faults(node)
    yield from expiries(node)
    yield from orders(node, policy)
    if node.budget.kills:
        yield from kills(node, policy)


def tick(node: Node, policy: Policy) -> tuple[str, Node]:
    """Time passes, to the next deadline or a second, and every node is looked at."""
    later = node.now + 1.0
    wake_at = wakes_at(node, policy)
    if wake_at is not None and wake_at > later and isinstance(node.machine.state, Blocked):
        later = wake_at
    seen = replace(node, now=later, seen=node.world, seen_at=later, round=node.round + 1)
    return "seen", happens(seen, Observed(view(seen), ways(seen)), policy)


def wakes_at(node: Node, policy: Policy) -> float | None:
    return step(node.machine, Woke(), node.clock, policy).wake_at


def stale(node: Node, policy: Policy) -> Node:
    """The standbys are looked at, while the primary's look is still under way."""
    seen = replace(node, now=node.now + 0.1)
    fresh = view_of(seen.world, Instant(seen.now), seen.machine.memory.primary, seen.round)
    primary = seen.machine.memory.primary
    nodes = dict(fresh.nodes)
    if primary is not None:
        nodes[primary] = view(seen).nodes[primary]
    return happens(seen, Observed(ClusterView(nodes), ways(seen)), policy)


def view(node: Node) -> ClusterView:
    return view_of(node.seen, Instant(node.seen_at), node.machine.memory.primary, node.round)


def ways(node: Node) -> dict[TargetName, TargetReport]:
    """Where the applications' way leads, looked at as often as the nodes."""
    look = Look(Outcome.OK, Instant(node.now), Instant(node.now))
    nodes = frozenset({NodeName(node.seen.leads_to)} if node.seen.leads_to else ())
    return {name: TargetReport(name, look, nodes) for name in node.machine.targets}


def happens(node: Node, event: Event, policy: Policy) -> Node:
    """The supervisor in a few lines: step, forget what was asked and is not wanted any more, ask.

    What is under way on a standby's settings is not asked for twice.
    """
    decided = step(node.machine, event, node.clock, policy)
    while counts := [e for e in decided.effects if isinstance(e, MeasureDivergence)]:
        # It reads what no act changes, and commutes with everything: answered at once.
        _, result = performed(node.world, counts[0], Instant(node.now))
        counted = Replied(decided.machine.visit, counts[0], result)
        decided = step(decided.machine, counted, node.clock, policy)
    visit = decided.machine.visit
    wanted = {(visit, e) for e in decided.effects}
    answered = tuple(key for key in node.answered if key in wanted)
    asked = {*((v, e) for v, e, _ in node.under_way), *answered}
    going_on = {e for _, e, _ in node.under_way if line_of(e) is not None}
    new = tuple(
        (visit, e, node.now)
        for e in decided.effects
        if (visit, e) not in asked and e not in going_on
    )
    return replace(
        node, machine=decided.machine, under_way=(*node.under_way, *new), answered=answered
    )


FIRST = (ReadSettings, Equip)


def first_in_line(node: Node) -> list[tuple[int, Effect]]:
    """What may be answered next.

    A reading changes nothing, and only what comes after it on that node changes what it reads:
    it commutes with everything, and is answered first; so is what changes nothing here.
    (The one cut of the state space.)
    """
    taken: set[str] = set()
    found: list[tuple[int, Effect]] = []
    for visit, effect, _ in node.under_way:
        line = line_of(effect)
        if line is not None:
            if line in taken:
                continue
            taken.add(line)
        found.append((visit, effect))
    readings = [(v, effect) for v, effect in found if isinstance(effect, FIRST)]
    return readings[:1] or found


def replies(node: Node, policy: Policy) -> Iterator[tuple[str, Node]]:
    for visit, effect in first_in_line(node):
        name = f"{type(effect).__name__} of {node_of(effect)}"
        armed = node.machine.dead_man
        world, result = performed(node.world, effect, Instant(node.now), armed, node.owner)
        done = answer(replace(node, world=world), visit, effect)
        yield (
            f"{name}: {type(result).__name__}",
            happens(done, Replied(visit, effect, result), policy),
        )
        if isinstance(result, EffectFailed):
            continue
        budget = node.budget
        if budget.lost_answers and world != node.world:
            lost = replace(done, budget=replace(budget, lost_answers=budget.lost_answers - 1))
            yield (
                f"{name}: done, answer lost",
                happens(lost, Replied(visit, effect, FAILED), policy),
            )
        if budget.failures:
            undone = answer(node, visit, effect)
            undone = replace(undone, budget=replace(budget, failures=budget.failures - 1))
            yield f"{name}: not done", happens(undone, Replied(visit, effect, FAILED), policy)
            if isinstance(effect, Salvage):
                lossy = Salvaged(WalLoss(1 << 30, True, "a gigabyte"), SAID)
                yield (
                    f"{name}: too much is lost",
                    happens(undone, Replied(visit, effect, lossy), policy),
                )
            if isinstance(effect, Fence):
                half = replace(undone, world=half_fenced(node.world, effect))
                yield f"{name}: half done", happens(half, Replied(visit, effect, FAILED), policy)


def answer(node: Node, visit: int, effect: Effect) -> Node:
    left = tuple(key for key in node.under_way if key[:2] != (visit, effect))
    return replace(node, under_way=left, answered=(*node.answered, (visit, effect)))


def node_of(effect: Effect) -> NodeName:
    match effect:
        case Fence(node=node) | ReadSettings(node=node) | Unfence(node=node):
            return node
        case _:
            name = getattr(effect, "node", getattr(effect, "candidate", None))
            return name or getattr(effect, "primary", NodeName(""))


def faults(node: Node) -> Iterator[tuple[str, Node]]:
    world, budget, primary = node.world, node.budget, node.machine.memory.primary
    for name in world.names:
        server = world[name]

        def to(b: Budget, name: NodeName = name, **change: object) -> Node:
            changed = replace(world[name], **change)  # type: ignore[arg-type]
            return replace(node, world=world.having(name, changed), budget=b)

        writes = not server.recovery
        if writes and server.process == UP and budget.crashes:
            yield f"{name} crashes", to(replace(budget, crashes=budget.crashes - 1), process=DEAD)
        if writes and server.process == UP and budget.hangs:
            yield f"{name} hangs", to(replace(budget, hangs=budget.hangs - 1), process=HUNG)
        if name == primary and server.host and budget.cuts:
            yield f"{name} is cut off", to(replace(budget, cuts=budget.cuts - 1), host=False)
        if name == primary and server.answers and budget.losses:
            yield (
                f"{name} is lost to everybody",
                to(replace(budget, losses=budget.losses - 1), host=False, process=HUNG),
            )
        if not writes and server.process == UP and budget.standbys_lost:
            spent = replace(budget, standbys_lost=budget.standbys_lost - 1)
            yield f"{name} is lost", to(spent, process=DEAD)
        ill = server.process != UP or not server.host
        if ill and budget.restarts:
            spent = replace(budget, restarts=budget.restarts - 1)
            recovery = server.recovery or (bool(server.guard) and server.process != HUNG)
            back = to(spent, process=UP, host=True, recovery=recovery)
            # Only somebody's hand turns on again what was turned off.
            turned_on = world.agent and not server.host and server.process == DEAD
            yield f"{name} is back", replace(back, hands_used=node.hands_used or turned_on)
        if server.guard and server.process in (DEAD, CLEAN) and budget.hands:
            spent = replace(budget, hands=budget.hands - 1)
            by_hand = to(spent, process=UP, guard=0, recovery=False)
            yield f"{name} is started read-write by hand", replace(by_hand, hands_used=True)
        if server.answers and budget.hands:
            spent = replace(budget, hands=budget.hands - 1)
            if server.recovery:
                timeline = max(s.timeline for s in world.servers) + 1
                by_hand = to(spent, recovery=False, timeline=timeline)
                yield f"{name} is promoted by hand", replace(by_hand, hands_used=True)
            else:
                by_hand = to(spent, recovery=True)
                yield f"{name} is demoted by hand", replace(by_hand, hands_used=True)


def expiries(node: Node) -> Iterator[tuple[str, Node]]:
    """A dead-man that nobody renews and nobody answers fires: when, nobody says beforehand."""
    for name in node.world.names:
        server = node.world[name]
        kept = renewed(node.machine)
        is_renewed = kept is not None and kept.node == name and server.host
        watched = bool(server.dead_man) and not server.recovery
        if watched and not is_renewed and not node.world.somebody_answers(name):
            yield f"the dead-man of {name} fires", replace(node, world=node.world.fires(name))


def orders(node: Node, policy: Policy) -> Iterator[tuple[str, Node]]:
    primary = node.machine.memory.primary
    by = "operator"
    possible = {
        "failover": OperatorFailover(Trigger.COMMAND, by),
        "switchover": OperatorSwitchover(by),
        "drill": OperatorSwitchover(by, drill=True),
        "switchover in 3 s": OperatorSwitchover(by, at=WallTime(node.now + 3.0)),
        "cancel": OperatorCancels(by),
        "rejoin": OperatorRejoins(by, NodeName("pg1")),
        "pause": OperatorPause(by),
        "pause for 3 s": OperatorPause(by, WallTime(node.now + 3.0)),
        "resume": OperatorResume(by),
        "ack": OperatorAcknowledges(by),
        "adopt": OperatorAdopts(by, NodeName("pg2")),
        "fence": OperatorFences(by, NodeName("pg1" if primary == "pg2" else "pg2")),
        "unfence": OperatorUnfences(by, primary or NodeName("pg1")),
        "vouch": OperatorVouches(by, primary or NodeName("pg1"), "it is off"),
    }
    for word in sorted(node.budget.orders):
        left = node.budget.orders - {word}
        spent = replace(node, budget=replace(node.budget, orders=left))
        if word == "vouch":
            # A human's word is true in this world: false ones are what no machine can catch.
            if primary is None or node.world[primary].writable:
                continue
            spent = replace(spent, vouched=True)
        yield word, happens(spent, possible[word], policy)


def kills(node: Node, policy: Policy) -> Iterator[tuple[str, Node]]:
    """The daemon dies, before or after something it had asked for was done."""
    budget = replace(node.budget, kills=node.budget.kills - 1)
    worlds = {node.world}
    for _, effect, _ in node.under_way:
        armed = node.machine.dead_man
        worlds.add(performed(node.world, effect, Instant(node.now), armed, node.owner)[0])
    for world in sorted(worlds, key=repr):
        machine = restored(node.machine, Instant(node.now))
        killed = replace(
            node, machine=machine, world=world, under_way=(), answered=(), budget=budget, round=0
        )
        yield "kill", tick(killed, policy)[1]


# Which states are the same.

SKIPPED = frozenset(
    {
        "evidence", "why", "sentence", "advice", "view", "entered_at", "visit", "by", "since",
        "peak_wal_rate", "reason_text", "highest_epoch", "calibrations", "version", "server_log",
        "looked_at", "primary_lsn_at", "frozen_at", "targets_seen", "number", "dead_man_number",
        "name", "reading", "armed_for", "failed",
        "stopping_since", "said", "plan_ended", "failures", "paused",
    }
)  # fmt: skip


def key(node: Node) -> int:
    m = node.machine
    visit = m.visit
    return hash(
        (
            shape(m, node.now),
            node.world,
            node.seen,
            min(LONG, round(node.now - node.seen_at)),
            tuple(
                sorted((v == visit, repr_of(e), round(node.now - t)) for v, e, t in node.under_way)
            ),
            frozenset(repr_of(e) for v, e in node.answered if v == visit),
            node.budget,
            node.hands_used,
        )
    )


def repr_of(effect: Effect) -> str:
    return f"{type(effect).__name__} {getattr(effect, 'mode', '')} {node_of(effect)}"


def shape(value: object, now: float, name: str = "") -> object:
    if isinstance(value, enum.Enum) or value is None or isinstance(value, str | bool):
        return value
    if isinstance(value, float):
        return max(-LONG, min(LONG, round(value - now)))
    if isinstance(value, int):
        return min(3, value) if name in ("attempt", "failures") else value
    if isinstance(value, Memory):
        heard = -LONG if value.last_alive_at is None else max(-5, round(value.last_alive_at - now))
        return (
            value.primary, value.timeline, value.seen_healthy, heard, min(4, value.failed_rounds),
            tuple(sorted(value.standby_timelines.items())), value.primary_lsn,
            value.primary_since > now - 1,
        )  # fmt: skip
    if isinstance(value, NodeJob):
        # How often it was tried, and how long it rests, is when and not what.
        return value.job, value.epoch, value.told, value.retry_at is not None
    if isinstance(value, Counted):
        known = value.divergence
        return known is not None, known is not None and known.running, value.retry_at is not None
    if isinstance(value, Mapping):
        return tuple(sorted((str(k), shape(v, now)) for k, v in value.items()))
    if isinstance(value, frozenset):
        return tuple(sorted(value))
    if isinstance(value, tuple):
        return tuple(shape(item, now) for item in value)
    if isinstance(value, TargetJob):
        return value.points_at, min(1, value.failures), shape(value.retry_at, now)
    kind = type(value)
    return (kind.__name__, *(shape(getattr(value, f), now, f) for f in compared(kind)))


@functools.cache
def compared(kind: type) -> tuple[str, ...]:
    return tuple(f.name for f in dataclasses.fields(kind) if f.name not in SKIPPED)


# What must always hold.

PROCEDURE = (Fencing, Electing, Salvaging, Promoting, Confirming)


def invariants(before: Node, after: Node) -> None:
    m = after.machine
    assert m.epoch >= before.machine.epoch, "the epoch went back"
    assert m.visit >= before.machine.visit, "a visit went back"
    writable = after.world.writable()
    if not after.hands_used and not after.vouched:
        assert len(writable) <= 1, f"two nodes take writes: {writable}"
    assert len(m.asked) <= 1, f"two nodes were asked: {m.asked}"
    for node, saved in m.saved.items():
        assert saved != FREEZE, f"what the freeze wrote was taken for {node}'s own settings"
    if isinstance(m.state, Promoting | Confirming):
        assert m.state.candidate in m.asked, "a promotion that nobody remembers"
    if isinstance(m.state, Electing | Salvaging | Promoting | Confirming):
        assert m.state.proof.epoch == m.epoch, "a proof of another epoch"
    if not isinstance(m.state, (*PROCEDURE, Reverting, Settling)) and m.incident is not None:
        kept = isinstance(m.state, Blocked) and m.state.returns_to is not None
        assert kept or type(m.state).__name__ == "Starting", "an incident outlives its procedure"
    for asked in after.under_way:
        if asked not in before.under_way:
            asked_for(asked[1], after)


def asked_for(effect: Effect, node: Node) -> None:
    """At the moment an act is asked for."""
    m = node.machine
    match effect:
        case Promote(proof=proof):
            for gone in m.incident.given_up if m.incident is not None else ():
                assert node.world[gone].process != UP or node.world[gone].recovery, gone
            old = node.world[proof.node]
            # A hand that took our guard away a moment ago is seen by the act's own last look.
            seen = node.seen[proof.node].writable and node.seen_at > proof.proved_at
            turned_on = proof.kind is ProofKind.POWERED_OFF
            unseen = (node.hands_used or turned_on) and not seen
            if not unseen and not node.vouched:
                assert not old.writable, f"{proof.node} takes writes"
                assert old.guard or old.process != UP, f"{proof.node} is not fenced"
            assert proof.epoch == m.epoch
            assert node.now - proof.proved_at <= 30.0, "the proof is too old"
        case Redirect(primary=name, target=target) if target:
            assert name == m.memory.primary, f"sent to {name}, and {m.memory.primary} is primary"
            assert not isinstance(m.state, (Electing, Salvaging, Promoting, Confirming))
            assert not m.asked or m.asked == {name}, "sent back although another was asked"
        case CloseTarget():
            assert isinstance(m.state, Fencing), "closed outside of a fence"
        case Unfence(node=name):
            assert not m.asked, "unfenced although somebody was asked to promote"
            others = [r.name for r in m.view.others(name) if r.writable]
            assert not others, f"unfenced beside {others}"
        case Fence(node=name) if not m.asked and name == m.memory.primary:
            heard = [n for n in node.seen.names if n != name and node.seen[n].process == UP]
            by_order = m.incident is not None and m.incident.trigger != Trigger.AUTOMATIC
            assert heard or m.incident is None or by_order or node.vouched or m.saved, (
                "fenced with no standby that answers"
            )
        case _:
            pass


# And what must come in the end, once nothing goes wrong any more.


def healed(node: Node) -> Node:
    """Every server runs again where it was left, no more faults, and an operator who looks."""
    world = node.world
    for name in world.names:
        server = world[name]
        back = server.recovery or bool(server.guard)
        if server.process == HUNG:
            back = server.recovery
        world = world.having(name, replace(server, process=UP, host=True, recovery=back))
    return replace(node, world=world, budget=Budget())


def settles(node: Node, policy: Policy, *, rounds: int = 60) -> Node:
    """Answers come at once, the nodes are looked at, and time passes."""
    for _ in range(rounds):
        for _ in range(20):
            if not node.under_way:
                break
            _, node = next(replies(node, policy))
        _, node = tick(node, policy)
        waiting = (*node.machine.jobs.values(), *node.machine.targets.values())
        due = any(job.retry_at is not None for job in waiting)
        if isinstance(node.machine.state, Watching) and not node.under_way and not due:
            return node
    return node


def in_order(node: Node) -> str | None:
    """What is wrong with a cluster that is watched again; None: nothing."""
    m, world = node.machine, node.world
    if world.writable() != [m.memory.primary]:
        return f"{m.memory.primary} is watched, {world.writable()} take writes"
    for name in world.names:
        job = m.jobs[name].job if name in m.jobs else None
        if world[name].frozen:
            return f"{name} is frozen, its job is {job}"
        if m.targets and world.leads_to != m.memory.primary:
            return f"applications are sent to {world.leads_to or 'nobody'}"
        kept_out = job in (Job.QUARANTINED, Job.OWED_GUARD, Job.OWED_FENCE, Job.REJOINING)
        if world[name].recovery and not kept_out and not world.streams(name):
            return f"{name} streams from nobody, its job is {job}"
        if world[name].guard and job not in (Job.QUARANTINED, Job.OWED_UNGUARD, Job.REJOINING):
            return f"{name} is guarded, its job is {job}"
    return None


WAY = {TargetName("haproxy"): TargetPolicy(closes=True)}


def policy_of(standbys: int = 2, **changes: object) -> Policy:
    base = Policy(nodes=policies(beginning(standbys)), cooldown_s=5.0, max_per_day=10)
    return replace(base, **changes)  # type: ignore[arg-type]
