"""What must always hold, and what must come in the end."""

from __future__ import annotations

from dataclasses import replace

from failoverd.core.effects import Effect, Fence, Promote
from failoverd.core.events import Trigger
from failoverd.core.jobs import Job
from failoverd.core.model import ProofKind
from failoverd.core.policy import Policy
from failoverd.core.states import (
    Blocked,
    Confirming,
    Electing,
    Fencing,
    Promoting,
    Reverting,
    Salvaging,
    Settling,
    Watching,
)
from tests.explore.asks import wrongly_asked
from tests.explore.moves import replies
from tests.explore.node import Budget, Node, tick
from tests.explore.world import FREEZE, HUNG, UP

PROCEDURE = (Fencing, Electing, Salvaging, Promoting, Confirming)


class Broken(AssertionError):  # noqa: N818 - what happened
    """An invariant does not hold; says how it came to that."""


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
    wrong = wrongly_asked(m, effect, node.now)
    assert wrong is None, wrong
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
        case Fence(node=name) if not m.asked and name == m.memory.primary:
            heard = [n for n in node.seen.names if n != name and node.seen[n].process == UP]
            by_order = m.incident is not None and m.incident.trigger != Trigger.AUTOMATIC
            assert heard or m.incident is None or by_order or node.vouched or m.saved, (
                "fenced with no standby that answers"
            )
        case _:
            pass


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
        if world[name].process != UP and job is Job.OWED_THAW:
            # It was asked to promote in vain, and stopped: it stays down, and that must be said.
            if name not in m.jobs[name].said:
                return f"{name} is down, and nobody is told why"
            continue
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
