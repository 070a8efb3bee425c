"""What is remembered from one view to the next."""

from __future__ import annotations

from dataclasses import replace

from failoverd.core.diagnosis import Diagnosis
from failoverd.core.events import Observed
from failoverd.core.memory import observe
from failoverd.core.model import (
    ClusterView,
    Instant,
    Lsn,
    Outcome,
    SystemIdentifier,
)
from failoverd.core.replication import Sender
from failoverd.core.writers import sole_writable, two_writable
from tests.unit.vocabulary import (
    HERE,
    HOSTS,
    PAIR,
    PG1,
    PG2,
    PG3,
    TRIO,
    cut_off,
    dead,
    gone,
    healthy,
    host,
    hung,
    says,
    streaming,
    view,
    watching,
)


def rounds(daemon):
    return daemon.machine.memory.failed_rounds


def test_a_failed_round_is_counted_once_however_often_it_is_seen():
    daemon = watching().sees(hung(), streaming(age=20))
    primary = daemon.machine.view.report(PG1)
    again = ClusterView({PG1: primary, PG2: streaming(age=21)(PG2, daemon.at + 0.5)})
    memory = observe(daemon.machine.memory, again, PAIR)
    assert rounds(daemon) == 1
    assert memory.failed_rounds == 1


def test_a_round_that_our_own_fault_has_spoilt_is_not_counted():
    daemon = watching()
    ours = replace(hung()(PG1, daemon.at + 1), ours=True)
    seen = ClusterView({PG1: ours, PG2: streaming()(PG2, daemon.at + 1)})
    assert observe(daemon.machine.memory, seen, PAIR).failed_rounds == 0
    spoilt = replace(view(hung(), streaming(), at=daemon.at + 1), our_network_down=True)
    assert observe(daemon.machine.memory, spoilt, PAIR).failed_rounds == 0


def test_any_well_formed_refusal_is_a_proof_of_life():
    for outcome in (Outcome.TOO_MANY_CONNECTIONS, Outcome.STARTING_UP, Outcome.MISCONFIGURED):
        daemon = watching().sees(hung(), streaming(age=20)).sees(says(outcome), streaming())
        assert rounds(daemon) == 0
        assert daemon.machine.memory.doubt is None


def test_a_server_that_speaks_of_its_own_death_is_no_proof_of_life():
    daemon = watching().sees(says(Outcome.FAILING), streaming(age=20))
    assert rounds(daemon) == 1


def test_a_standby_that_heard_the_primary_after_the_round_began_keeps_it_alive():
    daemon = watching()
    for _ in range(5):
        daemon.sees(hung(), streaming(age=0.0))
        daemon.at += 0.5
        seen = ClusterView(
            {PG1: daemon.machine.view.report(PG1), PG2: streaming(age=0.1)(PG2, daemon.at)}
        )
        daemon.machine = replace(daemon.machine, memory=observe(daemon.machine.memory, seen, PAIR))
        assert rounds(daemon) == 0
        daemon.at += 0.5


def test_a_walreceiver_row_alone_is_not_hearing():
    daemon = watching()
    for age in (21.0, 22.0, 23.0):
        daemon.sees(hung(), streaming(age=age))
    assert rounds(daemon) == 3


def test_what_a_cascading_standby_hears_is_its_own_upstream():
    daemon = watching(TRIO)
    cascading = streaming(age=0.0, upstream=HOSTS[PG2])
    for _ in range(3):
        daemon.sees(hung(), streaming(age=20), cascading)
    assert rounds(daemon) == 3


def test_a_received_position_that_moves_is_hearing_and_a_replayed_one_is_not():
    receiving = watching()
    replaying = watching()
    for n in range(1, 5):
        receiving.sees(hung(), streaming(lag=-n, age=20.0 + n))
        replaying.sees(hung(), cut_off(lag=-n))
    assert rounds(receiving) < 3
    assert rounds(replaying) == 4


def test_a_socket_that_answered_in_an_earlier_round_proves_nothing_of_this_one():
    daemon = watching().sees(hung(socket=Outcome.OK), streaming(age=20))
    stale = daemon.machine.view.report(PG1).host
    for _ in range(3):
        daemon.at += 1
        primary = replace(gone()(PG1, daemon.at), host=stale)
        seen = ClusterView({PG1: primary, PG2: cut_off()(PG2, daemon.at)})
        daemon.machine = replace(daemon.machine, memory=observe(daemon.machine.memory, seen, PAIR))
    assert rounds(daemon) == 3


