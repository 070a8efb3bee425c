"""Runs in which what followers see of the primary decides, or must not (decision 72)."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import replace

from tests.sim.faults import Fault
from tests.sim.plan import Plan

Planned = Callable[..., Plan]
HONEST = ("honest", "honest", "honest")
"""Fence agents: nothing but what others see keeps a primary from being turned off."""
WHOLE = {"daemons": 3, "lease_s": 5.0, "agents": HONEST}
ALONE = Fault(6.0, "followers alone reach it", "writer", 15.0)
GONE = Fault(6.0, "power loss", "writer", 25.0)


def of_followers(plan: Planned, every: int) -> Iterator[tuple[str, Plan]]:
    yield "followers tell that a host is lost", plan(GONE, failovers=1, by=18.0, **WHOLE)
    two = {**WHOLE, "daemons": 2}
    yield "a follower tells that a host is lost", plan(GONE, failovers=1, by=18.0, **two)
    blind = Fault(6.0, "the leader sees nobody", "writer", 25.0)
    yield "a leader that sees nobody, and all is well", plan(blind, failovers=0, **WHOLE)
    yield (
        "a leader that sees nobody, and then a host is lost",
        plan(blind, replace(GONE, at=14.0), failovers=1, by=24.0, **WHOLE),
    )
    for n in range(0, 10, every):
        at = round(5.0 + n * 0.37, 2)
        for number, whom in ((0, "applications and followers"), (1, "followers alone")):
            alone = replace(ALONE, at=at, number=number)
            yield f"{whom} reach it from {at} on", plan(alone, failovers=0, seed=n, **WHOLE)
            yield (
                f"{whom} reach it from {at} on, of two",
                plan(alone, failovers=0, seed=n, **two),
            )
        later = replace(GONE, at=round(at + 4.0 + n * 0.3, 2))
        yield (
            f"followers alone reach it from {at} on, and then nobody does",
            plan(
                replace(ALONE, at=at, lasts=30.0), later, failovers=1, by=later.at + 12.0, seed=n,
                **WHOLE,
            ),
        )  # fmt: skip
        for kind, lasts in (("a follower is cut from etcd", 25.0), ("a follower stalls", 9.0)):
            # Its last word is that it reaches it; it counts until its lease has ended.
            old = Fault(round(at - 0.6 + n * 0.1, 2), kind, "writer", lasts, n)
            gone = replace(GONE, at=at)
            yield (
                f"an old word: {kind} at {old.at}, and a host is lost at {at}",
                plan(old, gone, failovers=1, by=at + 15.0, seed=n, **WHOLE),
            )
            yield (
                f"an old word of two: {kind} at {old.at}, and a host is lost at {at}",
                plan(old, gone, failovers=1, by=at + 15.0, seed=n, **two),
            )
        turns = Fault(round(at + n * 0.5, 2), "cut from etcd", "writer", 9.0, 1)
        yield (
            f"followers alone reach it from {at} on, and the leader is cut off at {turns.at}",
            plan(replace(ALONE, at=at), turns, failovers=0, seed=n, **WHOLE),
        )
