"""One daemon's side of a pair, numbered: what it is, and what it does next, is found out once.

A pair of daemons is two sides, a world that they share and the misfortune that is left. Of these
there are far fewer than there are pairs of them, and what one daemon does next depends on its own
side and the world alone. Each side keeps a time of its own: what counts is how long ago.
"""

from __future__ import annotations

from collections.abc import Callable, Hashable, Iterable, Iterator
from dataclasses import dataclass, field, fields, replace
from typing import Generic, NamedTuple, TypeVar

from failoverd.core.effects import Effect, Equip, ReadSettings, Redirect, Salvage
from failoverd.core.policy import Policy
from failoverd.core.states import State
from tests.explore.moves import faults, kills, orders, replies
from tests.explore.node import LONG, Budget, Node, first_in_line, looked, stale, tick
from tests.explore.rules import invariants
from tests.explore.same import key_beside_the_world
from tests.explore.world import World

PATIENCE_S = 1.0
PRIVATE = (ReadSettings, Redirect, Equip)
KINDS = tuple(f.name for f in fields(Budget) if f.name != "orders")
NOTHING = Budget()

T = TypeVar("T", bound=Hashable)


class Numbers(Generic[T]):
    """The same number for what is the same."""

    def __init__(self) -> None:
        self.of: dict[T, int] = {}
        self.values: list[T] = []

    def __call__(self, value: T) -> int:
        number = self.of.setdefault(value, len(self.values))
        if number == len(self.values):
            self.values.append(value)
        return number


@dataclass(frozen=True, slots=True, eq=False)
class Side:
    """Its `node` holds a world, a budget and excuses of no account: whoever asks brings them."""

    node: Node
    number: int
    same: int
    """Of all that count as the same."""
    mirrored: int
    """Of what counts as its mirror image: the two daemons with each other's names."""
    late: bool
    """It has not looked since time passed."""
    waits: bool
    """An answer must come before it looks again."""

    @property
    def kind(self) -> type[State]:
        return type(self.node.machine.state)


class Excuses(NamedTuple):
    hands_used: bool = False
    vouched: bool = False


class Move(NamedTuple):
    """What one daemon does, or what befalls the world, whatever the other one is."""

    what: str
    side: Side
    world: int
    excuses: Excuses
    passed_s: float
    spent: str
    """The kind of misfortune, `orders`, or nothing."""


Ask = Callable[[Node, Policy], Iterable[tuple[str, Node]]]


