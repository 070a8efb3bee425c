"""Who takes over, and why not each of the others."""

from __future__ import annotations

from dataclasses import replace

import pytest

from failoverd.core.dead_man import ASKS_BYTES_S
from failoverd.core.election import Terms, elect, wal_loss
from failoverd.core.memory import observe
from failoverd.core.model import (
    ControlState,
    Frozen,
    Lsn,
    Outcome,
    ProofKind,
    SystemIdentifier,
    Timeline,
)
from failoverd.core.policy import NodePolicy
from failoverd.core.promise import Promise, voided
from failoverd.core.replication import Sender
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
    host,
    look,
    proof,
    sender,
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
    return replace(memory, promise=Promise(names, frozenset(synchronous), in_force=True))


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
        (cut_off(replay_paused=True), "whether by a user or for its settings is not known"),
        (cut_off(position_unknown=True), "was restarted"),
        (cut_off(received_lsn=None), "position is unknown"),
        (cut_off(recovery_target=True), "a recovery target is set"),
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


def test_a_loss_of_which_only_a_journaled_position_is_known_is_said_to_be_the_least():
    memory = replace(watching(TRIO).machine.memory, primary_lsn_at=None)
    loss = wal_loss(Lsn(HERE - 1000), memory, None)
    assert (loss.lost_bytes, loss.proven) == (1000, False)
    assert loss.sentence.startswith("not known, at least 1000 bytes")


def test_a_primary_that_is_cut_off_from_us_is_counted_as_writing_until_it_is_fenced():
    daemon = watching(TRIO).sees(healthy(HERE + 1000), cut_off(), cut_off())
    for _ in range(4):
        daemon.sees(gone(), cut_off(), cut_off())
    memory = daemon.machine.memory
    fenced_at = daemon.at + 5
    loss = wal_loss(Lsn(HERE), memory, proof(fenced_at, kind=ProofKind.POWERED_OFF))
    unseen = fenced_at - memory.primary_lsn_at
    assert loss.lost_bytes == pytest.approx(1000 + 1000 * unseen, rel=0.01)


def test_what_a_dead_man_asks_by_counts_as_written_too():
    daemon = watching(TRIO).sees(healthy(HERE + 1000), cut_off(), cut_off())
    for _ in range(4):
        daemon.sees(gone(), cut_off(), cut_off())
    memory, fenced_at = daemon.machine.memory, daemon.at + 5
    unseen = fenced_at - memory.primary_lsn_at
    of_others = wal_loss(Lsn(HERE), memory, proof(fenced_at, kind=ProofKind.POWERED_OFF))
    with_it = wal_loss(Lsn(HERE), memory, proof(fenced_at, kind=ProofKind.DEAD_MAN_EXPIRED))
    asked = with_it.lost_bytes - of_others.lost_bytes
    assert asked == pytest.approx(ASKS_BYTES_S * unseen, rel=0.01)


def test_what_is_seen_dead_on_its_host_has_written_nothing_since():
    daemon = watching(TRIO).sees(healthy(HERE + 1000), cut_off(), cut_off())
    seen_at = daemon.machine.memory.primary_lsn_at
    for _ in range(4):
        daemon.sees(dead(), cut_off(), cut_off())
    memory = daemon.machine.memory
    loss = wal_loss(Lsn(HERE), memory, proof(daemon.at + 5))
    first_seen_dead = memory.doubt.since
    assert memory.doubt.dead_at == first_seen_dead
    unseen = first_seen_dead - seen_at
    assert loss.lost_bytes == pytest.approx(1000 + 1000 * unseen, rel=0.01)
    # Nobody looked whether it was started again before its host was turned off.
    turned_off = proof(daemon.at + 5, kind=ProofKind.POWERED_OFF)
    unseen = daemon.at + 5 - seen_at
    loss = wal_loss(Lsn(HERE), memory, turned_off)
    assert loss.lost_bytes == pytest.approx(1000 + 1000 * unseen, rel=0.01)


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


def test_what_a_cure_is_hoped_for_is_not_said_to_be_without_loss():
    """The further one may hold a commit that was promised; the WAL that lacks is still to come."""
    never = {**TRIO.nodes, PG2: NodePolicy(HOSTS[PG2], never=True)}
    terms = Terms(
        16 * MB, frozen=standing(pg2=HERE, pg3=HERE - 4096), proof=proof(200), curable=True
    )
    policy = replace(TRIO, nodes=never)
    election = elected(terms=terms, memory=promised("ANY 1 (pg2, pg3)"), policy=policy)
    assert election.candidate == PG3
    assert election.loss is not None
    assert not election.loss.proven
    assert election.loss.lost_bytes >= 4096


def suspended(letter="T", fresh=Outcome.TIMED_OUT):
    """Its held session answers; its postmaster was sent SIGSTOP, or is only slow."""

    def node(name, at):
        on_host = host(at)
        postmaster = on_host.facts.postmaster_pid
        processes = tuple(
            (pid, letter if pid == postmaster else state) for pid, state in on_host.facts.processes
        )
        facts = replace(on_host.facts, processes=processes)
        lets_nobody_in = replace(cut_off()(name, at), fresh=look(fresh, at))
        return replace(lets_nobody_in, host=replace(on_host, facts=facts))

    return node


def test_a_standby_whose_postmaster_is_suspended_takes_nothing_over():
    election = elected(suspended(), gone())
    assert election.candidate is None
    assert "suspended" in election.refused[PG2]
    assert elected(suspended(), cut_off(lag=100)).candidate == PG3


