"""`synchronous: managed`: the names follow the standbys that keep up, and the promise with them."""

from __future__ import annotations

from dataclasses import replace

import pytest

from failoverd.core.effects import Promote, SetSynchronous
from failoverd.core.election import Terms, elect
from failoverd.core.events import Observed, SynchronousSet
from failoverd.core.incident import EntryKind, describe
from failoverd.core.memory import observe
from failoverd.core.model import Lsn
from failoverd.core.policy import NodePolicy
from failoverd.core.promise import Promise, promised
from tests.unit.scenes import three_promoting
from tests.unit.vocabulary import (
    FAILED,
    HERE,
    HOSTS,
    PG2,
    PG3,
    TRIO,
    WORDS,
    cut_off,
    dead,
    gone,
    healthy,
    sender,
    streaming,
    view,
    watching,
)

MANAGED = replace(TRIO, synchronous_managed=True)
BOTH = 'ANY 1 ("pg2", "pg3")'
ONE = 'ANY 1 ("pg2")'


def member(node, lsn=HERE):
    return sender(node, "quorum", lsn)


def primary(names, *senders, lsn=HERE):
    return healthy(lsn, sync=names, senders=senders)


def asked(daemon):
    return [e.names for e in daemon.asked(SetSynchronous)]


def both_named():
    """Both standbys are waited for, and have flushed what there is."""
    whole = primary(BOTH, member(PG2), member(PG3))
    return watching(MANAGED, primary=whole)


def one_dropped():
    """pg3 was lost, and the primary has taken the setting that names pg2 alone."""
    daemon = both_named()
    for _ in range(5):
        daemon.sees(primary(BOTH, member(PG2)), streaming(), gone())
    daemon.answered(SetSynchronous, SynchronousSet(WORDS))
    return daemon


def test_the_names_are_any_k_of_the_standbys_that_keep_up():
    daemon = watching(MANAGED, primary=primary("", sender(PG2)))
    assert asked(daemon) == [ONE]
    daemon.sees(primary("", member(PG2), member(PG3)), streaming(), streaming())
    assert asked(daemon) == [BOTH]
    two = replace(MANAGED, synchronous_count=2)
    daemon = watching(two, primary=primary("", member(PG2), member(PG3)))
    assert asked(daemon) == ['ANY 2 ("pg2", "pg3")']


def test_a_setting_that_says_the_same_in_other_words_is_left_alone():
    whole = primary("any 1 (pg3, pg2)", member(PG2), member(PG3))
    assert asked(watching(MANAGED, primary=whole)) == []


def test_what_is_unmanaged_is_never_set():
    assert asked(watching(TRIO, primary=primary("", member(PG2)))) == []


def test_a_standby_that_may_never_take_over_is_not_waited_for():
    nodes = {**MANAGED.nodes, PG3: NodePolicy(HOSTS[PG3], never=True)}
    policy = replace(MANAGED, nodes=nodes)
    assert asked(watching(policy, primary=primary("", member(PG2), member(PG3)))) == [ONE]


def test_a_lost_standby_is_dropped_after_the_threshold_with_the_promise_void_before_it_is_asked():
    daemon = both_named()
    assert daemon.machine.memory.promise is not None
    assert daemon.machine.memory.promise.in_force
    daemon.sees(primary(BOTH, member(PG2)), streaming(), gone())
    assert asked(daemon) == []
    for _ in range(4):
        daemon.sees(primary(BOTH, member(PG2)), streaming(), gone())
    assert asked(daemon) == [ONE]
    assert daemon.machine.synchronous is not None
    assert daemon.machine.synchronous.lowers
    assert daemon.machine.memory.promise.void


def test_the_row_of_a_standby_that_answers_nobody_and_flushes_nothing_keeps_nothing_up():
    daemon = both_named()
    for at in range(6):
        stuck = primary(BOTH, member(PG2, HERE + at), member(PG3), lsn=HERE + at)
        daemon.sees(stuck, streaming(), gone())
    assert asked(daemon) == [ONE]


def test_a_standby_that_answers_us_and_gets_nothing_any_more_is_lost_too():
    daemon = both_named()
    for at in range(6):
        stuck = primary(BOTH, member(PG2, HERE + 9), member(PG3), lsn=HERE + 9 if at else HERE)
        daemon.sees(stuck, streaming(), streaming())
    assert asked(daemon) == [ONE]


