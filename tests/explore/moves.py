"""Everything that can happen next: answers, misfortunes, orders, a daemon that dies."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

from failoverd.core.arming import renewed
from failoverd.core.effects import Fence, Salvage
from failoverd.core.events import (
    EffectFailed,
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
)
from failoverd.core.model import Instant, NodeName, WalLoss, WallTime
from failoverd.core.policy import Policy
from failoverd.core.restart import restored
from failoverd.core.schedule import OperatorCancels, OperatorRejoins, OperatorSwitchover
from failoverd.core.wal_answers import Salvaged
from tests.explore.acts import performed
from tests.explore.fences import half_fenced
from tests.explore.node import (
    FIRST,
    LONG,
    Budget,
    Node,
    answer,
    first_in_line,
    happens,
    node_of,
    stale,
    tick,
)
from tests.explore.world import CLEAN, DEAD, FAILED, HUNG, SAID, UP

PATIENCE_S = 2.0
"""By then an effect has answered, be it that it does not know."""


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
