"""Sequences that nobody expects, and what must not come of them."""

from __future__ import annotations

from dataclasses import replace

import pytest

from failoverd.core.asked import asks
from failoverd.core.diagnosis import Diagnosis
from failoverd.core.effects import (
    Confirm,
    Fence,
    Freeze,
    Promote,
    ReadSettings,
    Redirect,
    Salvage,
    Thaw,
    Unfence,
    Unguard,
)
from failoverd.core.events import (
    FROZEN_ALREADY,
    STALE_EPOCH,
    EffectFailed,
    FrozenAt,
    Observed,
    OperatorFailover,
    OperatorPause,
    OperatorVouches,
    Promoted,
    Replied,
    SettingsRead,
    Thawed,
    Trigger,
)
from failoverd.core.jobs import Job
from failoverd.core.model import (
    ClusterView,
    ControlState,
    Frozen,
    Guard,
    Lsn,
    Outcome,
    Timeline,
)
from failoverd.core.operator import refusal
from failoverd.core.policy import Mode, Policy
from failoverd.core.replication import Sender
from failoverd.core.states import (
    Blocked,
    Confirming,
    Electing,
    Fencing,
    Reverting,
    Starting,
    Suspect,
)
from tests.unit.scenes import (
    CONFIRMED,
    NEW_PRIMARY,
    NOTHING,
    QUIET,
    confirming,
    failed_over,
    promoting,
)
from tests.unit.vocabulary import (
    ALIVE,
    FAILED,
    HERE,
    HOSTS,
    OWN,
    PAIR,
    PG1,
    PG2,
    PG3,
    TRIO,
    WORDS,
    Daemon,
    crashed,
    cut_off,
    dead,
    gone,
    healthy,
    host,
    hung,
    report,
    says,
    server,
    streaming,
    view,
    watching,
)

MEGABYTE = 1_000_000


def sender(name, node, state):
    return Sender(name, HOSTS[node], "streaming", state, Lsn(HERE))


# Somebody else acted while the daemon was away, or beside it.


def test_whoever_put_the_cluster_right_by_hand_meanwhile_is_left_alone():
    daemon = promoting().restarted()
    daemon.sees(healthy(HERE + 500, timeline=3), streaming(timeline=3), after=86400)
    assert daemon.asked(Fence) == []
    for _ in range(3):
        if daemon.asked(Unguard):
            daemon.answered(Unguard, EffectFailed("no guard", WORDS))
        daemon.sees(healthy(HERE + 500, timeline=3), streaming(timeline=3), after=40)
        assert daemon.asked(Fence) == []
    assert daemon.machine.memory.primary == PG1


def test_an_old_primary_that_was_made_a_standby_of_whom_we_asked_is_left_alone():
    def standby_of_pg2(name, at):
        facts = server(at, in_recovery=True, timeline=2)
        return report(name, at, Outcome.OK, facts, host(at))

    daemon = promoting().restarted()
    daemon.sees(standby_of_pg2, NEW_PRIMARY, after=86400)
    daemon.sees(standby_of_pg2, NEW_PRIMARY)
    assert daemon.asked(Fence) == []
    assert daemon.machine.memory.primary == PG2


def test_nobody_is_promoted_beside_a_node_that_takes_writes():
    daemon = watching(TRIO)
    for _ in range(3):
        daemon.sees(dead(), cut_off(), healthy(HERE + 50))
        assert daemon.asked(Fence) + daemon.asked(Promote) == []
    assert isinstance(daemon.state, Blocked)
    assert "pg3 takes writes: nobody is promoted beside it" in daemon.state.why


def test_an_election_ends_where_somebody_else_takes_writes():
    daemon = crashed(TRIO).fenced()
    daemon.sees(dead(), cut_off(), healthy(HERE + 50))
    assert isinstance(daemon.state, Reverting)
    assert daemon.asked(Promote) == []


