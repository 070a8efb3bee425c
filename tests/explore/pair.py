"""Two daemons that know nothing of each other, over one world: every order of what they do.

Each is the explorer's daemon; what they share is the world, the time and the misfortune that is
left. The space is cut by what is said here, and never by a sample:

- Both look once a second, `a` first: looks change nothing, so that their order is nothing either.
  A daemon that lags by more than one look has stalled: a fault, taken from the budget as such.
- What was asked for is answered before its daemon looks twice; what takes longer has failed, or its
  answer is lost, and that is a fault of the budget, too.
- Passes: how often the turn goes from one daemon to the other (decision 80). With 0 one of them
  does all that is done, beside one that looks; looks are nobody's turn.
- Or a depth: every order of that many events, from a healthy cluster on.
- An answer that nobody else can tell from its absence (settings read, nothing to redirect, nothing
  to salvage) comes at once.
- Any `total` faults of any kinds, and any one order: which ones is part of the search.
- The two are alike: a state and its mirror image are one.
"""

from __future__ import annotations

import argparse
from collections import deque
from collections.abc import Iterator
from dataclasses import dataclass, field, fields, replace
from time import perf_counter

from failoverd.core.effects import Effect, Equip, ReadSettings, Redirect, Salvage
from failoverd.core.policy import Policy
from failoverd.core.states import State
from tests.explore.moves import faults, kills, orders, replies
from tests.explore.node import LONG, Budget, Node, first, first_in_line, stale, tick
from tests.explore.rules import Broken, invariants
from tests.explore.same import key
from tests.explore.world import World, policy_of

PATIENCE_S = 1.0
PRIVATE = (ReadSettings, Redirect, Equip)
LOOKS = ("seen", "31 s")
EVERY = 1_000
"""Passes: nothing is cut by them."""


@dataclass(frozen=True, slots=True)
class Pair:
    a: Node
    b: Node
    total: int
    """Faults that may still come."""
    turn: str = ""
    """Whose turn it is: the one that was answered, ordered or killed last."""
    passes: int = EVERY
    """How often the turn may still pass to the other one."""


@dataclass(slots=True)
class Found:
    states: int = 0
    steps: int = 0
    depth: int = 0
    seconds: float = 0.0
    whole: bool = True
    """There is nothing beyond the depth that was asked for."""
    kinds: set[tuple[type[State], type[State]]] = field(
        default_factory=set[tuple[type[State], type[State]]]
    )

    @property
    def line(self) -> str:
        left = "" if self.whole else " (as far as was asked)"
        return (
            f"{self.states} states, {self.steps} transitions, {self.depth} deep,"
            f" {len(self.kinds)} pairs of states of the two, {self.seconds:.0f} s{left}"
        )


def beginning(policy: Policy, budget: Budget, total: int, standbys: int, *, agent: bool) -> Pair:
    a = replace(first(policy, budget, standbys, agent=agent), owner=1)
    return Pair(a, replace(a, owner=2), total)


def moves(pair: Pair, policy: Policy) -> Iterator[tuple[str, Pair]]:
    for me, other, name in ((pair.a, pair.b, "a"), (pair.b, pair.a, "b")):
        private = [(v, e) for v, e in first_in_line(me) if _is_private(e)]
        if private:
            one = replace(me, under_way=tuple(u for u in me.under_way if u[:2] == private[0]))
            for what, after in replies(replace(one, budget=Budget()), policy):
                rest = tuple(u for u in me.under_way if u[:2] != private[0])
                new = tuple(u for u in after.under_way if u not in rest)
                whole = replace(after, under_way=(*rest, *new), budget=me.budget)
                joined = _joined(pair, whole, other, name)
                assert joined is not None
                yield f"{name}: {what}", joined
            return
    for me, other, name in ((pair.a, pair.b, "a"), (pair.b, pair.a, "b")):
        for what, after in _of_one(me, other, policy):
            joined = _joined(pair, after, other, name)
            if joined is not None and not what.startswith(LOOKS):
                joined = _passed(joined, name)
            if joined is not None:
                yield f"{name}: {what}", joined
    if pair.total:
        for what, after in faults(pair.a):
            joined = _joined(pair, after, pair.b, "a")
            if joined is not None:
                yield what, joined


def _passed(pair: Pair, name: str) -> Pair | None:
    """The turn is its, if it was the other one's and may pass once more."""
    if pair.passes >= EVERY:
        return pair
    if pair.turn in ("", name):
        return replace(pair, turn=name)
    return replace(pair, turn=name, passes=pair.passes - 1) if pair.passes else None


