"""What is wrong with the primary, by name."""

from __future__ import annotations

from dataclasses import replace

import pytest

from failoverd.core.diagnosis import (
    FINE,
    OVERRIDABLE,
    ROW_OF,
    ROWS,
    Calls,
    Diagnosis,
    calls_for_failover,
    diagnose,
    past_threshold,
)
from failoverd.core.memory import observe
from failoverd.core.model import (
    ClusterView,
    ControlState,
    Guard,
    Instant,
    Outcome,
)
from failoverd.core.replication import Sender
from failoverd.core.states import Fencing, Suspect
from tests.unit.vocabulary import (
    HOSTS,
    PAIR,
    PG1,
    PG2,
    TRIO,
    cut_off,
    dead,
    gone,
    healthy,
    host,
    hung,
    look,
    report,
    says,
    server,
    streaming,
    view,
    watching,
)

D = Diagnosis


def diagnosed(primary, standby, policy=PAIR, third=None, memory=None):
    known = memory or watching(policy).machine.memory
    seen = view(primary, standby, third, at=110)
    return diagnose(seen, observe(known, seen, policy), policy)


def written(outcome):
    def node(name, at):
        return replace(healthy()(name, at), write=look(outcome, at))

    return node


def in_recovery(guard=Guard.NONE):
    def node(name, at):
        facts = server(at, in_recovery=True)
        return report(name, at, Outcome.OK, facts, host(at, guard=guard))

    return node


def half(held=Outcome.OK):
    def node(name, at):
        return replace(hung()(name, at), held=look(held, at))

    return node


def listening(name, at):
    node = dead()(name, at)
    facts = replace(node.host.facts, listener=True)
    return replace(node, host=replace(node.host, facts=facts))


def elsewhere(name, at):
    """Its processes run, and nothing is on the port and the socket that we know."""
    on_host = host(at, socket=Outcome.REFUSED)
    facts = replace(on_host.facts, listener=False)
    return report(name, at, Outcome.REFUSED, None, replace(on_host, facts=facts))


def orphaned(name, at):
    """A busy backend outlives its postmaster."""
    node = elsewhere(name, at)
    facts = replace(node.host.facts, processes=((11, "R"),))
    return replace(node, host=replace(node.host, facts=facts))


def half_by_its_own_socket(socket):
    def node(name, at):
        return replace(hung(socket)(name, at), held=look(Outcome.OK, at))

    return node


GONE_QUIET = streaming(age=20, reach=Outcome.TIMED_OUT)


