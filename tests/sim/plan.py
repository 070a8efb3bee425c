"""What a seed decides beforehand: the cluster, its settings, and what goes wrong."""

from __future__ import annotations

import random
from dataclasses import dataclass, replace

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
from tests.sim.faults import Fault, drawn, drawn_beside, drawn_of_followers, drawn_of_leases
from tests.sim.postgres import SyncNames

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