def test_a_host_is_calibrated_once_it_has_seen_the_server_that_sql_sees():
    calibration = watching().machine.memory.calibrations[PG1]
    assert (calibration.boot_id, calibration.postmaster_pid) == ("boot", 10)
    foreign = replace(healthy()(PG1, 1.0), server=None)
    blank = replace(watching().machine.memory, calibrations={})
    assert not observe(blank, ClusterView({PG1: foreign}), PAIR).calibrations


def test_a_look_at_a_directory_on_which_the_server_no_longer_runs_finds_nothing_dead():
    daemon = watching()
    elsewhere = replace(healthy(postmaster_started="1700000900")(PG1, 104.0), host=host(104.0))
    daemon.happens(Observed(ClusterView({PG1: elsewhere, PG2: streaming()(PG2, 104.0)})))
    daemon.sees(dead(), cut_off(), after=2).sees(dead(), cut_off())
    assert daemon.machine.diagnosis is Diagnosis.UNCLEAR


def test_a_server_that_was_started_anew_is_calibrated_by_the_next_look_at_its_host():
    daemon = watching().sees(healthy(postmaster_started="1700000900"), streaming())
    assert PG1 not in daemon.machine.memory.calibrations
    again = healthy(postmaster_started="1700000900")(PG1, 105.0)
    facts = replace(again.host.facts, postmaster_started="1700000900")
    again = replace(again, host=replace(again.host, facts=facts))
    daemon.happens(Observed(ClusterView({PG1: again, PG2: streaming()(PG2, 105.0)})))
    assert daemon.machine.memory.calibrations[PG1].postmaster_started == "1700000900"


def test_the_highest_epoch_of_any_host_is_remembered():
    assert watching(primary=healthy(epoch=7)).machine.next_epoch == 8


def test_the_primary_is_at_least_where_its_last_checkpoint_was():
    memory = replace(watching().machine.memory, primary_lsn=None, primary_lsn_at=None)
    after = observe(memory, view(dead(), cut_off(), at=200), PAIR)
    assert after.primary_lsn == Lsn(HERE - 1000)


def test_the_peak_rate_is_that_between_two_rounds():
    daemon = watching().sees(healthy(HERE + 5000), streaming()).sees(healthy(HERE), streaming())
    assert 4900 < daemon.machine.memory.peak_wal_rate < 5100


def test_a_standby_is_known_by_its_address_where_no_other_node_has_that():
    senders = (Sender("walreceiver", HOSTS[PG2], "streaming", "sync", Lsn(HERE)),)
    daemon = watching(primary=healthy(sync="*", senders=senders))
    assert daemon.machine.memory.application_names == {PG2: "walreceiver"}
    shared = replace(PAIR, nodes={n: replace(p, host="127.0.0.1") for n, p in PAIR.nodes.items()})
    senders = (Sender("walreceiver", "127.0.0.1", "streaming", "sync", Lsn(HERE)),)
    assert watching(shared, primary=healthy(senders=senders)).machine.memory.application_names == {}


def test_a_promise_outlives_the_standby_that_kept_it():
    senders = (Sender("pg2", "", "streaming", "sync", Lsn(HERE)),)
    daemon = watching(primary=healthy(sync="pg2", senders=senders))
    daemon.sees(healthy(sync="pg2"), gone())
    promise = daemon.machine.memory.promise
    assert promise is not None
    assert promise.synchronous == {"pg2"}
    daemon.sees(healthy(), gone())
    assert daemon.machine.memory.promise is None


def test_a_look_from_before_a_node_became_the_primary_is_not_of_the_primary():
    memory = replace(watching().machine.memory, primary_since=Instant(500.0))
    assert observe(memory, view(hung(), cut_off(), at=499), PAIR).failed_rounds == 0


def test_the_one_writable_node_is_of_this_cluster_and_of_no_lower_timeline():
    memory = watching().machine.memory
    assert sole_writable(view(dead(), healthy(timeline=2)), memory) == PG2
    assert sole_writable(view(healthy(), healthy(timeline=2)), memory) is None
    higher = replace(memory, timeline=3)
    assert sole_writable(view(healthy(timeline=2), streaming()), higher) is None
    foreign = healthy(system_identifier=SystemIdentifier("8"))
    assert sole_writable(view(dead(), foreign), memory) is None
    assert two_writable(view(healthy(), foreign), memory) is None
    assert two_writable(view(healthy(), healthy()), memory) == "pg1 and pg2 take writes"
    assert two_writable(view(dead(), streaming(), healthy()), memory) is None
    assert sole_writable(view(dead(), streaming(), healthy()), memory) == PG3
