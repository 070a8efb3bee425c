"""Two daemons over one small world: every order of the first events, none left out."""

from __future__ import annotations

import pytest

from tests.explore.node import Budget
from tests.explore.pair import explore
from tests.explore.world import policy_of

CRASH = Budget(crashes=1)
ORDER = Budget(orders=frozenset({"failover"}))
FAILS = Budget(crashes=1, failures=1, kills=1)
SCENARIOS = {
    "a crash": (CRASH, 1, 13),
    "a crash, and one more of anything": (FAILS, 2, 11),
    "an order to fail over": (ORDER, 0, 11),
}


@pytest.mark.parametrize("name", SCENARIOS)
@pytest.mark.timeout(900)
def test_two_daemons_that_know_nothing_of_each_other_break_no_rule(name):
    budget, total, deep = SCENARIOS[name]
    found = explore(policy_of(1), budget, total, standbys=1, deep=deep)
    print(f"\n{name}: {found.line}")  # noqa: T201
    assert found.depth == deep
    assert found.states > 100
