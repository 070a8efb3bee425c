"""Runs that are set up on purpose: each a combination that has done, or would do, harm.

`failovers`: how many there must be, where that is certain. Moments that matter are tried one after
the other (`at` in steps), since what comes 50 ms earlier may be another story.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

from failoverd.core.policy import Choice, Mode, NodePolicy, Policy
from tests.sim.faults import Fault
from tests.sim.one_rule import one_rule
from tests.sim.plan import NAMES, Plan
from tests.sim.postgres import SyncNames
from tests.sim.scenarios_of_followers import of_followers
from tests.sim.scenarios_of_leases import of_leases
from tests.sim.scenarios_of_ways import of_ways

PG1, PG2, PG3 = NAMES
FIRST_PG2 = SyncNames(any_of=False, count=1, names=(PG2,))
ANY_1 = SyncNames(any_of=True, count=1, names=(PG2, PG3))
ANY_2 = SyncNames(any_of=True, count=2, names=(PG2, PG3))
CRASH = Fault(5.0, "crash", "writer")
GONE = Fault(5.0, "power loss", "writer", 20.0)
LATER_LAGS = Fault(4.0, "one link", "the first node", 20.0, 1)
"""pg3 receives nothing any more, in either direction."""


def plan(*faults: Fault, seed: int = 1, policy: Policy | None = None, **changes: object) -> Plan:
    nodes = {name: NodePolicy(f"10.0.0.{n}") for n, name in enumerate(NAMES, 1)}
    chosen = policy or Policy(nodes=nodes, cooldown_s=0.001, max_per_day=10)
    chosen = replace(chosen, nodes=chosen.nodes or nodes)
    base = Plan(
        seed=seed,
        faults=tuple(sorted(faults, key=lambda f: f.at)),
        policy=chosen,
        sync=None,
        agents=("", "", ""),
        daemons=1,
        rebuilds=False,
        foreign=False,
        rate_s=0.2,
    )
    return replace(base, **changes)  # type: ignore[arg-type]


def policy(**changes: object) -> Policy:
    base = Policy(nodes={}, cooldown_s=0.001, max_per_day=10)
    return replace(base, **changes)  # type: ignore[arg-type]


def nodes(**changes: NodePolicy) -> dict[str, NodePolicy]:
    return {name: changes.get(name, NodePolicy(f"10.0.0.{n}")) for n, name in enumerate(NAMES, 1)}


HONEST = ("honest", "honest", "honest")


def scenarios(every: int = 1) -> Iterator[tuple[str, Plan]]:
    """All of them; of those that differ in a moment alone, one in `every`."""
    yield from _plain()
    yield from _who_takes_over()
    yield from _synchronous()
    yield from _limits()
    yield from _nobody()
    yield from _not_dead()
    yield from _moments(every)
    yield from _daemons(every)
    yield from _people(every)
    yield from one_rule(plan, every)
    yield from of_ways(plan, 2 * every)
    yield from of_leases(plan, 2 * every)
    yield from of_followers(plan, every)


def _plain() -> Iterator[tuple[str, Plan]]:
    yield "a crash", plan(CRASH, failovers=1)
    yield "a host that is lost", plan(GONE, agents=HONEST, failovers=1)
    yield "a host that is lost, in silence", plan(GONE, agents=HONEST, rate_s=60.0, failovers=1)
    back = replace(GONE, lasts=12.0)
    yield "a host that was turned off comes back", plan(back, agents=HONEST, failovers=1)
    yield "an agent that does not answer", plan(GONE, agents=("broken",) * 3, failovers=0)
    orphan = Fault(5.0, "crash with an orphan", "writer", 30.0)
    yield "an orphan", plan(orphan, failovers=1)
    yield "an orphan, salvage off", plan(orphan, policy=policy(salvage=False), failovers=1)
    restarts = Fault(5.0, "service restarts", "writer")
    yield "a service that restarts", plan(restarts)
    yield "a clean stop", plan(Fault(5.0, "clean stop", "writer", 20.0), failovers=1)
    wait = policy(on_clean_stop=Choice.WAIT)
    yield (
        "a clean stop that is waited for",
        plan(Fault(5.0, "clean stop", "writer", 9.0, 1), policy=wait, failovers=0),
    )


def _who_takes_over() -> Iterator[tuple[str, Plan]]:
    off = {"agents": HONEST, "policy": policy(salvage=False)}
    yield "one is behind", plan(LATER_LAGS, GONE, **off, failovers=1)
    first = nodes(pg3=NodePolicy("10.0.0.3", priority=200))
    yield (
        "one is behind and preferred",
        plan(
            LATER_LAGS, GONE, agents=HONEST, policy=policy(nodes=first, salvage=False), failovers=1
        ),
    )
    never = nodes(pg2=NodePolicy("10.0.0.2", never=True))
    yield "one is never to win", plan(CRASH, policy=policy(nodes=never), failovers=1)
    held = Fault(5.0, "ssh broken", "a standby", 4.0)
    yield "one cannot be frozen", plan(GONE, held, agents=HONEST, failovers=1)
    yield "a stranger is ahead", plan(CRASH, foreign=True, failovers=1)
    paused = Fault(4.0, "replay paused", "a standby", 30.0)
    yield "the replay of one is paused", plan(CRASH, paused, failovers=1)
    away = Fault(4.5, "isolated", "another standby", 7.0)
    again = Fault(16.0, "crash", "writer", 20.0)
    yield "one is on an older timeline", plan(CRASH, away, again, rebuilds=False)
    gone_again = Fault(13.0, "power loss", "writer", 20.0)
    yield (
        "one is on an older timeline, for good",
        plan(CRASH, replace(away, lasts=8.0), gone_again, agents=HONEST),
    )


def _synchronous() -> Iterator[tuple[str, Plan]]:
    lost = Fault(5.5, "power loss", "a standby", 30.0)
    cut = Fault(4.5, "one link", "the first node", 30.0, 1)
    gone = replace(GONE, at=7.0)
    for name, sync in (("any 1", ANY_1), ("first", FIRST_PG2), ("any 2", ANY_2)):
        yield f"{name}, all at hand", plan(GONE, agents=HONEST, sync=sync, failovers=1)
        yield (
            f"{name}, one of them lost",
            plan(
                cut, lost, gone, agents=HONEST, sync=sync, failovers=1 if name == "any 2" else None
            ),
        )
        yield f"{name}, one lost, a crash", plan(cut, lost, replace(CRASH, at=7.0), sync=sync)
        never = nodes(pg2=NodePolicy("10.0.0.2", never=True))
        yield (
            f"{name}, the further one never wins",
            plan(cut, gone, agents=HONEST, sync=sync, policy=policy(nodes=never)),
        )
    no_room = Fault(4.0, "disk full", "a standby", 9.0)
    never = nodes(pg3=NodePolicy("10.0.0.3", never=True))
    yield (
        "any 1, the further one never wins, and the other has no room",
        plan(no_room, CRASH, sync=ANY_1, policy=policy(nodes=never)),
    )
    changed = Fault(4.6, "synchronous changed", "writer", 0.0, 2)
    yield (
        "a promise that was changed",
        plan(replace(cut, at=4.2), changed, lost, gone, agents=HONEST, sync=ANY_1),
    )


def _limits() -> Iterator[tuple[str, Plan]]:
    again = Fault(11.0, "crash", "writer", 30.0)
    slow = policy(cooldown_s=14.0)
    yield "again within the cooldown", plan(CRASH, again, policy=slow, rebuilds=True)
    back = Fault(10.0, "wall clock jumps", "writer", 0.0, 0)
    yield "again, and the clock set back", plan(CRASH, back, again, policy=slow, rebuilds=True)
    third = Fault(18.0, "crash", "writer", 30.0)
    for most in (1, 2):
        yield (
            f"{most} a day",
            plan(
                CRASH, again, third, policy=policy(max_per_day=most), rebuilds=True, failovers=most
            ),
        )
    behind = Fault(4.0, "cut from standbys", "writer", 30.0)
    for limit in (0, 300):
        strict = policy(max_data_loss_bytes=limit, salvage=False)
        yield f"lagging, at most {limit}", plan(behind, replace(GONE, at=8.0), agents=HONEST,
                                                policy=strict, failovers=0)  # fmt: skip
        late = replace(behind, at=7.8)
        yield (
            f"hardly lagging, at most {limit}",
            plan(late, replace(GONE, at=8.0), agents=HONEST, policy=strict),
        )
    for at in (7.9, 7.95, 7.99):
        yield f"a checkpoint that nobody has received, cut at {at}", plan(
            replace(behind, at=at), Fault(8.0, "clean stop", "writer", 30.0),
            policy=policy(salvage=False),
        )  # fmt: skip
    cut_off = Fault(5.0, "isolated", "writer", 25.0, 2)
    yield "cut off, and applications write on", plan(cut_off, agents=HONEST, failovers=1)
    yield "cut off, a slow agent", plan(cut_off, agents=("slow",) * 3, failovers=1)
    order = Fault(7.0, "order", "failover")
    yield "an order while all lag", plan(behind, order, policy=policy(salvage=False))
    strict = policy(max_data_loss_bytes=100)
    yield "salvage that finds too much lost", plan(
        behind, replace(CRASH, at=8.0), Fault(8.1, "ssh broken", "a standby", 20.0),
        Fault(8.1, "disk full", "another standby", 20.0), policy=strict,
    )  # fmt: skip


def _nobody() -> Iterator[tuple[str, Plan]]:
    both = [Fault(4.2, "power loss", who, 30.0) for who in ("a standby", "another standby")]
    yield "nobody could take over", plan(*both, replace(CRASH, at=7.0))
    order = Fault(7.0, "order", "failover")
    yield "nobody could take over, an order", plan(*both, order, failovers=0)


def _not_dead() -> Iterator[tuple[str, Plan]]:
    """What must never be fenced."""
    for kind, lasts in (
        ("cut from daemon", 15.0), ("slots full", 15.0), ("role broken", 15.0),
        ("ssh broken", 15.0), ("we are cut off", 15.0), ("daemon stalls", 4.0),
        ("slow link", 12.0), ("hang", 2.0), ("crash and restart", 0.15),
    ):  # fmt: skip
        yield (
            f"not dead: {kind}",
            plan(Fault(5.0, kind, "writer", lasts, 1), agents=HONEST, failovers=0),
        )
    yield "not dead: cut from all daemons, an order", plan(
        Fault(5.0, "cut from daemon", "writer", 20.0, 1), Fault(9.0, "order", "failover"),
        Fault(12.0, "order", "vouch"), agents=HONEST, failovers=0,
    )  # fmt: skip
    for lasts in (0.3, 1.0):
        yield (
            f"in crash recovery after {lasts}",
            plan(Fault(5.0, "crash and restart", "writer", lasts), recovery_s=9.0, agents=HONEST),
        )
    yield (
        "the journal cannot be written",
        plan(Fault(4.8, "journal fails", "writer", 9.0), CRASH, failovers=1),
    )
    for mode in (Mode.OBSERVE, Mode.MANUAL):
        yield f"{mode}", plan(CRASH, policy=policy(mode=mode), failovers=0)
    pause = Fault(4.5, "order", "pause", 9.0)
    yield "paused", plan(pause, CRASH, failovers=1)
    yield "paused for ever", plan(Fault(4.5, "order", "pause", 60.0), CRASH)
    boot = Fault(5.0, "power loss", "writer", 4.0)
    yield "booted, and its server not seen since", plan(boot, recovery_s=30.0)
    yield (
        "a word against what answers",
        plan(Fault(5.0, "ssh broken", "writer", 9.0), Fault(7.0, "order", "vouch"), failovers=0),
    )


def _moments(every: int) -> Iterator[tuple[str, Plan]]:
    """The same at one moment after the other."""
    for n in range(0, 12, every):
        lasts = round(2.9 + n * 0.15, 2)
        yield (
            f"a hang that ends after {lasts}",
            plan(Fault(5.0, "hang", "writer", lasts), agents=HONEST, seed=n),
        )
        lasts = round(0.15 + n * 0.04, 2)
        yield (
            f"a crash and a restart after {lasts}",
            plan(Fault(5.0, "crash and restart", "writer", lasts), seed=n),
        )
        at = round(5.2 + n * 0.12, 2)
        for kind in ("isolated", "crash", "slots full"):
            yield (
                f"a standby: {kind} at {at}",
                plan(CRASH, Fault(at, kind, "a standby", 2.5), seed=n),
            )
        yield f"both standbys' hosts silent at {at}", plan(
            CRASH, Fault(at, "ssh broken", "a standby", 4.0),
            Fault(at, "ssh broken", "another standby", 4.0), seed=n,
        )  # fmt: skip
        yield (
            f"promoted by hand at {at}",
            plan(CRASH, Fault(at, "promoted by hand", "another standby"), seed=n),
        )
        soon = round(5.2 + n * 0.02, 2)
        yield f"a unit restarts what is fenced, standbys silent at {soon}", plan(
            Fault(5.0, "service restarts", "writer"), Fault(soon, "ssh broken", "a standby", 6.0),
            Fault(soon, "ssh broken", "another standby", 6.0), seed=n,
        )  # fmt: skip
        ends = round(5.2 + n * 0.07, 2)
        yield f"a hang that ends after {ends}, just before the fence is tried again", plan(
            Fault(5.0, "hang", "writer", ends), Fault(4.9, "ssh broken", "writer", 4.6), seed=n
        )  # fmt: skip
        late = Fault(4.9, "daemon stalls", "writer", round(0.6 + n * 0.1, 1), 1)
        yield f"a daemon dies at {soon} for long, and another goes on", plan(
            CRASH, late, Fault(soon + 0.1, "daemon dies", "writer", 20.0, 2), daemons=2, seed=n
        )  # fmt: skip
        yield f"answers lost at {at}", plan(
            CRASH, Fault(at - 0.2, "answers lost", "the first node", 1.0, n),
            Fault(at - 0.2, "answers lost", "a standby", 1.0, n), seed=n,
        )  # fmt: skip
        yield f"started under the guard at {at}", plan(
            CRASH, Fault(at, "started under guard", "the first node"),
            Fault(at - 0.1, "ssh broken", "a standby", 3.0), seed=n,
        )  # fmt: skip
        back = round(8.0 + n * 0.7, 2) - 5.0
        yield (
            f"turned off, and back after {back:.1f}",
            plan(replace(GONE, lasts=back), agents=HONEST, seed=n),
        )
        yield (
            f"slow acts {n}",
            plan(CRASH, Fault(4.9, "slow acts", "the first node", 20.0, n), seed=n),
        )
        yield f"the standbys slow {n}", plan(
            CRASH, Fault(4.9, "slow acts", "a standby", 30.0, n),
            Fault(4.9, "slow acts", "another standby", 30.0, n + 1), seed=n,
        )  # fmt: skip


def _daemons(every: int) -> Iterator[tuple[str, Plan]]:
    for n in range(0, 12, every):
        write = Fault(4.9, "daemon dies at a write", "writer", 0.0, n)
        yield f"dies at write {n} of a failover", plan(write, CRASH, seed=n, failovers=1)
        yield f"dies at write {n}, a host lost", plan(write, GONE, agents=HONEST, seed=n)
        at = round(5.2 + n * 0.15, 2)
        dies = Fault(at, "daemon dies", "writer", 1.0, 1)
        yield f"dies at {at}", plan(CRASH, dies, seed=n, failovers=1)
        cut = Fault(at, "isolated", "a standby", 5.0)
        yield f"dies at {at}, and the candidate is lost", plan(CRASH, dies, cut, seed=n)
        stalls = Fault(at, "daemon stalls", "writer", 33.0)
        yield f"stalls at {at} for longer than a proof", plan(CRASH, stalls, seed=n)
        hands = Fault(at + 3, "promoted by hand", "another standby")
        yield (
            f"stalls at {at}, and a hand acts",
            plan(CRASH, replace(stalls, lasts=9.0), hands, seed=n),
        )
        yield f"a second daemon, seed {n}", plan(CRASH, seed=n, daemons=2)
    again = Fault(15.0, "crash", "writer", 20.0)
    lost = Fault(11.0, "journal lost", "writer", 1.0)
    yield "the journal is lost, and then a crash", plan(CRASH, lost, again, rebuilds=True)


def _people(every: int) -> Iterator[tuple[str, Plan]]:
    for word in ("failover", "failover to", "accept loss"):
        yield f"{word}, all well", plan(Fault(5.0, "order", word), failovers=1)
        yield (
            f"{word}, one hung",
            plan(Fault(5.0, "hang", "writer", 20.0), Fault(6.0, "order", word), failovers=1),
        )
    for n in range(0, 8, every):
        at = round(5.25 + n * 0.2, 2)
        for word in ("pause", "failover", "unfence", "fence", "adopt", "ack"):
            yield f"{word} at {at}", plan(
                CRASH, Fault(at, "order", word, 5.0), rate_s=0.4, seed=n,
                recovery_s=0.5,
            )  # fmt: skip
            slow = Fault(4.9, "slow acts", "the first node", 20.0, 1)
            yield (
                f"{word} at {at}, slowly",
                plan(CRASH, slow, Fault(at, "order", word, 5.0), seed=n),
            )
    yield (
        "an old primary is started read-write",
        plan(CRASH, Fault(12.0, "started by hand", "the first node"), failovers=1),
    )
    yield "turned off and vouched for", plan(
        Fault(5.0, "isolated", "writer", 30.0, 1),
        Fault(14.0, "turned off and vouched", "writer"), failovers=1,
    )  # fmt: skip
    for n in range(0, 6, every):
        yield (
            f"an old primary set up as another's standby {n}",
            plan(CRASH, Fault(9.0 + n, "started under guard", "the first node"), seed=n),
        )