def test_the_decision_is_written_down_in_the_step_that_takes_it():
    daemon = both_named()
    for _ in range(4):
        before, event = daemon.machine, None
        daemon.sees(primary(BOTH, member(PG2)), streaming(), gone())
        event = Observed(daemon.machine.view)
        entry = describe(before, event, daemon.machine, MANAGED)
        if daemon.machine.synchronous is not None:
            break
    assert entry is not None
    assert entry.kind is EntryKind.SYNCHRONOUS
    assert "synchronous replication is lowered" in entry.sentence


def test_the_last_one_lost_leaves_no_name_so_that_commits_go_on():
    daemon = both_named()
    for _ in range(5):
        daemon.sees(primary(BOTH), gone(), gone())
    assert asked(daemon) == [""]


def test_what_could_not_be_set_is_asked_again_and_what_was_set_until_it_is_seen():
    daemon = watching(MANAGED, primary=primary("", member(PG2)))
    daemon.answered(SetSynchronous, FAILED)
    assert asked(daemon) == []
    daemon.wakes(3)
    assert asked(daemon) == [ONE]
    daemon.answered(SetSynchronous, SynchronousSet(WORDS)).wakes(3)
    assert asked(daemon) == []
    daemon.sees(primary(ONE, member(PG2)), streaming(), gone())
    assert daemon.machine.synchronous is None


def test_a_decision_that_was_cut_short_is_taken_up_by_the_next_daemon():
    daemon = one_dropped()
    daemon.restarted()
    assert daemon.machine.memory.promise is not None
    assert daemon.machine.memory.promise.void
    daemon.sees(primary(BOTH, member(PG2)), streaming(), gone())
    assert asked(daemon) in ([ONE], [])


def test_a_lowered_promise_holds_again_once_the_standby_has_flushed_past_that_moment():
    daemon = one_dropped()
    later = primary(ONE, member(PG2, HERE), lsn=HERE + 500)
    daemon.sees(later, streaming(), gone())
    promise = daemon.machine.memory.promise
    assert promise is not None
    assert (promise.in_force, promise.since) == (False, Lsn(HERE + 500))
    daemon.sees(primary(ONE, member(PG2, HERE + 600), lsn=HERE + 600), streaming(), gone())
    assert daemon.machine.memory.promise is not None
    assert daemon.machine.memory.promise.in_force


def elected(daemon, limit):
    seen = view(dead(), cut_off(lag=500), gone(), at=daemon.at + 1)
    memory = observe(daemon.machine.memory, seen, MANAGED)
    return elect(seen, memory, MANAGED, Terms(limit))


def test_a_crash_while_it_is_lowered_promotes_nobody_that_may_lack_commits_beyond_the_limit():
    daemon = one_dropped()
    none = elected(daemon, 100)
    assert none.candidate is None
    assert "synchronous replication was lowered" in none.refused[PG2]
    some = elected(daemon, 10_000_000)
    assert some.candidate == PG2
    assert some.loss is not None
    assert "acknowledged commits may be missing" in some.loss.sentence


def test_a_standby_that_is_being_added_is_needed_before_it_is_seen_in_force():
    daemon = watching(MANAGED, primary=primary(ONE, member(PG2)))
    daemon.sees(primary(ONE, member(PG2), member(PG3)), streaming(), streaming())
    assert asked(daemon) == [BOTH]
    election = elected(daemon, 10_000_000)
    assert election.candidate is None
    assert "2 of them must be at hand" in election.refused[PG2]


def test_the_candidate_waits_for_nobody_who_is_dead():
    daemon = three_promoting(MANAGED)
    assert [e.synchronous for e in daemon.asked(Promote)] == [""]
    daemon = three_promoting()
    assert [e.synchronous for e in daemon.asked(Promote)] == [None]


@pytest.mark.parametrize(
    ("sync", "flushed", "in_force"),
    [("quorum", HERE, True), ("sync", HERE, True), ("async", HERE, False), ("sync", 1, False)],
)
def test_a_promise_is_in_force_by_what_is_flushed_and_not_by_a_name(sync, flushed, in_force):
    found = promised(None, "pg2", (sender(PG2, sync, flushed),), Lsn(HERE))
    assert isinstance(found, Promise)
    assert found.in_force is in_force


def nameless(*nodes):
    """Who streams without an application_name of its own has PostgreSQL's."""
    rows = [sender(n, "quorum", name="walreceiver") for n in nodes]
    return primary('ANY 2 ("walreceiver", "walreceiver")', *rows)


def test_of_standbys_that_share_a_name_no_more_are_waited_for_than_stream():
    two = replace(MANAGED, synchronous_count=2)
    daemon = watching(two, primary=nameless(PG2, PG3))
    assert asked(daemon) == []
    for _ in range(5):
        daemon.sees(nameless(PG2), streaming(), gone())
    assert asked(daemon) == ['ANY 1 ("walreceiver")']
