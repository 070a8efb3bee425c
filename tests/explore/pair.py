"""Two daemons that know nothing of each other, over one world: every order of what they do.

Each is the explorer's daemon; what they share is the world, the time and the misfortune that is
left. The space is cut by what is said here, and never by a sample:

- Both look once a second, `a` first: looks change nothing, so that their order is nothing either.
  A daemon that lags by more than one look has stalled: a fault, taken from the budget as such.
- A look that comes late sees what is there then, and takes no time.
- What was asked for is answered before its daemon looks twice; what takes longer has failed, or its
  answer is lost, and that is a fault of the budget, too. While it is not the turn of one that waits
  for an answer, nobody looks: the other one has what it has asked for answered, and that is all.
- Passes: how often the turn goes from one daemon to the other (decision 80). With 0 one of them
  does all that is done, beside one that looks; looks are nobody's turn.
- Or a depth: every order of that many events, from a healthy cluster on.
- An answer that nobody else can tell from its absence (settings read, nothing to redirect, nothing
  to salvage) comes at once.
- Any `total` faults of any kinds, and any one order: which is part of the search. Of a kind, no
  more is told apart than can still come of all together: each takes one of the total.
- The two are alike: a state and its mirror image are one.

What one daemon does next is found out once for its side and the world (tests/explore/sides.py).
"""

from __future__ import annotations

import argparse
from array import array
from collections import deque
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from time import process_time
from typing import NamedTuple

from failoverd.core.policy import Policy
from failoverd.core.states import State
from tests.explore.node import Budget, first
from tests.explore.rules import Broken
from tests.explore.sides import KINDS, Excuses, Move, Numbers, Side, Sides
from tests.explore.world import policy_of

EVERY = 1_000
"""Passes: nothing is cut by them."""


class Luck(NamedTuple):
    """What may still come."""

    budget: Budget
    total: int
    """Faults of any kinds."""


class Pair(NamedTuple):
    a: Side
    b: Side
    world: int
    luck: int
    excuses: Excuses
    turn: int = 0
    """Whose turn it is: the one (1, 2) that was answered, ordered or killed last."""
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
            f" {len(self.kinds)} pairs of states of the two, {self.seconds:.1f} s of one core{left}"
        )