def _of_one(me: Node, other: Node, policy: Policy) -> Iterator[tuple[str, Node]]:
    waits = any(me.now - at >= PATIENCE_S for n in (me, other) for _, _, at in n.under_way)
    late = other.seen_at < me.now
    if me.seen_at < me.now and (me.owner == 1 or not late):
        yield tick(replace(me, now=me.now - 1.0), policy)
    elif me.seen_at == me.now and not late and not waits and me.owner == 1:
        yield tick(me, policy)
    if me.world != me.seen and me.now - me.seen_at < 0.05:
        yield "standbys seen", stale(me, policy)
    yield from replies(me, policy)
    yield from orders(me, policy)
    if me.budget.kills:
        yield from kills(me, policy)
    if me.budget.pauses and not late and me.owner == 1:
        spent = replace(me.budget, pauses=me.budget.pauses - 1)
        yield "31 s", replace(me, now=me.now + LONG, budget=spent)


def _is_private(effect: Effect) -> bool:
    nothing = isinstance(effect, Salvage) and effect.source is None
    return nothing or isinstance(effect, PRIVATE)


def _joined(pair: Pair, after: Node, other: Node, name: str) -> Pair | None:
    """The other one with the world, the time and the budget as they are now."""
    before = pair.a if name == "a" else pair.b
    total, budget = pair.total, after.budget
    if budget.orders != before.budget.orders:
        budget = replace(budget, orders=frozenset())
    if replace(budget, orders=before.budget.orders) != before.budget:
        if not total:
            return None
        total -= 1
        if not total:
            budget = Budget(orders=budget.orders)
    after = replace(after, budget=budget)
    other = replace(
        other,
        world=after.world,
        now=max(after.now, other.now),
        budget=budget,
        hands_used=after.hands_used,
        vouched=after.vouched,
    )
    a, b = (after, other) if name == "a" else (other, after)
    return replace(pair, a=a, b=b, total=total)


def mirrored(world: World) -> World:
    swapped = {0: 0, 1: 2, 2: 1}
    return replace(world, servers=tuple(replace(s, owner=swapped[s.owner]) for s in world.servers))


def key_of(pair: Pair) -> int:
    """The same for a state and its mirror image."""
    here, there = {"": (0, 0), "a": (1, 2), "b": (2, 1)}[pair.turn]
    straight = (key(pair.a), key(pair.b), here)
    a, b = (replace(n, world=mirrored(n.world), seen=mirrored(n.seen)) for n in (pair.a, pair.b))
    return hash((min(straight, (key(b), key(a), there)), pair.total, pair.passes))


def explore(
    policy: Policy,
    budget: Budget,
    total: int,
    *,
    standbys: int = 2,
    agent: bool = False,
    deep: int = 1_000,
    passes: int = EVERY,
    seconds: float = 1e9,
) -> Found:
    found, began = Found(), perf_counter()
    start = replace(beginning(policy, budget, total, standbys, agent=agent), passes=passes)
    seen = {key_of(start)}
    came_from: dict[int, tuple[int, str]] = {}
    queue = deque([(start, key_of(start), 0)])
    while queue:
        if perf_counter() - began > seconds:
            found.whole = False
            break
        pair, at, depth = queue.popleft()
        found.states += 1
        found.depth = max(found.depth, depth)
        found.kinds.add((type(pair.a.machine.state), type(pair.b.machine.state)))
        for what, after in moves(pair, policy):
            found.steps += 1
            mine = after.a.machine is not pair.a.machine
            try:
                invariants(pair.a if mine else pair.b, after.a if mine else after.b)
            except AssertionError as error:
                raise Broken(f"{error}\n{_story(came_from, at, what)}\n{after}") from error
            same = key_of(after)
            if same in seen:
                continue
            if depth + 1 > deep:
                found.whole = False
                continue
            seen.add(same)
            came_from[same] = (at, what)
            queue.append((after, same, depth + 1))
    found.seconds = perf_counter() - began
    return found


def _story(came_from: dict[int, tuple[int, str]], at: int, last: str) -> str:
    told = [last]
    while at in came_from:
        at, what = came_from[at]
        told.append(what)
    return " -> ".join(reversed(told))


ORDERS = frozenset({"failover", "pause", "resume", "ack", "adopt", "fence", "unfence", "vouch"})


def any_of(total: int, *, orders: bool) -> Budget:
    """Faults of every kind, of which `total` come, and one order of any kind."""
    kinds = [f.name for f in fields(Budget) if f.name != "orders"]
    counts = dict.fromkeys(kinds, total)
    return Budget(**counts, orders=ORDERS if orders else frozenset())


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--faults", type=int, default=1)
    parser.add_argument("--standbys", type=int, default=1)
    parser.add_argument("--orders", action="store_true")
    parser.add_argument("--passes", type=int, default=EVERY, help="of the turn")
    parser.add_argument("--deep", type=int, default=1_000)
    parser.add_argument("--seconds", type=float, default=1e9)
    options = parser.parse_args()
    budget = any_of(options.faults, orders=options.orders)
    found = explore(
        policy_of(options.standbys), budget, options.faults,
        standbys=options.standbys, deep=options.deep, passes=options.passes,
        seconds=options.seconds,
    )  # fmt: skip
    print(f"{options}: {found.line}")  # noqa: T201


if __name__ == "__main__":
    main()