def test_a_way_back_that_somebody_bars_is_said_and_not_waited_for():
    daemon = crashed(TRIO).fenced()
    for ask in daemon.asks:
        daemon.happens(Replied(daemon.machine.visit, ask, FAILED))
    for _ in range(200):
        daemon.sees(dead(), cut_off(), healthy(HERE + 99))
    assert isinstance(daemon.state, Blocked)
    assert "somebody else writes or is being promoted" in daemon.state.why


def test_an_unconfirmed_promotion_is_over_when_somebody_promotes_another():
    daemon = crashed(TRIO).fenced().froze({PG2: HERE, PG3: HERE - 10}).answered(Salvage, NOTHING)
    daemon.answered(Promote, Promoted(WORDS)).answered(Confirm, FAILED)
    daemon.sees(dead(), gone(), NEW_PRIMARY)
    assert daemon.state == Starting()


def test_applications_are_not_sent_to_one_of_two_that_write():
    daemon = crashed(TRIO).fenced().froze({PG2: HERE, PG3: HERE - 10}).answered(Salvage, NOTHING)
    daemon.answered(Promote, Promoted(WORDS))
    daemon.sees(dead(), NEW_PRIMARY, healthy(HERE + 50, timeline=1))
    assert isinstance(daemon.state, Confirming)
    daemon.answered(Confirm, CONFIRMED)
    assert isinstance(daemon.state, Blocked)
    assert "pg3 writes, too" in daemon.state.why
    assert daemon.asked(Redirect) == []


def test_a_guard_is_not_taken_back_beside_a_new_primary():
    daemon = crashed().answered(Fence, ALIVE)
    while isinstance(daemon.state, Reverting):
        daemon.answered(Unguard, FAILED).wakes(31)
    daemon.restarted().sees(dead(ControlState.SHUT_DOWN_IN_RECOVERY), NEW_PRIMARY)
    assert daemon.asked(Unguard) == []


def test_a_superseded_primary_is_not_adopted_when_its_successor_is_out_of_sight():
    daemon = crashed().sees(dead(), NEW_PRIMARY).sees(healthy(), NEW_PRIMARY)
    daemon.sees(healthy(), gone(), after=3).sees(healthy(), gone())
    assert daemon.machine.memory.primary != PG1


def test_a_demoted_primary_that_its_operator_stops_is_not_failed_over_from():
    def a_standby(name, at):
        return report(name, at, Outcome.OK, server(at, in_recovery=True), host(at))

    def stopped(name, at):
        node = dead(ControlState.SHUT_DOWN_IN_RECOVERY)(name, at)
        facts = replace(node.host.facts, guard=Guard.FOREIGN)
        return replace(node, host=replace(node.host, facts=facts))

    daemon = watching().sees(a_standby, streaming())
    for _ in range(6):
        daemon.sees(stopped, cut_off())
        assert daemon.asked(Fence) + daemon.asked(Freeze) == []


# What was promised.


def test_standbys_of_one_name_are_not_one_standby():
    both = (sender("walreceiver", PG2, "sync"), sender("walreceiver", PG3, "potential"))
    daemon = Daemon(replace(TRIO, salvage=False))
    for _ in range(3):
        daemon.sees(healthy(sync="*", senders=both), streaming(), streaming(lag=1000))
    for _ in range(2):
        daemon.sees(dead(), gone(), cut_off(lag=1000))
    assert isinstance(daemon.state, Blocked)


def test_a_promise_never_seen_in_force_excuses_no_loss():
    lag = 30 * MEGABYTE
    in_force = healthy(sync="pg2", senders=(sender("pg2", PG2, "sync"),))
    changed = healthy(sync="pg3", senders=(sender("pg3", PG3, "async"),))
    daemon = Daemon(replace(TRIO, salvage=False))
    for _ in range(3):
        daemon.sees(in_force, streaming(), streaming(lag=lag))
    daemon.sees(changed, gone(), streaming(lag=lag))
    for _ in range(2):
        daemon.sees(dead(), gone(), cut_off(lag=lag))
    assert isinstance(daemon.state, Blocked)


