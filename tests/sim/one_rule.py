"""Runs in which one rule stands alone: what would else be caught by a second one is taken away."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import replace

from failoverd.core.policy import Choice, NodePolicy, Policy
from tests.sim.faults import Fault
from tests.sim.plan import NAMES, Plan
from tests.sim.postgres import SyncNames

Planned = Callable[..., Plan]
HONEST = ("honest", "honest", "honest")
PG1, PG2, PG3 = NAMES
CRASH = Fault(5.0, "crash", "writer")
GONE = Fault(6.0, "power loss", "writer", 20.0)
BOTH = ("a standby", "another standby")


def _policy(**changes: object) -> Policy:
    return replace(Policy(nodes={}, cooldown_s=0.001, max_per_day=10), **changes)  # type: ignore[arg-type]


def one_rule(plan: Planned, every: int) -> Iterator[tuple[str, Plan]]:
    yield from _looks(plan, every)
    yield from _dead_or_not(plan)
    yield from _others(plan, every)
    yield from _asked(plan, every)
    yield from _managed(plan, every)
    yield from _switchovers(plan, every)


def _looks(plan: Planned, every: int) -> Iterator[tuple[str, Plan]]:
    """What is heard, by whom, and who could try."""
    deaf = [Fault(5.0, "one link", who, 15.0, 0) for who in BOTH]
    cut = Fault(5.0, "cut from daemon", "writer", 15.0, 1)
    yield "nobody can connect, and standbys hear it", plan(cut, *deaf, agents=HONEST, failovers=0)
    hung = [Fault(4.2, "hang", who, 20.0) for who in BOTH]
    yield "standbys hang, and then a host is lost", plan(*hung, GONE, agents=HONEST)
    away = [Fault(4.0, "ssh broken", who, 25.0) for who in BOTH]
    yield "nobody else could try", plan(*away, replace(GONE, at=8.0), agents=HONEST, failovers=0)
    for n in range(0, 10, every):
        lasts = round(2.05 + n * 0.13, 2)
        yield (
            f"a hang that ends after {lasts}, in silence",
            plan(Fault(5.0, "hang", "writer", lasts), agents=HONEST, rate_s=60.0, seed=n),
        )
        late = Fault(round(5.1 + n * 0.4, 2), "daemon stalls", "writer", round(0.6 + n * 0.2, 2))
        yield (
            f"a daemon stalls beside a host that is lost {n}",
            plan(replace(GONE, at=5.0), late, agents=HONEST, seed=n),
        )
        full = Fault(round(5.19 + n * 0.03, 2), "journal fails", "writer", 2.0)
        yield f"the journal fails in the middle of it, at {full.at}", plan(CRASH, full, seed=n)
    fails = Fault(5.2, "journal fails", "writer", 6.0)
    yield "the journal fails beside a host that is lost", plan(GONE, fails, agents=HONEST)


def _dead_or_not(plan: Planned) -> Iterator[tuple[str, Plan]]:
    first = Fault(0.0, "ssh broken", "the first node", 6.0)
    yield "a host that was never seen to see its server", plan(first, CRASH)
    left = Fault(5.0, "booted and left", "writer", 3.0)
    yield "booted, and its server is left as it is", plan(left)
    cut = Fault(4.5, "one link", "the first node", 20.0, 1)
    yield "a standby does not hear that its primary died", plan(cut, replace(CRASH, at=5.5))
    slow = Fault(4.9, "slow acts", "the first node", 2.0, 0)
    restarted = Fault(5.0, "crash and restart", "writer", 0.4)
    yield "started again while the stop is on its way", plan(slow, restarted)
    lost = Fault(5.1, "answers lost", "the first node", 9.0, 2)
    started = Fault(5.5, "started under guard", "the first node")
    by_hand = Fault(6.2, "promoted by hand", "the first node")
    yield "started under our guard while its fence is not proved", plan(CRASH, lost, started)
    yield (
        "made the primary again while its fence is not proved",
        plan(CRASH, lost, started, by_hand),
    )
    for at in (5.248, 5.249, 5.25, 5.251, 5.252, 5.253, 5.254):
        stalls = Fault(at, "daemon stalls", "writer", 33.0)
        yield f"a proof that is old when it is told, stalled at {at}", plan(CRASH, stalls)
    stop = Fault(5.0, "clean stop", "writer", 20.0)
    slow = _policy(failures=6)
    yield "a clean stop, and a long threshold", plan(stop, policy=slow)
    yield "a host that is lost, and a long threshold", plan(GONE, agents=HONEST, policy=slow)
    behind = Fault(4.0, "cut from standbys", "writer", 30.0)
    crash = replace(CRASH, at=8.0)
    yield "all lag, and nothing is salvaged", plan(behind, crash, policy=_policy(salvage=False))
    away = Fault(6.64, "isolated", "writer", 4.6, 2)
    stalls = Fault(10.27, "daemon stalls", "writer", 2.4)
    yield "a link heals while a fence looks at the host", plan(away, stalls, seed=26)
    full = Fault(5.0, "disk full", "writer", 20.0)
    forgets = Fault(9.0, "journal lost", "writer", 1.0)
    gives_up = _policy(on_unwritable=Choice.FAILOVER)
    yield (
        "never seen to write by a daemon that has forgotten it",
        plan(replace(full, at=8.5), forgets, policy=gives_up, failovers=0),
    )
    wait = _policy(on_half_hung=Choice.WAIT)
    yield "half hung", plan(Fault(5.0, "half hang", "writer", 15.0), policy=wait, failovers=0)


def _others(plan: Planned, every: int) -> Iterator[tuple[str, Plan]]:
    """Hands, other settings, another mode."""
    nodes = {name: NodePolicy(f"10.0.0.{n}") for n, name in enumerate(NAMES, 1)}
    nodes[PG3] = NodePolicy("10.0.0.3", priority=200)
    yield "the preferred one has lower settings", plan(CRASH, policy=_policy(nodes=nodes),
                                                       small=True)  # fmt: skip
    for n in range(0, 8, every):
        at = round(5.02 + n * 0.12, 2)
        started = Fault(at, "standby started read-write", "another standby")
        yield f"a standby is started read-write at {at}", plan(CRASH, started, seed=n)
        hangs = Fault(5.0, "hang", "writer", 20.0)
        yield f"a hang, and a standby is started read-write at {at}", plan(hangs, started, seed=n)
        slowly = Fault(4.9, "slow acts", "a standby", 9.0, 1)
        at_once = round(5.45 + n * 0.1, 2)
        for kind, whom in (
            ("promoted by hand", "another standby"),
            ("standby started read-write", "another standby"),
            ("started by hand", "the first node"),
        ):
            yield (
                f"while standbys are frozen slowly: {kind} at {at_once}",
                plan(CRASH, slowly, Fault(at_once, kind, whom), seed=n),
            )
        held = Fault(5.0, "ssh broken", "writer", round(1.0 + n * 0.3, 1))
        later = Fault(round(5.5 + n * 0.5, 1), "promoted by hand", "another standby")
        yield f"promoted by hand while the fence waits {n}", plan(CRASH, held, later, seed=n)
        observes = Fault(round(5.6 + n * 0.3, 2), "mode observe", "writer", 8.0)
        yield f"told to observe only at {observes.at}", plan(CRASH, observes, seed=n)
        back = Fault(round(6.0 + n * 0.4, 1), "stopped, and started by hand", "the first node")
        yield f"an old primary is started read-write at {back.at}", plan(CRASH, back, seed=n)
        away = Fault(round(8.2 + n * 0.1, 2), "ssh broken", "another standby", 12.0)
        yield (
            f"a way back, and a standby out of reach at {away.at}",
            plan(
                Fault(4.0, "cut from standbys", "writer", 30.0), replace(CRASH, at=8.0), away,
                Fault(8.1, "disk full", "a standby", 20.0), policy=_policy(max_data_loss_bytes=100),
                seed=n,
            ),
        )  # fmt: skip
        beside = Fault(round(9.5 + n * 0.9, 1), "standby started read-write", "another standby")
        yield (
            f"a way back, and a standby is started read-write at {beside.at}",
            plan(
                Fault(5.0, "hang", "writer", 3.5), Fault(4.9, "ssh broken", "writer", 25.0),
                beside, seed=n,
            ),
        )  # fmt: skip
    left = Fault(5.0, "booted and left", "writer", 9.0)
    yield "turned off, and booted without its server", plan(left, agents=HONEST)
    deaf = (Fault(5.0, "hang", "writer", 3.5), Fault(4.9, "ssh broken", "writer", 25.0))
    full = Fault(8.0, "slots full", "the first node", 20.0)
    word = [Fault(at, "order", "vouch") for at in (13.0, 14.3, 15.7, 17.1)]
    yield "a word against what refuses connections", plan(*deaf, full, *word, failovers=0)
    any_1 = SyncNames(any_of=True, count=1, names=(PG2, PG3))
    behind = Fault(4.5, "one link", "the first node", 30.0, 1)
    more = Fault(5.5, "synchronous changed", "writer", 0.0, 3)
    yield "a promise that is raised, and one lags", plan(behind, more, sync=any_1, failovers=0)
    never = dict(nodes)
    never[PG2] = NodePolicy("10.0.0.2", never=True)
    one = Fault(4.5, "one link", "the first node", 30.0, 1)
    yield "what was promised is on one that never wins", plan(
        one, CRASH, sync=any_1, policy=_policy(nodes=never, salvage=False), failovers=0,
    )  # fmt: skip


def _asked(plan: Planned, every: int) -> Iterator[tuple[str, Plan]]:
    """Somebody was asked to promote, and will be in three seconds; until then much may happen."""
    for n in range(0, 8, every):
        at = round(5.42 + n * 0.03, 2)
        dies = Fault(round(at + 0.05, 2), "daemon dies", "writer", 1.0, 1)
        for kind in ("hang", "isolated", "cut from daemon", "machine paused", "ssh broken"):
            lost = Fault(at, kind, "a standby", 12.0, 1)
            yield f"asked, and then {kind} at {at}", plan(CRASH, lost, promotes_in=3.0, seed=n)
            yield (
                f"asked, and then {kind} at {at}, the daemon dies",
                plan(CRASH, lost, dies, promotes_in=3.0, seed=n),
            )
        lost = Fault(at, "isolated", "a standby", 30.0, 1)
        later = Fault(round(at + 5.0 + n, 2), "daemon dies", "writer", 1.0, 1)
        yield (
            f"asked, and cut off at {at}, the daemon dies while it waits",
            plan(CRASH, lost, later, promotes_in=3.0, seed=n),
        )
        beside = Fault(round(at + 0.8, 2), "standby started read-write", "another standby")
        yield (
            f"asked, and another is started read-write at {beside.at}",
            plan(CRASH, beside, promotes_in=3.0, seed=n),
        )
        lost = Fault(at, "isolated", "a standby", 9.0, 1)
        for kind, whom in (
            ("order", "unfence"), ("order", "failover"), ("order", "pause"), ("order", "ack"),
            ("started by hand", "the first node"), ("started under guard", "the first node"),
            ("promoted by hand", "another standby"),
        ):  # fmt: skip
            yield (
                f"asked at {at}, and then {kind} {whom}",
                plan(CRASH, lost, Fault(at + 2.0, kind, whom), promotes_in=3.0, seed=n),
            )


def _managed(plan: Planned, every: int) -> Iterator[tuple[str, Plan]]:
    """`synchronous: managed`: the names follow who keeps up, and the promise with them."""
    for n in range(0, 8, every):
        for count in (1, 2):
            managed = _policy(synchronous_managed=True, synchronous_count=count)
            lost = Fault(5.0, "power loss", "a standby", round(3.0 + n * 0.8, 1))
            away = Fault(round(6.0 + n * 0.6, 1), "cut from standbys", "writer", 3.0)
            crash = replace(CRASH, at=round(7.0 + n * 0.45, 2))
            for kind, faults in (
                ("a standby is lost, a crash", (lost, crash)),
                ("all standbys away, a crash", (away, crash)),
                ("a standby lost, a host lost", (lost, replace(GONE, at=crash.at))),
                (
                    "the daemon dies",
                    (lost, crash, Fault(crash.at - 0.4, "daemon dies", "", 1.0, 1)),
                ),
            ):
                yield (
                    f"managed {count}, {kind} {n}",
                    plan(*faults, policy=managed, agents=HONEST, seed=n),
                )


def _switchovers(plan: Planned, every: int) -> Iterator[tuple[str, Plan]]:
    rejoins = _policy(can_rejoin=True, rejoin_delay_s=1.0)
    order = Fault(5.0, "order", "switchover")
    yield "a switchover", plan(order, policy=rejoins, failovers=1)
    back = Fault(12.0, "order", "switchover")
    yield "a switchover and another", plan(order, back, policy=rejoins, failovers=2)
    yield "a switchover in 2 s", plan(Fault(5.0, "order", "switchover later"), policy=rejoins,
                                      failovers=1)  # fmt: skip
    for n in range(0, 10, every):
        at = round(5.005 + n * 0.06, 3)
        for kind, whom in (
            ("crash", "the first node"), ("cut from standbys", "the first node"),
            ("ssh broken", "the first node"), ("crash", "a standby"), ("isolated", "a standby"),
            ("answers lost", "a standby"), ("answers lost", "the first node"),
            ("slow stop", "the first node"), ("power loss", "the first node"),
        ):  # fmt: skip
            yield (
                f"a switchover, {kind} of {whom} at {at}",
                plan(order, Fault(at, kind, whom, 4.0, n), policy=rejoins, agents=HONEST, seed=n),
            )
        dies = Fault(4.9, "daemon dies at a write", "writer", 0.0, n)
        yield (
            f"a switchover, the daemon dies at write {n}",
            plan(dies, order, policy=rejoins, seed=n),
        )
