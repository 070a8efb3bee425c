"""What is said at the end of an act that was followed."""

from __future__ import annotations

import pytest

from failoverd.cli.following import SERVES, as_it_is, taken_back
from failoverd.core.diagnosis import FINE


def test_only_a_primary_that_serves_is_said_to_be_as_before():
    assert frozenset(FINE) == SERVES
    assert as_it_is("pg1", {"diagnosis": "healthy"}) == "pg1 is the primary as before"
    blocked = {"diagnosis": "crashed", "blocked": {"advice": "failoverd unfence pg1"}}
    said = "nobody has replaced pg1, which is crashed: failoverd unfence pg1"
    assert as_it_is("pg1", blocked) == said
    suspect = {"diagnosis": "crashed", "blocked": None}
    assert as_it_is("pg1", suspect).endswith("failoverd status says what is tried")


@pytest.mark.parametrize(
    ("state", "diagnosis", "over"),
    [
        ("reverting", "healthy", False),
        ("watching", "recovering", False),
        ("suspect", "recovering", False),
        ("watching", "sync_blocked", True),
        ("blocked", "crashed", True),
    ],
)
def test_a_way_back_is_followed_until_somebody_serves_or_nothing_goes_forward(
    state, diagnosis, over
):
    assert taken_back({"state": state, "diagnosis": diagnosis}) is over