def test_a_promise_is_the_new_one_as_soon_as_it_is_seen_in_force():
    daemon = Daemon(TRIO)
    for _ in range(3):
        before = healthy(sync="pg2", senders=(sender("pg2", PG2, "sync"),))
        daemon.sees(before, streaming(), streaming())
    daemon.sees(healthy(sync="pg3", senders=(sender("pg3", PG3, "sync"),)), gone(), streaming())
    for _ in range(2):
        daemon.sees(dead(), gone(), cut_off())
    assert isinstance(daemon.state, Fencing)


# A failover that was not needed.


def test_recovery_has_its_whole_budget_however_long_it_was_blocked_before():
    daemon = watching().sees(dead(), gone()).sees(dead(), gone()).sees(dead(), gone(), after=400)
    daemon.sees(says(Outcome.STARTING_UP), streaming())
    assert isinstance(daemon.state, Blocked)
    daemon.sees(says(Outcome.STARTING_UP), streaming(), after=PAIR.recovery_limit_s - 1)
    assert isinstance(daemon.state, Blocked)
    daemon.sees(says(Outcome.STARTING_UP), streaming(), after=2)
    daemon.sees(says(Outcome.STARTING_UP), streaming(), after=2)
    assert isinstance(daemon.state, Fencing)


def test_it_does_not_fence_again_where_nobody_could_take_over_any_more():
    daemon = watching()
    while not isinstance(daemon.state, Fencing):
        daemon.sees(hung(), QUIET)
    daemon.answered(Fence, FAILED).sees(hung(), gone(), after=5)
    assert isinstance(daemon.state, Blocked)
    for _ in range(60):
        if isinstance(daemon.state, Blocked):
            daemon.sees(hung(), QUIET)
    assert isinstance(daemon.state, Fencing)


def test_a_standby_is_not_kept_from_a_primary_that_speaks_again():
    daemon = crashed()
    daemon.answered(ReadSettings, EffectFailed("late", WORDS))
    daemon.machine = replace(daemon.machine, saved={PG2: OWN})
    frozen = Frozen(PG2, Lsn(HERE), Timeline(1), OWN)
    epoch = daemon.machine.epoch
    daemon.happens(Replied(daemon.machine.visit, Freeze(PG2, epoch, OWN), FrozenAt(frozen, WORDS)))
    daemon.answered(Fence, FAILED)
    daemon.sees(says(Outcome.TOO_MANY_CONNECTIONS), cut_off())
    assert daemon.asked(Thaw)
    daemon.answered(Thaw, Thawed(WORDS))
    assert (daemon.machine.saved, daemon.machine.frozen) == ({}, {})


# What is owed, to whom, and by whom.


def test_a_promotion_that_its_own_guard_refused_was_not_asked_for():
    daemon = promoting().answered(Promote, EffectFailed("refused", WORDS))
    assert isinstance(daemon.state, Blocked)
    daemon.sees(dead(), cut_off(), after=31).fenced()
    assert isinstance(daemon.state, Electing)
    assert [type(effect) for effect in daemon.asks] == [Freeze]


def test_a_refusal_proves_nothing_about_an_earlier_request():
    daemon = promoting().answered(Promote, FAILED)
    daemon.sees(dead(), cut_off(), after=31).fenced()
    daemon.answered(Promote, EffectFailed("refused", WORDS))
    assert daemon.machine.asked == {PG2}


def test_an_operator_may_vouch_for_a_node_that_was_asked_and_is_lost():
    daemon = promoting().answered(Promote, FAILED)
    daemon.sees(dead(), streaming())
    vouch = OperatorVouches("me", PG2, "its disk is gone")
    assert refusal(daemon.machine, vouch, daemon.policy) == "pg2 answers: it is not off"
    daemon.sees(dead(), gone()).told(vouch)
    assert daemon.machine.asked == frozenset()
    assert daemon.machine.jobs[PG2].job is Job.OWED_GUARD
    daemon.sees(healthy(), gone(), after=31).answered(Fence, ALIVE)
    assert isinstance(daemon.state, Reverting)