@pytest.mark.parametrize("slow", [suspended(letter="S"), suspended(fresh=Outcome.OK)])
def test_a_standby_that_is_only_slow_to_let_somebody_in_takes_over(slow):
    assert elected(slow, gone()).candidate == PG2


def test_who_is_frozen_already_is_not_refused_for_a_suspended_postmaster():
    terms = Terms(16 * MB, frozen=standing(pg2=HERE))
    assert elected(suspended(), gone(), terms=terms).candidate == PG2


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
    alone = (Sender("pg_receivewal", "203.0.113.9", "streaming", "sync", Lsn(HERE)),)
    memory = watching(TRIO, primary=healthy(sync="*", senders=alone)).machine.memory
    assert elected(memory=memory).candidate is None


def test_a_standby_under_its_default_name_is_known_by_its_address():
    named = tuple(sender(n, "sync", name="walreceiver" + n[-1]) for n in (PG2, PG3))
    primary = healthy(sync="ANY 1 (walreceiver2, walreceiver3)", senders=named)
    memory = watching(TRIO, primary=primary).machine.memory
    assert elected(memory=memory).candidate == PG2
    assert elected(cut_off(), gone(), memory=memory).candidate is None
    assert memory.primary == PG1


# The other criteria, each where the ones before it leave a tie.


def test_between_equals_whoever_was_promised_the_commits_comes_first():
    preferred = {**TRIO.nodes, PG2: NodePolicy(HOSTS[PG2], priority=200)}
    election = elected(memory=promised("pg3"), policy=replace(TRIO, nodes=preferred))
    assert election.candidate == PG3
    assert election.refused[PG2] == "no further than pg3, which was promised the commits"


def test_between_equals_whoever_has_much_less_left_to_replay_comes_first():
    behind = cut_off(replayed_lsn=Lsn(HERE - 40 * MB))
    election = elected(behind)
    assert election.candidate == PG3
    assert election.refused[PG2] == "no further than pg3, which has less left to replay"
    assert elected(cut_off(replayed_lsn=Lsn(HERE - 40))).candidate == PG2


def test_the_name_that_the_primary_bore_as_a_standby_is_nobody_to_wait_for():
    memory = replace(promised("ANY 1 (va, vb)"), application_names={PG1: "va", PG2: "vb"})
    assert elected(cut_off(), gone(), memory=memory).candidate == PG2
    unknown = replace(memory, application_names={PG2: "vb"})
    assert "2 of them must be at hand" in elected(cut_off(), gone(), memory=unknown).refused[PG2]


def test_between_equals_whoever_streamed_from_the_primary_itself_comes_first():
    memory = replace(watching(TRIO).machine.memory, upstreams={PG2: PG3})
    election = elected(memory=memory)
    assert election.candidate == PG3
    assert election.refused[PG2] == "no further than pg3, which streamed from the primary itself"
    assert elected(pg3=cut_off(lag=100), memory=memory).candidate == PG2


def test_the_order_of_the_nodes_changes_nothing():
    backwards = dict(reversed(TRIO.nodes.items()))
    assert elected(policy=replace(TRIO, nodes=backwards)).candidate == PG2
    assert elected().refused == {PG3: "no further than pg2, which comes first by name"}


def test_a_delayed_standby_takes_over_only_where_nobody_else_can():
    late = cut_off(apply_delay_ms=3_600_000)
    election = elected(late, cut_off(lag=500))
    assert election.candidate == PG3
    assert election.refused[PG2] == "is delayed on purpose (recovery_min_apply_delay)"
    assert elected(late, gone()).candidate == PG2


def test_a_users_pause_refuses_nobody_and_a_pause_for_insufficient_settings_does():
    memory = watching(TRIO).machine.memory
    memory = replace(memory, required=(("max_connections", 200),))
    paused = cut_off(replay_paused=True, limits=(("max_connections", 200),))
    assert elected(paused, gone(), memory=memory).candidate == PG2
    below = cut_off(replay_paused=True, limits=(("max_connections", 100),))
    election = elected(below, gone(), memory=memory)
    assert election.candidate is None
    assert "max_connections is 100, and the primary's 200" in election.refused[PG2]


def test_a_restarted_standby_is_known_once_its_replay_has_stood_still():
    memory = watching(TRIO).machine.memory
    candidates = []
    for at in (110.0, 111.0, 112.5):
        seen = view(dead(), cut_off(position_unknown=True), gone(), at=at)
        memory = observe(memory, seen, TRIO)
        candidates.append(elect(seen, memory, TRIO, Terms(16 * MB)).candidate)
    assert candidates == [None, None, PG2]


def test_a_promise_that_was_lowered_excuses_nothing_and_is_said():
    memory = promised("pg3")
    memory = replace(memory, promise=voided(memory.promise))
    election = elected(cut_off(lag=500), gone(), memory=memory)
    assert election.candidate == PG2
    assert election.loss is not None
    assert not election.loss.proven
    assert "synchronous replication was lowered" in election.loss.sentence
    assert elected(cut_off(lag=500), gone(), memory=memory, terms=Terms(0)).candidate is None


def test_who_failed_in_this_incident_is_not_asked_again():
    election = elected(terms=Terms(16 * MB, given_up=(PG2,)))
    assert election.candidate == PG3
    assert "and failed" in election.refused[PG2]
