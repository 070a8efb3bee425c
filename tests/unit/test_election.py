"""Who takes over, and why not each of the others."""

from __future__ import annotations

from dataclasses import replace

import pytest

from failoverd.core.election import Terms, elect, wal_loss
from failoverd.core.memory import Promise, observe
from failoverd.core.model import ControlState, Frozen, Lsn, Sender, SystemIdentifier, Timeline
from failoverd.core.policy import NodePolicy
from tests.unit.vocabulary import (
    HERE,
    HOSTS,
    OWN,
    PG1,
    PG2,
    PG3,
    TRIO,
    cut_off,
    dead,
    gone,
    healthy,
    proof,
    view,
    watching,
)

MB = 1 << 20
CLEAN = proof(200, control=ControlState.SHUT_DOWN, checkpoint=HERE)


def elected(pg2=None, pg3=None, *, terms=None, memory=None, policy=TRIO):
    known = memory or watching(TRIO).machine.memory
    seen = view(dead(), pg2 or cut_off(), pg3 or cut_off(), at=110)
    known = observe(known, seen, policy)
    return elect(seen, known, policy, terms or Terms(16 * MB))


def promised(names, synchronous=()):
    memory = watching(TRIO).machine.memory
    return replace(memory, promise=Promise(names, frozenset(synchronous)))


def standing(**positions):
    return {
        node: Frozen(node, Lsn(lsn), Timeline(1), OWN)
        for node, lsn in {PG2: positions.get("pg2"), PG3: positions.get("pg3")}.items()
        if lsn is not None
    }


def test_the_furthest_wins_and_the_other_is_told_so():
    election = elected(cut_off(lag=500), cut_off(lag=100))
    assert election.candidate == PG3
    assert election.position == Lsn(HERE - 100)
    assert election.refused == {PG2: "behind pg3"}


def test_priority_and_then_the_name_break_a_tie():
    assert elected().candidate == PG2
    preferred = {**TRIO.nodes, PG3: NodePolicy(HOSTS[PG3], priority=200)}
    assert elected(policy=replace(TRIO, nodes=preferred)).candidate == PG3


@pytest.mark.parametrize(
    ("unfit", "reason"),
    [
        (gone(), "does not answer"),
        (healthy(), "is not in recovery"),
        (cut_off(system_identifier=SystemIdentifier("8")), "another cluster"),
        (cut_off(version=150000), "another major version"),
        (cut_off(replay_paused=True), "replay is paused"),
        (cut_off(apply_delay_ms=1), "delayed on purpose"),
        (cut_off(received_lsn=None), "position is unknown"),
        (cut_off(lag=17 * MB), "max_data_loss"),
    ],
)
def test_a_standby_that_may_not_is_refused_with_its_reason(unfit, reason):
    election = elected(unfit, gone())
    assert election.candidate is None
    assert reason in election.refused[PG2]
    assert reason in election.sentence


def test_a_node_that_follows_an_older_timeline_or_was_never_seen_streaming_is_refused():
    memory = watching(TRIO).machine.memory
    old = replace(memory, timeline=Timeline(2))
    assert "follows timeline 1, not 2" in elected(memory=old).refused[PG2]
    unseen = replace(memory, standby_timelines={})
    assert "never seen streaming" in elected(memory=unseen).refused[PG2]


def test_never_and_an_order_for_another_node_are_refusals():
    never = {**TRIO.nodes, PG2: NodePolicy(HOSTS[PG2], never=True)}
    election = elected(policy=replace(TRIO, nodes=never))
    assert (election.candidate, election.refused[PG2]) == (PG3, "priority: never")
    wanted = elected(cut_off(lag=0), cut_off(lag=10), terms=Terms(16 * MB, wanted=PG3))
    assert (wanted.candidate, wanted.refused[PG2]) == (PG3, "pg3 was asked for")


def test_once_frozen_only_what_stands_still_counts():
    terms = Terms(16 * MB, frozen=standing(pg3=HERE - 5))
    election = elected(terms=terms)
    assert (election.candidate, election.position) == (PG3, Lsn(HERE - 5))
    assert election.refused[PG2] == "could not be frozen"


def test_a_standby_that_stands_on_another_timeline_than_it_streamed_is_refused():
    forked = {PG2: Frozen(PG2, Lsn(HERE), Timeline(3), OWN)}
    assert "stands on timeline 3" in elected(terms=Terms(MB, frozen=forked)).refused[PG2]