def test_a_standby_attached_elsewhere_meanwhile_is_read_anew():
    daemon = crashed(TRIO).fenced().froze({PG2: HERE, PG3: HERE - 10}).answered(Salvage, NOTHING)
    daemon.answered(Promote, Promoted(WORDS)).answered(Confirm, CONFIRMED)
    daemon.answered(Redirect, NOTHING).answered(Thaw, Thawed(WORDS))
    first = streaming(upstream=HOSTS[PG2], timeline=2, senders=(sender(PG3, "pg3", "async"),))
    cascaded = streaming(upstream=HOSTS[PG1], timeline=2)
    for _ in range(3):
        daemon.sees(first, NEW_PRIMARY, cascaded)
    daemon.sees(first, NEW_PRIMARY, cascaded, after=1000)
    ended = cut_off(timeline=2)
    daemon.sees(ended, dead(), ended).sees(ended, dead(), ended)
    assert {effect.node for effect in daemon.asked(ReadSettings)} == {PG1, PG3}


def test_a_second_failover_does_not_end_a_quarantine():
    daemon = failed_over()
    daemon.machine = replace(daemon.machine, saved={PG1: OWN, PG2: OWN})
    assert PG1 not in daemon.machine.standbys(PAIR)
    assert daemon.machine.jobs[PG1].job is Job.QUARANTINED


def test_a_pause_right_after_a_restart_does_not_lose_the_redirect():
    daemon = confirming().answered(Confirm, CONFIRMED).restarted()
    assert "settling" in (refusal(daemon.machine, OperatorPause("me"), daemon.policy) or "")
    daemon.sees(dead(), NEW_PRIMARY)
    assert daemon.asked(Redirect)


def test_nothing_that_is_owed_is_done_in_observe_mode_not_even_at_the_start():
    daemon = failed_over()
    assert asks(daemon.machine, PAIR)
    assert asks(daemon.machine, replace(PAIR, mode=Mode.OBSERVE)) == ()


# The configuration was changed.


def test_a_primary_that_is_not_configured_any_more_is_not_waited_for():
    daemon = watching(TRIO).restarted()
    daemon.policy = Policy(nodes={n: p for n, p in TRIO.nodes.items() if n != PG1})
    for at in (200.0, 201.0, 202.0):
        daemon.at = at
        nodes = {PG2: NEW_PRIMARY(PG2, at), PG3: gone()(PG3, at)}
        daemon.happens(Observed(ClusterView(nodes)))
    assert daemon.machine.memory.primary == PG2


def test_nothing_is_asked_of_a_node_that_is_not_configured_any_more():
    daemon = watching(TRIO).restarted()
    daemon.policy = PAIR
    daemon.machine = replace(daemon.machine, saved={PG3: OWN})
    daemon.sees(healthy(), streaming()).sees(healthy(), streaming())
    assert daemon.last is not None
    assert daemon.last.effects == ()


# Another daemon.


def frozen_elsewhere(name, at):
    node = cut_off()(name, at)
    facts = replace(node.server, primary_slot_name="failoverd_frozen_7")
    return replace(node, server=facts, last_server=facts)


def test_nothing_is_begun_beside_a_daemon_that_has_frozen_a_standby():
    daemon = watching()
    for _ in range(4):
        daemon.sees(dead(), frozen_elsewhere)
    assert isinstance(daemon.state, Blocked)
    assert "was frozen by another failoverd" in daemon.state.why
    assert daemon.asked(Fence) == []