@dataclass(slots=True)
class Sides:
    policy: Policy
    worlds: Numbers[World] = field(default_factory=Numbers[World])
    mirrored_worlds: list[int] = field(default_factory=list[int])
    _sides: dict[Hashable, Side] = field(default_factory=dict[Hashable, Side])
    _same: Numbers[Hashable] = field(default_factory=Numbers[Hashable])
    _moves: dict[Hashable, tuple[Move, ...]] = field(
        default_factory=dict[Hashable, tuple[Move, ...]]
    )
    _later: dict[tuple[int, float], Side] = field(default_factory=dict[tuple[int, float], Side])

    def world(self, world: World) -> int:
        number = self.worlds(world)
        while len(self.mirrored_worlds) < len(self.worlds.values):
            at = len(self.mirrored_worlds)
            self.mirrored_worlds.append(self.worlds(mirrored(self.worlds.values[at])))
        return number

    def side(self, node: Node) -> Side:
        seen = self.world(node.seen)
        exactly = (node.owner, key_beside_the_world(node, digits=3), seen)
        known = self._sides.get(exactly)
        if known is None:
            late = node.seen_at < node.now
            waits = any(node.now - at >= PATIENCE_S for _, _, at in node.under_way)
            alone = key_beside_the_world(node)
            same = self._same((alone, seen))
            image = self._same((alone, self.mirrored_worlds[seen]))
            known = Side(node, len(self._sides), same, image, late, waits)
            self._sides[exactly] = known
        return known

    def later(self, side: Side, passed_s: float) -> Side:
        """What time does to it, when the other one has moved."""
        if not passed_s:
            return side
        at = (side.number, round(passed_s, 3))
        if at not in self._later:
            self._later[at] = self.side(replace(side.node, now=side.node.now + passed_s))
        return self._later[at]

    def private(self, side: Side, world: int, excuses: Excuses) -> tuple[Move, ...]:
        return self._found("private", _private, side, world, excuses, NOTHING)

    def looks(self, side: Side, world: int, excuses: Excuses) -> tuple[Move, ...]:
        return self._found("looks", _looks, side, world, excuses, NOTHING)

    def acts(self, side: Side, world: int, excuses: Excuses, left: Budget) -> tuple[Move, ...]:
        """Answers, orders, its death."""
        budget = Budget(
            lost_answers=min(1, left.lost_answers),
            failures=min(1, left.failures),
            kills=min(1, left.kills),
            orders=left.orders,
        )
        return self._found("acts", _acts, side, world, excuses, budget)

    def stalls(self, side: Side, world: int, excuses: Excuses) -> tuple[Move, ...]:
        return self._found("stalls", _stalls, side, world, excuses, Budget(pauses=1))

    def faults(self, side: Side, world: int, excuses: Excuses, left: Budget) -> tuple[Move, ...]:
        budget = Budget(**{kind: min(1, getattr(left, kind)) for kind in KINDS})
        return self._found("faults", lambda node, _: faults(node), side, world, excuses, budget)

    def _found(
        self, word: str, ask: Ask, side: Side, world: int, excuses: Excuses, budget: Budget
    ) -> tuple[Move, ...]:
        at = (word, side.number, world, excuses, budget)
        known = self._moves.get(at)
        if known is None:
            here = replace(
                side.node, world=self.worlds.values[world], budget=budget,
                hands_used=excuses.hands_used, vouched=excuses.vouched,
            )  # fmt: skip
            known = self._moves[at] = tuple(self._judged(here, ask(here, self.policy)))
        return known

    def _judged(self, here: Node, found: Iterable[tuple[str, Node]]) -> Iterator[Move]:
        for what, after in found:
            try:
                invariants(here, after)
            except AssertionError as error:
                raise AssertionError(f"{error}\n{what}\n{after}") from error
            excuses = Excuses(after.hands_used, after.vouched)
            spent = _spent(here.budget, after.budget)
            passed_s = after.now - here.now
            yield Move(what, self.side(after), self.world(after.world), excuses, passed_s, spent)


def mirrored(world: World) -> World:
    swapped = {0: 0, 1: 2, 2: 1}
    return replace(world, servers=tuple(replace(s, owner=swapped[s.owner]) for s in world.servers))


def _spent(before: Budget, after: Budget) -> str:
    if before is after:
        return ""
    differs = [f.name for f in fields(Budget) if getattr(before, f.name) != getattr(after, f.name)]
    return differs[0] if differs else ""


def _private(node: Node, policy: Policy) -> Iterator[tuple[str, Node]]:
    """The first answer that nobody else can tell from its absence."""
    private = [(v, e) for v, e in first_in_line(node) if _is_private(e)]
    if not private:
        return
    one = replace(node, under_way=tuple(u for u in node.under_way if u[:2] == private[0]))
    rest = tuple(u for u in node.under_way if u[:2] != private[0])
    for what, after in replies(one, policy):
        new = tuple(u for u in after.under_way if u not in rest)
        yield what, replace(after, under_way=(*rest, *new))


def _is_private(effect: Effect) -> bool:
    nothing = isinstance(effect, Salvage) and effect.source is None
    return nothing or isinstance(effect, PRIVATE)


def _looks(node: Node, policy: Policy) -> Iterator[tuple[str, Node]]:
    """Now, where it has not looked since time passed; else a second later, or when it is due."""
    late = node.seen_at < node.now
    yield looked(node, node.now, policy) if late else tick(node, policy)


def _acts(node: Node, policy: Policy) -> Iterator[tuple[str, Node]]:
    if node.world != node.seen and node.now - node.seen_at < 0.05:
        yield "standbys seen", stale(node, policy)
    yield from replies(node, policy)
    yield from orders(node, policy)
    if node.budget.kills:
        yield from kills(node, policy)


def _stalls(node: Node, policy: Policy) -> Iterator[tuple[str, Node]]:
    spent = replace(node.budget, pauses=node.budget.pauses - 1)
    yield "31 s", replace(node, now=node.now + LONG, budget=spent)