class Two:
    """Two daemons over one world: what can happen next to both."""

    def __init__(self, policy: Policy) -> None:
        self.sides = Sides(policy)
        self.lucks: Numbers[Luck] = Numbers()
        self._spent: dict[tuple[int, str], int | None] = {}

    def beginning(
        self, budget: Budget, total: int, standbys: int, *, agent: bool, passes: int
    ) -> Pair:
        node = first(self.sides.policy, budget, standbys, agent=agent)
        a, b = (self.sides.side(replace(node, owner=owner)) for owner in (1, 2))
        world, luck = self.sides.world(node.world), self.lucks(Luck(budget, total))
        return Pair(a, b, world, luck, Excuses(), 0, passes)

    def moves(self, pair: Pair) -> Iterator[tuple[int, Move, Pair]]:
        """Whose, what, and what comes of it; the world's own are nobody's: 0."""
        sides, world, excuses = self.sides, pair.world, pair.excuses
        for who, me in ((1, pair.a), (2, pair.b)):
            private = sides.private(me, world, excuses)
            if private:
                yield from self._of(pair, who, private)
                return
        a, b = pair.a, pair.b
        left = self.lucks.values[pair.luck]
        if a.late or not (b.late or a.waits or b.waits):
            yield from self._of(pair, 1, sides.looks(a, world, excuses))
        yield from self._of(pair, 1, sides.acts(a, world, excuses, left.budget), turns=True)
        if left.budget.pauses and not b.late:
            yield from self._of(pair, 1, sides.stalls(a, world, excuses))
        if b.late and not a.late:
            yield from self._of(pair, 2, sides.looks(b, world, excuses))
        yield from self._of(pair, 2, sides.acts(b, world, excuses, left.budget), turns=True)
        if left.total:
            yield from self._of(pair, 0, sides.faults(a, world, excuses, left.budget))

    def _of(
        self, pair: Pair, who: int, moves: tuple[Move, ...], *, turns: bool = False
    ) -> Iterator[tuple[int, Move, Pair]]:
        turn, passes = pair.turn, pair.passes
        if turns and passes < EVERY:
            if turn not in (0, who):
                if not passes:
                    return
                passes -= 1
            turn = who
        for move in moves:
            luck = self._after(pair.luck, move.spent) if move.spent else pair.luck
            if luck is None:
                continue
            a, b = pair.a, pair.b
            if who == 1:
                a, b = move.side, self.sides.later(b, move.passed_s)
            elif who == 2:
                a, b = self.sides.later(a, move.passed_s), move.side
            yield who, move, Pair(a, b, move.world, luck, move.excuses, turn, passes)

    def _after(self, luck: int, spent: str) -> int | None:
        at = (luck, spent)
        if at not in self._spent:
            after = _less(self.lucks.values[luck], spent)
            self._spent[at] = None if after is None else self.lucks(after)
        return self._spent[at]

    def key_of(self, pair: Pair) -> int:
        """The same for a state and its mirror image."""
        turn = pair.turn
        straight = (pair.a.same, pair.b.same, pair.world, turn)
        there = (0, 2, 1)[turn]
        image = (pair.b.mirrored, pair.a.mirrored, self.sides.mirrored_worlds[pair.world], there)
        of_a, of_b, world, turn = min(straight, image)
        hands, vouched = pair.excuses
        packed = (of_a << 26 | of_b) << 20 | world
        packed = (packed << 2 | turn) << 10 | pair.passes
        return (packed << 12 | pair.luck) << 2 | hands << 1 | vouched


def _less(luck: Luck, spent: str) -> Luck | None:
    budget, total = luck
    if spent == "orders":
        return Luck(replace(budget, orders=frozenset()), total)
    if not total:
        return None
    counts = {kind: getattr(budget, kind) - (kind == spent) for kind in KINDS}
    # More of a kind than of all together cannot come, and is not told apart.
    least = {kind: min(count, total - 1) for kind, count in counts.items()}
    left = Budget(**least, orders=budget.orders)
    return Luck(left, total - 1)


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
    most: int = 100_000_000,
) -> Found:
    found, began, two = Found(), process_time(), Two(policy)
    start = two.beginning(budget, total, standbys, agent=agent, passes=passes)
    seen = {two.key_of(start)}
    came_from, by = array("l", [-1]), [""]
    queue = deque([(start, 0)])
    while queue:
        too_long = found.states % 1000 == 0 and process_time() - began > seconds
        if too_long or found.states >= most:
            found.whole = False
            break
        pair, depth = queue.popleft()
        at = found.states
        found.states += 1
        found.depth = max(found.depth, depth)
        found.kinds.add((pair.a.kind, pair.b.kind))
        try:
            for who, move, after in two.moves(pair):
                found.steps += 1
                same = two.key_of(after)
                if same in seen:
                    continue
                if depth + 1 > deep:
                    found.whole = False
                    continue
                seen.add(same)
                came_from.append(at)
                by.append(("", "a: ", "b: ")[who] + move.what)
                queue.append((after, depth + 1))
        except AssertionError as error:
            raise Broken(f"{error}\n{_story(came_from, by, at)}") from error
    found.seconds = process_time() - began
    return found


def _story(came_from: array[int], by: list[str], at: int) -> str:
    told: list[str] = []
    while at > 0:
        told.append(by[at])
        at = came_from[at]
    return " -> ".join(reversed(told))


ORDERS = frozenset({"failover", "pause", "resume", "ack", "adopt", "fence", "unfence", "vouch"})


def any_of(total: int, *, orders: bool) -> Budget:
    """Faults of every kind, of which `total` come, and one order of any kind."""
    counts = dict.fromkeys(KINDS, total)
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
