"""When an expired dead-man is a proof, and when it is only silence."""

from __future__ import annotations

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from failoverd.core.dead_man import ArmedFor, DeadMan, Window, sent_by_host_clock, window
from failoverd.core.model import Instant, NodeName

PG2, PG3 = NodeName("pg2"), NodeName("pg3")
LIFE = ArmedFor("8b4a3c0f-d2e4-4fe8-9442-3505baa0941a", 100, "1795431357")
ARMED = DeadMan(LIFE, frozenset({PG2, PG3}), sent_at=Instant(100.0), acknowledged_at=Instant(100.0))


def frozen(pg2: float, pg3: float):
    return {PG2: Instant(pg2), PG3: Instant(pg3)}


def held(dead_man, frozen_at, now):
    found = window(dead_man, LIFE, frozen_at)
    return found is not None and found.holds(Instant(now))


def test_with_the_standbys_frozen_early_it_counts_from_the_end_of_the_ttl():
    assert window(ARMED, LIFE, frozen(101, 102)) == Window(Instant(108.0), Instant(150.0))


def test_with_a_standby_frozen_late_it_counts_from_that_freeze():
    assert window(ARMED, LIFE, frozen(101, 120)) == Window(Instant(123.0), Instant(150.0))


@pytest.mark.parametrize(
    ("now", "provable"), [(107.99, False), (108.0, False), (108.01, True), (149.99, True)]
)
def test_three_seconds_must_lie_behind_it(now, provable):
    assert held(ARMED, frozen(101, 102), now) is provable


@pytest.mark.parametrize("now", [150.0, 160.0, 1000.0])
def test_fifty_seconds_after_the_last_renewal_it_proves_nothing_any_more(now):
    found = window(ARMED, LIFE, frozen(101, 102))
    assert not found.holds(Instant(now))
    assert found.opens(Instant(now)) is None


def test_it_says_from_when_on_it_will_be_provable():
    found = window(ARMED, LIFE, frozen(101, 102))
    assert found.opens(Instant(103.0)) == 108.0
    assert found.opens(Instant(120.0)) == 120.0


def test_frozen_so_late_that_it_may_have_disarmed_itself_it_never_is():
    found = window(ARMED, LIFE, frozen(101, 147))
    assert found.opens(Instant(147.0)) is None
    assert not found.holds(Instant(150.0))


def test_a_renewal_of_which_nobody_knows_whether_it_came_delays_the_proof_and_prolongs_nothing():
    unanswered = replace(ARMED, sent_at=Instant(140.0))
    assert window(unanswered, LIFE, frozen(101, 102)) == Window(Instant(148.0), Instant(150.0))
    still_sending = replace(ARMED, sent_at=Instant(145.0))
    assert window(still_sending, LIFE, frozen(101, 102)).opens(Instant(146.0)) is None


def test_one_standby_that_is_not_frozen_might_answer_it():
    assert window(ARMED, LIFE, {PG2: Instant(101.0)}) is None
    assert window(ARMED, LIFE, {}) is None


def test_a_standby_that_it_does_not_ask_does_not_matter():
    more = {**frozen(101, 102), NodeName("pg4"): Instant(140.0)}
    assert window(ARMED, LIFE, more) == window(ARMED, LIFE, frozen(101, 102))


def test_a_dead_man_that_asks_nobody_proves_nothing():
    assert window(replace(ARMED, standbys=frozenset()), LIFE, frozen(101, 102)) is None


@pytest.mark.parametrize(
    "other",
    [
        replace(LIFE, boot_id="00000000-0000-0000-0000-000000000000"),
        replace(LIFE, postmaster_pid=101),
        replace(LIFE, postmaster_started="1795431358"),
        None,
    ],
)
def test_it_must_have_been_armed_for_this_boot_and_this_postmaster(other):
    assert window(ARMED, other, frozen(101, 102)) is None


def test_an_arming_that_was_never_acknowledged_proves_nothing():
    assert window(None, LIFE, frozen(101, 102)) is None


def test_a_longer_ttl_is_waited_for():
    assert window(replace(ARMED, ttl_s=20.0), LIFE, frozen(101, 102)).begin == 123.0


@given(
    sent=st.floats(0, 100),
    lag=st.floats(0, 100),
    frozen_at=st.floats(0, 200),
    now=st.floats(0, 300),
)
def test_what_opens_holds_right_after_and_not_before(sent, lag, frozen_at, now):
    dead_man = replace(ARMED, sent_at=Instant(sent + lag), acknowledged_at=Instant(sent))
    found = window(dead_man, LIFE, frozen(frozen_at, frozen_at))
    opens = found.opens(Instant(now))
    if found.holds(Instant(now)):
        assert opens == now
    elif opens is not None:
        assert opens >= max(sent + lag + 5.0, frozen_at) + 3.0
        assert opens < sent + 50.0


def test_the_age_of_a_renewal_is_told_by_the_hosts_clock():
    assert sent_by_host_clock(500.25, Instant(10.0), Instant(11.5)) == 50175


def test_an_answer_from_the_future_makes_no_renewal_older():
    assert sent_by_host_clock(500.25, Instant(10.0), Instant(9.0)) == 50025
