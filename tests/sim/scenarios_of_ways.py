"""Runs with a dead-man on the primary's host, and with a way by which applications come."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import replace

from failoverd.core.policy import Choice, DeadManPolicy, Policy, TargetName, TargetPolicy
from tests.sim.faults import Fault
from tests.sim.plan import Plan

Planned = Callable[..., Plan]
ARMED = Policy(nodes={}, cooldown_s=0.001, max_per_day=10, dead_man=DeadManPolicy(5.0))
HAPROXY = TargetName("haproxy")
CLOSES = replace(ARMED, dead_man=None, targets={HAPROXY: TargetPolicy(closes=True)})
PAUSES = replace(CLOSES, targets={HAPROXY: TargetPolicy(pauses=True)}, can_rejoin=True,
                 rejoin_delay_s=1.0)  # fmt: skip
BOTH = replace(CLOSES, dead_man=DeadManPolicy(5.0))
CUT = Fault(10.0, "isolated", "writer", 25.0, 0)
"""Applications go on reaching it: whatever it acknowledges from then on would be lost."""
CUT_FROM_ALL = replace(CUT, number=1)


def of_ways(plan: Planned, every: int) -> Iterator[tuple[str, Plan]]:
    yield from _isolated(plan, every)
    yield from _hidden(plan, every)
    yield from _let_go(plan)
    yield from _led(plan, every)


def _isolated(plan: Planned, every: int) -> Iterator[tuple[str, Plan]]:
    for name, cut in (("with its applications", CUT), ("from everybody", CUT_FROM_ALL)):
        yield f"cut off {name}, a dead-man", plan(cut, policy=ARMED, failovers=1, by=28.0)
        for ttl in (3.0, 12.0):
            policy = replace(ARMED, dead_man=DeadManPolicy(ttl))
            yield f"cut off {name}, a dead-man of {ttl:.0f} s", plan(cut, policy=policy)
    short = [Fault(10.0, "isolated", "writer", lasts, 0) for lasts in (3.5, 5.5, 6.5, 8.0, 11.0)]
    for n, cut in enumerate(short):
        yield f"cut off for {cut.lasts} s, a dead-man", plan(cut, policy=ARMED, seed=n)
    yield (
        "only the daemon is cut off, a dead-man",
        plan(Fault(10.0, "cut from daemon", "writer", 15.0, 1), policy=ARMED, failovers=0),
    )
    yield (
        "no standby can answer a dead-man",
        plan(Fault(10.0, "cut from standbys", "writer", 15.0, 1), policy=ARMED, failovers=0),
    )
    for n in range(0, 10, every):
        at = round(9.3 + n * 0.6, 2)
        for kind, whom, lasts in (
            ("daemon dies", "writer", 1.0), ("daemon stalls", "writer", 4.0),
            ("daemon stalls", "writer", 33.0), ("isolated", "a standby", 9.0),
            ("hang", "a standby", 6.0), ("machine paused", "the first node", 4.0),
            ("booted and left", "the first node", 1.0), ("order", "pause", 1.0),
            ("answers lost", "another standby", 9.0), ("hang", "the first node", 12.0),
            ("promoted by hand", "another standby", 1.0), ("disk full", "the first node", 9.0),
        ):  # fmt: skip
            beside = Fault(at, kind, whom, lasts, n)
            yield (
                f"cut off, a dead-man, {kind} of {whom} for {lasts:.0f} s at {at}",
                plan(CUT, beside, policy=ARMED, seed=n),
            )
        back = Fault(round(10.2 + n * 0.4, 2), "isolated", "writer", 20.0, 0)
        booted = Fault(10.0, "booted and left", "writer", 0.5)
        started = Fault(back.at + 0.3, "started by hand", "the first node")
        yield (
            f"booted, seen, and cut off at {back.at}, a dead-man",
            plan(booted, back, started, policy=ARMED, seed=n),
        )


def _hidden(plan: Planned, every: int) -> Iterator[tuple[str, Plan]]:
    """What was sent, what was heard, and who answered, where the one is not the other."""
    long = replace(ARMED, dead_man=DeadManPolicy(12.0))
    quick = replace(ARMED, dead_man=DeadManPolicy(3.0))
    for n in range(0, 8, every):
        slow = Fault(4.9, "slow link", "the first node", 4.9 + n * 0.1, 2 + n % 2)
        yield f"cut off over a slow link {n}, a dead-man", plan(CUT, slow, policy=long, seed=n)
        dies = Fault(round(9.0 + n * 0.1, 2), "daemon dies", "writer", 0.8, 1)
        yield (
            f"cut off as the daemon starts again, a dead-man of 12 s {n}",
            plan(replace(CUT, lasts=29.0), dies, policy=long, seed=n),
        )
        away = Fault(10.0, "cut from daemon", "writer", 25.0, 1)
        deaf = Fault(10.0, "cut from standbys", "writer", round(3.2 + n * 0.15, 2))
        late = [Fault(9.9, "slow acts", who, 25.0, 1) for who in ("a standby", "another standby")]
        yield (
            f"heard again while its standbys are frozen {n}, a dead-man",
            plan(away, deaf, *late, policy=quick, seed=n),
        )


def _let_go(plan: Planned) -> Iterator[tuple[str, Plan]]:
    """What is no isolation and looks like it, and what is armed for nothing."""
    for kind, whom in (
        ("crash", "writer"), ("hang", "writer"), ("crash and restart", "writer"),
        ("clean stop", "writer"), ("disk full", "writer"), ("slots full", "writer"),
        ("power loss", "a standby"), ("half hang", "writer"), ("daemon stops", "writer"),
        ("daemon dies", "writer"), ("mode observe", "writer"), ("role broken", "writer"),
        ("booted and left", "writer"),
    ):  # fmt: skip
        for n, lasts in enumerate((2.5, 9.0, 30.0)):
            yield (
                f"a dead-man and a {kind} of {whom} for {lasts}",
                plan(Fault(10.0, kind, whom, lasts, n), policy=ARMED, seed=n),
            )
    for word in ("pause", "failover", "switchover", "fence"):
        order = Fault(10.0, "order", word, 40.0)
        rejoins = replace(ARMED, can_rejoin=True, rejoin_delay_s=1.0)
        yield f"a dead-man and an order: {word}", plan(order, policy=rejoins)
    pause, later = (
        Fault(8.0, "order", "pause", 30.0),
        Fault(12.0, "crash and restart", "writer", 9.0),
    )
    yield "a pause, and a restart that takes long", plan(pause, later, policy=ARMED, failovers=0)
    stop = Fault(8.0, "daemon stops", "writer", 30.0)
    yield "the daemon is stopped, and a restart", plan(stop, later, policy=ARMED, failovers=0)
    soon = Fault(10.0, "crash and restart", "writer", 0.1)
    yield "restarted at once, a dead-man", plan(soon, policy=ARMED)
    booted = Fault(10.0, "booted and left", "writer", 1.2)
    yield "booted, and left as it is, a dead-man", plan(booted, policy=ARMED)
    half = replace(ARMED, on_half_hung=Choice.FAILOVER, half_hung_after_s=6.0)
    hung = Fault(10.0, "half hang", "writer", 25.0)
    yield "half hung, and it goes on, a dead-man", plan(hung, policy=half)
    lost = [Fault(8.0, "power loss", who, 34.0) for who in ("a standby", "another standby")]
    hangs = Fault(9.0, "hang", "writer", 30.0)
    yield (
        "nobody could take over from a hung primary, a dead-man",
        plan(*lost, hangs, policy=ARMED, failovers=0),
    )
    yield (
        "nobody could take over, and it is cut off",
        plan(*lost, replace(CUT, at=30.0), policy=ARMED, failovers=0),
    )


def _led(plan: Planned, every: int) -> Iterator[tuple[str, Plan]]:
    crash, hang = Fault(5.0, "crash", "writer"), Fault(5.0, "hang", "writer", 20.0)
    yield "a crash, by a way", plan(crash, policy=CLOSES, failovers=1)
    yield "a hang, by a way", plan(hang, policy=CLOSES, failovers=1)
    yield "cut off, by a way and with a dead-man", plan(CUT, policy=BOTH, failovers=1)
    for n in range(0, 10, every):
        ends = Fault(5.0, "hang", "writer", round(3.0 + n * 0.15, 2))
        yield f"a hang that ends after {ends.lasts}, by a way", plan(ends, policy=CLOSES, seed=n)
        deaf = Fault(4.9, "ssh broken", "writer", 25.0)
        yield (
            f"a hang that ends after {ends.lasts}, by a way, no SSH",
            plan(ends, deaf, policy=CLOSES, seed=n),
        )
        at = round(5.0 + n * 0.12, 2)
        for kind in ("way down", "way forgets", "daemon dies", "daemon stalls", "journal lost"):
            for first in (crash, hang):
                later = replace(first, at=5.0)
                beside = Fault(at + (3.0 if first is hang else 0.0), kind, "writer", 6.0, n)
                yield (
                    f"a {first.kind} by a way, {kind} at {beside.at:.2f}",
                    plan(later, beside, policy=CLOSES, seed=n),
                )
        order = Fault(5.0, "order", "switchover")
        for kind, whom in (("way down", "writer"), ("isolated", "a standby"),
                           ("slow stop", "the first node"),
                           ("crash", "the first node")):  # fmt: skip
            yield (
                f"a switchover that pauses a way, {kind} of {whom} at {at}",
                plan(order, Fault(at, kind, whom, 5.0, n), policy=PAUSES, seed=n),
            )
        dies = Fault(4.9, "daemon dies at a write", "writer", 0.0, n)
        yield (
            f"a crash by a way, the daemon dies at write {n}",
            plan(crash, dies, policy=CLOSES, seed=n),
        )
    yield (
        "a way forgets while all is well",
        plan(Fault(5.0, "crash", "writer"), Fault(14.0, "way forgets", "writer"), policy=CLOSES),
    )
    yield (
        "a switchover that pauses a way",
        plan(Fault(5.0, "order", "switchover"), policy=PAUSES, failovers=1),
    )