def test_the_old_primary_is_not_started_again_while_another_daemon_may_be_promoting():
    daemon = crashed(TRIO).fenced()
    for ask in daemon.asks:
        failed = EffectFailed(FROZEN_ALREADY, WORDS)
        daemon.happens(Replied(daemon.machine.visit, ask, failed))
    assert isinstance(daemon.state, (Reverting, Blocked))
    for _ in range(5):
        assert daemon.asked(Unfence) + daemon.asked(Unguard) == []
        daemon.sees(dead(), cut_off(), cut_off())
    assert isinstance(daemon.state, Blocked)
    assert "being promoted" in daemon.state.why


def test_the_first_reading_of_a_standbys_settings_stands():
    daemon = crashed()
    ask = daemon.asked(ReadSettings)[0]
    written_by_a_freeze = replace(OWN, values=(("primary_conninfo", ""),))
    for read in (OWN, written_by_a_freeze):
        daemon.happens(Replied(daemon.machine.visit, ask, SettingsRead(read, WORDS)))
    assert daemon.machine.saved[ask.node] == OWN


def test_a_last_look_that_saw_the_old_primary_alive_asked_nobody():
    daemon = promoting().answered(Promote, ALIVE)
    assert daemon.machine.asked == frozenset()
    daemon.answered(Fence, ALIVE)
    assert isinstance(daemon.state, Reverting)


def test_who_is_refused_for_another_daemon_lets_go_of_the_standbys():
    stale = EffectFailed(STALE_EPOCH, WORDS)
    daemon = crashed(TRIO)
    for ask in daemon.asked(ReadSettings):
        daemon.happens(Replied(daemon.machine.visit, ask, SettingsRead(OWN, WORDS)))
    assert len(daemon.asked(Freeze)) == 2
    daemon.answered(Fence, stale)
    assert len(daemon.asked(Thaw)) == 2
    daemon.sees(dead(), cut_off(), cut_off(), after=2)
    assert isinstance(daemon.state, Fencing)
    assert daemon.asked(Freeze) == []


def test_an_order_that_another_daemon_was_quicker_than_takes_a_later_number():
    stale = EffectFailed(STALE_EPOCH, WORDS)
    by_itself = crashed().answered(Fence, stale)
    assert isinstance(by_itself.state, Blocked)
    assert isinstance(by_itself.state.returns_to, Fencing)
    assert by_itself.state.returns_to.incident.epoch == by_itself.machine.epoch
    daemon = watching().sees(dead(), cut_off()).told(OperatorFailover(Trigger.COMMAND, "me"))
    first = daemon.machine.epoch
    daemon.answered(Fence, stale).sees(dead(), cut_off(), after=2)
    assert daemon.machine.epoch == first + 1
    assert [effect.epoch for effect in daemon.asked(Fence)] == [first + 1]


@pytest.mark.parametrize("reached", [True, False], ids=["our fault", "nothing is reached"])
@pytest.mark.parametrize("outcome", [Outcome.STARTING_UP, Outcome.SHUTTING_DOWN])
def test_what_was_seen_before_we_were_blind_for_long_and_after_it_did_not_last_all_the_time(
    outcome, reached
):
    """It was restarted for a moment, and is again: between the two it may have been well."""

    def blind(after):
        daemon.at += after
        seen = view(says(outcome), cut_off(), at=daemon.at)
        nothing = view(gone(), gone(), at=daemon.at)
        dark = replace(seen, our_network_down=True) if reached else nothing
        daemon.happens(Observed(dark))
        assert daemon.machine.diagnosis is Diagnosis.BLIND

    daemon = watching()
    for _ in range(2):
        daemon.sees(says(outcome), cut_off())
    assert isinstance(daemon.state, Suspect)
    for _ in range(4):
        blind(after=PAIR.recovery_limit_s / 3)
    for _ in range(3):
        daemon.sees(says(outcome), cut_off())
        assert isinstance(daemon.state, Suspect)
    if reached:  # a moment of ours in between is no break
        blind(after=1)
    for _ in range(int(PAIR.recovery_limit_s) - 2):
        daemon.sees(says(outcome), cut_off())
    assert isinstance(daemon.state, Fencing)