def test_no_loss_at_all_needs_a_proof():
    assert elected(terms=Terms(0)).candidate is None
    beyond = Terms(0, proof=CLEAN, frozen=standing(pg2=HERE + 1))
    election = elected(terms=beyond)
    assert election.candidate == PG2
    assert election.loss is not None
    assert election.loss.proven


def test_the_shutdown_checkpoint_must_lie_strictly_before_the_candidate():
    at_it = Terms(0, proof=CLEAN, frozen=standing(pg2=HERE))
    assert elected(terms=at_it).candidate is None


def test_a_loss_that_nothing_is_known_of_needs_an_operators_word():
    blank = replace(watching(TRIO).machine.memory, primary_lsn=None, primary_lsn_at=None)
    seen = view(gone(), cut_off(), cut_off(), at=110)
    memory = observe(blank, seen, TRIO)
    assert elect(seen, memory, TRIO, Terms(16 * MB)).candidate is None
    assert elect(seen, memory, TRIO, Terms(16 * MB, loss_accepted=True)).candidate == PG2


def test_the_loss_is_what_was_seen_and_what_may_have_been_written_since():
    memory = watching(TRIO).sees(healthy(HERE + 1000), cut_off(), cut_off()).machine.memory
    memory = observe(memory, view(gone(), cut_off(), cut_off(), at=110), TRIO)
    loss = wal_loss(Lsn(HERE), memory, None)
    unseen = 110 - memory.primary_lsn_at
    assert loss.lost_bytes == pytest.approx(1000 + 1000 * unseen, rel=0.01)
    assert not loss.proven


@pytest.mark.parametrize(
    ("names", "pg3", "candidate"),
    [
        ("pg2", cut_off(), PG2),
        ("pg2", gone(), PG2),
        ("pg3", gone(), None),
        ("ANY 1 (pg2, pg3)", cut_off(), PG2),
        ("ANY 1 (pg2, pg3)", gone(), None),
        ("ANY 2 (pg2, pg3)", gone(), PG2),
        ("*", gone(), None),
        ("2 (*)", gone(), PG2),
    ],
)
def test_n_minus_k_plus_1_of_the_promised_must_be_at_hand(names, pg3, candidate):
    assert elected(cut_off(), pg3, memory=promised(names)).candidate == candidate


def test_a_promised_commit_may_be_on_a_standby_that_is_further():
    terms = Terms(16 * MB, wanted=PG3, frozen=standing(pg2=HERE, pg3=HERE - 1))
    election = elected(terms=terms, memory=promised("ANY 1 (pg2, pg3)"))
    assert election.candidate is None
    assert "further" in election.refused[PG3]
    level = Terms(16 * MB, wanted=PG3, frozen=standing(pg2=HERE, pg3=HERE))
    election = elected(terms=level, memory=promised("ANY 1 (pg2, pg3)"))
    assert election.candidate == PG3
    assert election.loss is not None
    assert election.loss.proven


def test_a_node_that_never_takes_over_still_holds_what_was_promised():
    never = {**TRIO.nodes, PG2: NodePolicy(HOSTS[PG2], never=True)}
    terms = Terms(16 * MB, frozen=standing(pg2=HERE, pg3=HERE))
    policy = replace(TRIO, nodes=never)
    memory = promised("ANY 1 (pg2, pg3)")
    assert elected(terms=terms, memory=memory, policy=policy).candidate == PG3


def test_a_clean_stop_proves_more_than_any_promise_asks():
    terms = Terms(0, proof=CLEAN, frozen=standing(pg2=HERE + 1))
    assert elected(cut_off(), gone(), terms=terms, memory=promised("pg3")).candidate == PG2


def test_a_star_counts_whoever_was_seen_and_is_no_node():
    alone = (Sender("pg_receivewal", "203.0.113.9", "streaming", "sync", None),)
    memory = watching(TRIO, primary=healthy(sync="*", senders=alone)).machine.memory
    assert elected(memory=memory).candidate is None


def test_a_standby_under_its_default_name_is_known_by_its_address():
    named = tuple(
        Sender("walreceiver" + n[-1], HOSTS[n], "streaming", "sync", None) for n in (PG2, PG3)
    )
    primary = healthy(sync="ANY 1 (walreceiver2, walreceiver3)", senders=named)
    memory = watching(TRIO, primary=primary).machine.memory
    assert elected(memory=memory).candidate == PG2
    assert elected(cut_off(), gone(), memory=memory).candidate is None
    assert memory.primary == PG1
