"""A state of everything, and how one event takes it to the next: the supervisor in a few lines."""

from __future__ import annotations

from dataclasses import dataclass, replace

from failoverd.core.effects import Effect, Equip, Fence, MeasureDivergence, ReadSettings, Unfence
from failoverd.core.events import Event, Now, Observed, Replied, Woke
from failoverd.core.model import ClusterView, Instant, Look, NodeName, Outcome, WallTime
from failoverd.core.policy import Policy, TargetName
from failoverd.core.situation import Machine
from failoverd.core.states import Blocked, Watching
from failoverd.core.step import step
from failoverd.core.target import TargetReport
from failoverd.daemon.course import line_of
from tests.explore.acts import performed
from tests.explore.sight import view_of
from tests.explore.world import World, beginning

BEGAN_AT = 1000.0
LONG = 31


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


def tick(node: Node, policy: Policy) -> tuple[str, Node]:
    """Time passes, to the next deadline or a second, and every node is looked at."""
    later = node.now + 1.0
    if isinstance(node.machine.state, Blocked):
        later = max(later, wakes_at(node, policy) or later)
    return looked(node, later, policy)


def looked(node: Node, later: float, policy: Policy) -> tuple[str, Node]:
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
