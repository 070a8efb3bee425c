"""Which daemon may act, until when, and whose act a host refuses."""

from __future__ import annotations

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from failoverd.core.leadership import (
    ACTS_EXPIRE_S,
    SHORTEST_TTL_S,
    Lease,
    Term,
    admits,
    frozen_slot,
    leaves_it,
    may_act,
    owner,
    parted,
)
from failoverd.core.model import DaemonReport, Epoch, Instant, NodeName

A, B, LONER = owner("c0ffee", Term(7)), owner("c0ffee", Term(9)), owner("c0ffee", Term(0))
STRANGER = owner("decade", Term(8))


def held(since=100.0, ttl_s=5.0):
    return Lease(Term(7), Instant(since), ttl_s)


def test_without_a_lease_nobody_acts():
    assert not may_act(None, Instant(0.0))


def test_a_lease_counts_from_before_it_was_asked_for_and_ends_before_it_is_anybody_elses():
    assert may_act(held(), Instant(102.99))
    assert not may_act(held(), Instant(103.0))


@given(st.floats(SHORTEST_TTL_S, 60), st.floats(0, 120))
def test_no_act_of_one_holder_is_begun_on_its_target_when_another_may_hold_the_lease(ttl, later):
    lease, now = held(ttl_s=ttl), Instant(100.0 + later)
    if may_act(lease, now):
        assert now + ACTS_EXPIRE_S <= lease.renewed_at + lease.ttl_s + 1e-9


@pytest.mark.parametrize(
    ("seen", "asked", "admitted"),
    [
        ((0, ""), (1, A), True),
        ((4, A), (4, A), True),
        ((4, A), (4, B), True),  # who takes an incident up goes on under its number
        ((4, B), (4, A), False),  # and whoever had it before is refused from then on
        ((4, B), (3, B), False),
        ((4, B), (5, A), True),
        ((4, A), (4, STRANGER), False),
        ((4, LONER), (4, A), True),  # the daemon that was alone is now one of several
        ((4, A), (4, LONER), False),
        ((4, ""), (4, STRANGER), True),
    ],
)
def test_a_host_acts_for_the_latest_epoch_and_within_it_for_the_latest_term(seen, asked, admitted):
    assert admits(seen, asked) is admitted


@given(
    st.lists(st.tuples(st.integers(1, 3), st.integers(1, 4)), min_size=1, max_size=12),
)
def test_what_a_host_has_acted_for_never_goes_back(asks):
    seen = (Epoch(0), "")
    for number, term in asks:
        asked = (Epoch(number), owner("c0ffee", Term(term)))
        if admits(seen, asked):
            before, seen = seen, asked
            assert (seen[0], parted(seen[1])[1]) >= (before[0], parted(before[1])[1])


def test_who_reaches_nothing_leaves_it_to_one_that_says_just_now_that_it_does():
    able = [DaemonReport("b", NodeName("pg1"), False, Instant(104.0))]
    assert leaves_it(Instant(100.0), able, Instant(105.0))
    assert not leaves_it(Instant(101.0), able, Instant(105.0))
    assert not leaves_it(None, able, Instant(105.0))
    assert not leaves_it(Instant(90.0), [], Instant(105.0))
    assert not leaves_it(Instant(90.0), able, Instant(110.0))  # it has not said so for a while
    assert not leaves_it(Instant(90.0), [replace(able[0], blind=True)], Instant(105.0))


def test_the_mark_of_a_frozen_standby_tells_the_holders_of_one_incident_apart():
    assert frozen_slot(Epoch(4), A) == "failoverd_frozen_4_7"
    assert frozen_slot(Epoch(4), B) == "failoverd_frozen_4_9"
    assert frozen_slot(Epoch(4), LONER) == "failoverd_frozen_4"
