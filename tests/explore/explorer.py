"""Breadth first through everything that can happen to a small cluster and its daemon.

A state is the machine, the world, what was last seen of it, the effects under way and
what may still go wrong. Two states that differ only in when they are reached, or in how
often something was tried, are one.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

from failoverd.core.policy import Policy
from failoverd.core.states import Starting, State
from tests.explore.moves import moves
from tests.explore.node import Budget, Node, first
from tests.explore.rules import Broken
from tests.explore.same import key


@dataclass(slots=True)
class Findings:
    states: int = 0
    steps: int = 0
    depth: int = 0
    transitions: set[tuple[type[State], type[State]]] = field(default_factory=set)
    sample: list[Node] = field(default_factory=list)


Check = Callable[[Node, Node], None]


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