@pytest.mark.parametrize(
    ("primary", "standby", "expected"),
    [
        (healthy(), streaming(), D.HEALTHY),
        (healthy(), gone(), D.HEALTHY),
        (gone(), gone(), D.BLIND),
        (healthy(), healthy(timeline=2), D.SPLIT_BRAIN),
        (in_recovery(), streaming(), D.DEMOTED),
        (in_recovery(Guard.OURS), streaming(), D.UNCLEAR),
        (says(Outcome.MISCONFIGURED), streaming(), D.MISCONFIGURED),
        (healthy(system_identifier="8"), streaming(), D.MISCONFIGURED),
        (healthy(read_only=True), streaming(), D.READ_ONLY),
        (healthy(sync="pg2", sync_waiters=3), gone(), D.SYNC_BLOCKED),
        (written(Outcome.FAILING), streaming(), D.UNWRITABLE),
        (written(Outcome.TIMED_OUT), streaming(), D.UNWRITABLE),
        (says(Outcome.TOO_MANY_CONNECTIONS), streaming(), D.BUSY),
        (says(Outcome.SHUTTING_DOWN), streaming(), D.BUSY),
        (says(Outcome.STARTING_UP), streaming(), D.RECOVERING),
        (gone(), streaming(age=-0.5), D.PARTITIONED),
        (gone(), cut_off(reach=Outcome.OK), D.PARTITIONED),
        (hung(socket=Outcome.OK), cut_off(), D.PARTITIONED),
        (dead(), cut_off(), D.CRASHED),
        (dead(), gone(), D.CRASHED),
        (dead(), streaming(age=20), D.UNCLEAR),
        (dead(boot="another"), cut_off(), D.UNCLEAR),
        (listening, cut_off(), D.UNCLEAR),
        (dead(ControlState.SHUT_DOWN), cut_off(), D.STOPPED),
        (half(), GONE_QUIET, D.HALF_HUNG),
        (hung(), streaming(age=-0.5), D.HALF_HUNG),
        (hung(), GONE_QUIET, D.HUNG),
        (elsewhere, cut_off(), D.UNCLEAR),
        (elsewhere, cut_off(reach=Outcome.REFUSED), D.UNCLEAR),
        (orphaned, cut_off(), D.HUNG),
        (half_by_its_own_socket(Outcome.OK), streaming(age=20), D.PARTITIONED),
        (half_by_its_own_socket(Outcome.TIMED_OUT), cut_off(reach=Outcome.OK), D.PARTITIONED),
        (half_by_its_own_socket(Outcome.NOT_TRIED), GONE_QUIET, D.UNCLEAR),
        (hung(Outcome.REFUSED), streaming(age=-0.5), D.PARTITIONED),
        (gone(), GONE_QUIET, D.UNREACHABLE),
        (gone(), streaming(age=20), D.UNCLEAR),
        (dead(), healthy(timeline=2), D.CRASHED),
    ],
)
def test_the_facts_have_this_name(primary, standby, expected):
    assert diagnosed(primary, standby) is expected


def test_every_diagnosis_has_one_row_and_the_last_one_always_matches():
    assert [row.diagnosis for row in ROWS] == list(Diagnosis)
    assert ROWS[-1].diagnosis is D.UNCLEAR
    assert all(row.sentence.endswith(".") for row in ROWS)


def test_an_uncalibrated_look_finds_nothing_dead():
    memory = replace(watching().machine.memory, calibrations={})
    assert diagnosed(dead(), cut_off(), memory=memory) is D.UNCLEAR


def test_what_a_host_said_in_an_earlier_round_is_no_evidence():
    memory = watching().machine.memory
    for earlier in (dead(), gone(), hung()):
        stale = replace(gone()(PG1, 110), host=earlier(PG1, 105).host)
        seen = ClusterView({PG1: stale, PG2: cut_off()(PG2, 110)})
        assert diagnose(seen, observe(memory, seen, PAIR), PAIR) is D.UNCLEAR


def test_our_own_fault_is_blindness_whatever_else_is_seen():
    memory = watching().machine.memory
    ours = replace(dead()(PG1, 110), ours=True)
    seen = ClusterView({PG1: ours, PG2: cut_off()(PG2, 110)})
    assert diagnose(seen, memory, PAIR) is D.BLIND
    down = replace(view(dead(), cut_off(), at=110), our_network_down=True)
    assert diagnose(down, memory, PAIR) is D.BLIND


def test_a_standby_that_streams_from_another_one_does_not_keep_the_primary_from_being_dead():
    cascading = streaming(age=0, upstream=HOSTS[PG2])
    assert diagnosed(dead(), cut_off(), TRIO, cascading) is D.CRASHED


def test_without_any_vantage_a_minute_of_silence_is_needed():
    memory = watching().machine.memory
    seen = view(gone(), streaming(age=20), at=memory.last_alive_at + 61)
    assert diagnose(seen, observe(memory, seen, PAIR), PAIR) is D.UNREACHABLE


def test_a_waiting_commit_is_no_block_while_a_synchronous_standby_is_there():
    there = (Sender("pg2", "", "streaming", "sync", None),)
    primary = healthy(sync="pg2", sync_waiters=1, senders=there)
    assert diagnosed(primary, streaming()) is D.HEALTHY


