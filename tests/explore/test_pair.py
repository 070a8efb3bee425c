"""Two daemons over one small world: every order of the first events, none left out."""

from __future__ import annotations

import pytest

from tests.explore.node import Budget
from tests.explore.pair import Two, any_of, explore
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


@pytest.mark.timeout(900)
def test_while_the_turn_never_passes_one_fault_is_gone_through_to_its_end():
    found = explore(policy_of(1), any_of(1, orders=False), 1, standbys=1, passes=0)
    assert found.whole
    assert found.depth > 60, "no failover takes fewer steps, from the fault to the end"


def after(two, pair, *told):
    """The pair after these, of which each is whose move it is and what it begins with."""
    for who, what in told:
        pair = next(p for by, m, p in two.moves(pair) if by == who and m.what.startswith(what))
    return pair


def two_daemons(budget, total):
    two = Two(policy_of(1))
    return two, two.beginning(budget, total, 1, agent=False, passes=0)


def test_an_order_to_one_daemon_and_to_the_other_are_mirror_images():
    two, start = two_daemons(ORDER, 0)
    to_a, to_b = after(two, start, (1, "failover")), after(two, start, (2, "failover"))
    assert to_a.a.same != to_b.a.same
    assert two.key_of(to_a) == two.key_of(to_b)


def test_a_second_of_silence_and_two_are_told_apart_though_python_gives_them_one_hash():
    assert hash(-1) == hash(-2)
    two, start = two_daemons(CRASH, 1)
    crashed = after(two, start, (0, "pg1 crashes"), (1, "seen"), (2, "seen"))
    later = two.sides.later(crashed.b, 1.0)
    assert two.sides.later(later, 1.0).same != later.same


def test_of_a_kind_no_more_is_told_apart_than_can_come():
    two, start = two_daemons(any_of(2, orders=False), 2)
    left = {two.lucks.values[p.luck] for by, m, p in two.moves(start) if m.spent}
    assert [luck.total for luck in left] == [1]


def test_what_a_rule_says_ends_the_search_with_the_way_that_led_there(monkeypatch):
    def nobody_promotes(before, found):
        assert found.machine.asked == frozenset(), "somebody is asked to promote"

    monkeypatch.setattr("tests.explore.sides.invariants", nobody_promotes)
    with pytest.raises(AssertionError, match="somebody is asked") as broken:
        explore(policy_of(1), CRASH, 1, standbys=1, passes=0)
    assert "pg1 crashes -> a: " in str(broken.value)
