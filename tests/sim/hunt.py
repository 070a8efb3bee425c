"""`python -m tests.sim.hunt RUN...`: the first of these runs that breaks anything, or none.

A run is a scenario's name or a seed. An exception of the decisions is a finding, too.
"""

from __future__ import annotations

import sys
from collections.abc import Iterable, Iterator

from tests.explore import pair
from tests.explore.explorer import explore as explored
from tests.explore.rules import healed, in_order, settles
from tests.explore.rules import invariants as explored_invariants
from tests.explore.scenarios import SCENARIOS, Scenario
from tests.explore.world import policy_of
from tests.sim.one_rule import one_rule
from tests.sim.plan import plan_of
from tests.sim.scenarios import plan, scenarios
from tests.sim.scenarios_of_leases import of_leases
from tests.sim.scenarios_of_ways import of_ways
from tests.sim.simulation import run_plan

MOST_STATES = 600
"""Of one small world: a defect may make it larger than it is."""
IN_ALL = 6_000
"""Of all small worlds together: small ones come first."""
TWO_DAEMONS = "two daemons, a fault of any kind"
MOST_PAIRS = 10_000
"""Of these: without a defect there are fewer, and all of them are gone through."""


def runs(names: Iterable[str], every: int, seeds: Iterable[int]) -> Iterator[str]:
    """Those named first; scenarios in which one rule stands alone; the others; then seeds."""
    alone, others = one_rule(plan, every), scenarios(every * 3)
    ways = (*of_ways(plan, every * 3), *of_leases(plan, every * 3))
    all_of_them = [
        *names,
        *(n for n, _ in ways),
        *(n for n, _ in alone),
        *(n for n, _ in others),
        *map(str, seeds),
    ]
    yield from dict.fromkeys(all_of_them)


def simulated(names: Iterable[str]) -> tuple[str, str] | None:
    """Which of these runs breaks a rule, and which one."""
    plans = dict(scenarios())
    for name in names:
        plan = plans.get(name) or (plan_of(int(name)) if name.isdigit() else None)
        found = run_plan(plan).broken if plan is not None else ""
        if found:
            return name, found
    return None


def size(scenario: Scenario) -> int:
    """About how large its world is, to begin with small ones."""
    budget = scenario.budget
    counts = (budget.crashes, budget.hangs, budget.cuts, budget.losses, budget.restarts,
              budget.standbys_lost, budget.lost_answers, budget.failures, budget.kills,
              budget.pauses, budget.hands, len(budget.orders))  # fmt: skip
    return sum(counts) * scenario.standbys


def explored_in(names: Iterable[str]) -> tuple[str, str] | None:
    """The same of two daemons, and of the explorer's worlds."""
    left = IN_ALL
    for name in names:
        wrong = None
        try:
            if name == TWO_DAEMONS:
                _explored_with_two()
            elif name in SCENARIOS and left > 0:
                states, wrong = _explored(SCENARIOS[name])
                left -= states
        except Exception as broken:  # noqa: BLE001 - whatever it is, the daemon would have fallen
            text = str(broken) or repr(broken)
            return name, text.splitlines()[0]
        if wrong is not None:
            return name, wrong
    return None


def _explored_with_two() -> None:
    any_fault = pair.any_of(1, orders=False)
    pair.explore(policy_of(1), any_fault, 1, standbys=1, passes=0, most=MOST_PAIRS)


def _explored(scenario: Scenario) -> tuple[int, str | None]:
    """States, and what is wrong with what was healed in the end. Raises where a rule is broken."""
    found = explored(
        scenario.policy, scenario.budget, explored_invariants, standbys=scenario.standbys,
        known=scenario.known, agent=scenario.agent, limit=MOST_STATES, sample_every=59,
    )  # fmt: skip
    for node in found.sample:
        end = settles(healed(node), scenario.policy)
        by_hand = node.hands_used or node.vouched
        watched = type(end.machine.state).__name__ == "Watching"
        wrong = in_order(end) if watched and not by_hand else None
        if wrong is not None:
            return found.states, wrong
    return found.states, None


def small_worlds(first: Iterable[str]) -> list[str]:
    by_size = sorted(SCENARIOS, key=lambda n: size(SCENARIOS[n]))
    return list(dict.fromkeys([*first, TWO_DAEMONS, *by_size]))


def main() -> int:
    found = simulated(sys.argv[1:])
    print("none" if found is None else f"{found[0]}|{found[1]}")  # noqa: T201
    return 0 if found is None else 1


if __name__ == "__main__":
    sys.exit(main())