def test_silence_counts_by_rounds_and_by_time():
    memory = watching().machine.memory
    failed = replace(memory, failed_rounds=3, last_alive_at=Instant(100))
    assert past_threshold(failed, PAIR, Instant(103))
    assert not past_threshold(failed, PAIR, Instant(102.9))
    assert not past_threshold(replace(failed, failed_rounds=2), PAIR, Instant(110))
    assert not past_threshold(replace(failed, last_alive_at=None), PAIR, Instant(110))


@pytest.mark.parametrize("diagnosis", list(Diagnosis))
def test_what_never_calls_never_calls_and_what_calls_waits_for_its_time(diagnosis):
    failed = replace(watching().machine.memory, failed_rounds=9, last_alive_at=Instant(0))
    calls = calls_for_failover(diagnosis, failed, PAIR, Instant(0), Instant(1000))
    waits_by_policy = {
        Calls.BY_HALF_HUNG_POLICY,
        Calls.BY_UNWRITABLE_POLICY,
        Calls.WHEN_SHUTTING_DOWN_FOR_EVER,
    }
    assert calls is (ROW_OF[diagnosis].calls not in {Calls.NEVER, *waits_by_policy})
    alive = replace(failed, failed_rounds=0)
    assert not calls_for_failover(diagnosis, alive, PAIR, Instant(1000), Instant(1000))


def test_policy_decides_on_a_clean_stop_a_half_hung_and_an_unwritable_primary():
    failed = replace(watching().machine.memory, failed_rounds=9, last_alive_at=Instant(0))

    def calls(diagnosis, **policy):
        now = Instant(1000)
        return calls_for_failover(diagnosis, failed, replace(PAIR, **policy), Instant(0), now)

    assert not calls(D.STOPPED, on_clean_stop="wait")
    assert calls(D.HALF_HUNG, on_half_hung="failover")
    assert calls(D.UNWRITABLE, on_unwritable="failover")


def test_a_write_check_that_our_role_may_not_make_is_our_fault_and_hides_no_crash():
    assert diagnosed(written(Outcome.MISCONFIGURED), streaming()) is D.MISCONFIGURED
    assert diagnosed(written(Outcome.FAILING), streaming()) is D.UNWRITABLE

    def crashed_after_it(name, at):
        return replace(dead()(name, at), write=look(Outcome.MISCONFIGURED, at))

    assert diagnosed(crashed_after_it, gone()) is diagnosed(dead(), gone()) is D.CRASHED


def test_a_shutdown_that_never_ends_is_a_stop_once_its_time_is_up():
    daemon = watching()
    waits, gives_up = replace(PAIR, on_clean_stop="wait"), daemon.at + 1 + PAIR.recovery_limit_s
    while daemon.at < gives_up - 1:
        daemon.sees(says(Outcome.SHUTTING_DOWN), streaming())
        assert daemon.machine.diagnosis is D.BUSY
        assert isinstance(daemon.state, Suspect)
    daemon.policy = waits
    assert isinstance(daemon.sees(says(Outcome.SHUTTING_DOWN), streaming()).state, Suspect)
    daemon.policy = PAIR
    assert isinstance(daemon.sees(says(Outcome.SHUTTING_DOWN), streaming()).state, Fencing)


def test_a_full_server_is_never_failed_over_however_long_it_is_full():
    daemon = watching()
    for _ in range(2 * round(PAIR.recovery_limit_s)):
        daemon.sees(says(Outcome.TOO_MANY_CONNECTIONS), streaming())
    assert isinstance(daemon.state, Suspect)


def test_without_a_journal_it_is_blind():
    daemon = watching()
    seen = view(dead(), cut_off(), at=daemon.at + 1)
    failing = replace(seen, journal_failing="no space left on device")
    memory = observe(daemon.machine.memory, failing, PAIR)
    assert diagnose(failing, memory, PAIR) is D.BLIND
    assert memory.failed_rounds == 0


def test_no_override_goes_against_a_veto_or_our_own_blindness():
    assert {D.BLIND, D.PARTITIONED, D.SPLIT_BRAIN, D.DEMOTED, D.UNCLEAR}.isdisjoint(OVERRIDABLE)
    assert FINE <= OVERRIDABLE
