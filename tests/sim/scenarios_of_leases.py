"""Runs of several daemons that share a lease: whoever leads stops, stalls or is cut off."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import replace

from failoverd.core.policy import DeadManPolicy, Policy
from tests.sim.faults import Fault
from tests.sim.plan import Plan

Planned = Callable[..., Plan]
CRASH = Fault(5.0, "crash", "writer")
HANG = Fault(5.0, "hang", "writer", 20.0)
ARMED = Policy(nodes={}, cooldown_s=0.001, max_per_day=10, dead_man=DeadManPolicy(5.0))
WHOLE = {"daemons": 2, "lease_s": 5.0}


def of_leases(plan: Planned, every: int) -> Iterator[tuple[str, Plan]]:
    yield "a crash, two daemons and a lease", plan(CRASH, failovers=1, **WHOLE)
    yield "a crash, three daemons and a lease", plan(CRASH, failovers=1, daemons=3, lease_s=4.0)
    yield (
        "no store, and a crash",
        plan(Fault(4.5, "etcd down", "writer", 20.0), replace(CRASH, at=8.0), **WHOLE),
    )
    yield (
        "the leader changes while all is well",
        plan(Fault(5.0, "cut from etcd", "writer", 9.0, 1), failovers=0, **WHOLE),
    )
    for n in range(0, 14, every):
        at = round(5.2 + n * 0.035, 3)
        for kind, lasts, number in (
            ("daemon stalls", 4.0, 0), ("daemon stalls", 5.6, 0), ("daemon stalls", 9.0, 0),
            ("cut from etcd", 9.0, 1), ("cut from etcd", 4.0, 3), ("daemon dies", 9.0, 0),
            ("etcd down", 8.0, 0), ("daemon stalls", 33.0, 0),
        ):  # fmt: skip
            wrong = Fault(at, kind, "writer", lasts, number)
            yield f"a lease, {kind} for {lasts} s at {at}", plan(CRASH, wrong, seed=n, **WHOLE)
        for lasts in (4.5, 6.0):
            slow = Fault(4.9, "slow acts", "the first node", 30.0, n)
            stalls = Fault(at, "daemon stalls", "writer", lasts, 0)
            yield (
                f"a lease, acts are slow, stalled for {lasts} s at {at}",
                plan(CRASH, slow, stalls, seed=n, **WHOLE),
            )
        later = round(7.9 + n * 0.1, 2)
        for kind, number in (("daemon stalls", 0), ("cut from etcd", 1), ("daemon dies", 0)):
            wrong = Fault(later, kind, "writer", 7.0, number)
            yield f"a lease and a hang, {kind} at {later}", plan(HANG, wrong, seed=n, **WHOLE)
        held = Fault(4.9, "slow link", "the first node", 30.0, n)
        wrong = Fault(at, "daemon stalls", "writer", 6.0, 0)
        yield f"a lease, links are slow, stalled at {at}", plan(CRASH, held, wrong, seed=n, **WHOLE)
        promotes = Fault(round(5.42 + n * 0.05, 2), "daemon stalls", "writer", 7.0, 0)
        yield (
            f"a lease, somebody was asked, stalled at {promotes.at}",
            plan(CRASH, promotes, promotes_in=3.0, seed=n, **WHOLE),
        )
        away = replace(promotes, kind="cut from etcd", lasts=12.0, number=1)
        yield (
            f"a lease, somebody was asked, the leader is cut off at {away.at}",
            plan(CRASH, away, promotes_in=9.0, seed=n, **WHOLE),
        )
        cut = Fault(10.0, "isolated", "writer", 25.0, 0)
        wrong = Fault(round(9.0 + n * 0.7, 2), "cut from etcd", "writer", 9.0, 1)
        yield (
            f"a lease and a dead-man, the leader is cut off at {wrong.at}",
            plan(cut, wrong, policy=ARMED, seed=n, **WHOLE),
        )
