"""What is looked through for garbage, and how often."""

from __future__ import annotations

import gc

import pytest

from failoverd.daemon.garbage import leave_alone_what_came, leave_alone_what_stays


@pytest.fixture
def as_before():
    thresholds, enabled = gc.get_threshold(), gc.isenabled()
    yield
    gc.unfreeze()
    gc.set_threshold(*thresholds)
    if not enabled:
        gc.disable()


def looks_while_replaced(clusters, rounds):
    """How many looks for garbage there are, while each round makes a cluster's facts anew."""
    seen = []

    def note(phase, _):
        if phase == "start":
            seen.append(phase)

    leave_alone_what_stays()
    known = [[] for _ in range(clusters)]
    leave_alone_what_came(clusters)
    gc.callbacks.append(note)
    try:
        for _ in range(rounds):
            for number in range(clusters):
                known[number] = [[] for _ in range(150)]
    finally:
        gc.callbacks.remove(note)
    return len(seen)


@pytest.mark.usefixtures("as_before")
def test_rounds_of_a_thousand_clusters_cause_no_look_for_garbage():
    assert looks_while_replaced(1000, 3) == 0


@pytest.mark.usefixtures("as_before")
def test_what_refers_to_itself_is_found_as_it_grows():
    leave_alone_what_stays()
    leave_alone_what_came(16)
    before = gc.get_stats()[0]["collected"]
    for _ in range(50_000):
        one = []
        one.append(one)
    assert gc.get_stats()[0]["collected"] > before


@pytest.mark.usefixtures("as_before")
def test_what_one_cluster_leaves_behind_is_found_before_it_is_a_megabyte():
    leave_alone_what_stays()
    leave_alone_what_came(1)
    before = gc.get_stats()[0]["collected"]
    for _ in range(3_000):
        one = []
        one.append(one)
    assert gc.get_stats()[0]["collected"] > before


@pytest.mark.usefixtures("as_before")
def test_what_came_is_not_looked_through():
    leave_alone_what_stays()
    came = [[] for _ in range(5_000)]
    before = gc.get_freeze_count()
    leave_alone_what_came(1)
    assert gc.get_freeze_count() - before >= len(came)
