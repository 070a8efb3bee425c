"""What is owed to a node is done in the end, and nothing else is."""

from __future__ import annotations

from dataclasses import replace

import pytest

from failoverd.core.effects import (
    Equip,
    Fence,
    Freeze,
    KeepDown,
    ReadSettings,
    Repoint,
    StopMode,
    Thaw,
    Unfence,
    Unguard,
)
from failoverd.core.events import (
    WAL_GONE,
    EffectFailed,
    Equipped,
    Fenced,
    FrozenAt,
    KeptDown,
    Replied,
    Repointed,
    Thawed,
    Unfenced,
    Unguarded,
)
from failoverd.core.following import upstream_for
from failoverd.core.jobs import Job, NodeJob
from failoverd.core.model import (
    Epoch,
    Evidence,
    Frozen,
    Lsn,
    SystemIdentifier,
    Timeline,
)
from failoverd.core.policy import Mode
from failoverd.core.replication import Receiver, Slot
from failoverd.core.states import Fencing, Reverting, Watching
from tests.unit.scenes import NEW_PRIMARY, failed_over, three_failed_over
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
    crashed,
    cut_off,
    dead,
    frozen_elsewhere,
    gone,
    healthy,
    held_down,
    proof,
    sender,
    streaming,
    view,
    watching,
)

SENDS = healthy(timeline=2, senders=(sender(PG3),))
FOLLOWS = streaming(upstream=HOSTS[PG2], timeline=2)


def with_job(kind, node=PG1, **changes):
    daemon = watching(replace(PAIR, **changes))
    job = NodeJob(kind, Epoch(3))
    daemon.machine = replace(daemon.machine, jobs={node: job}, epoch=Epoch(5))
    return daemon


def test_the_new_primary_gets_its_own_settings_back_and_the_others_are_told_to_follow_it():
    daemon = three_failed_over()
    epoch = daemon.machine.epoch
    assert daemon.state == Watching()
    assert set(daemon.asks) == {Thaw(PG2, epoch, OWN), Repoint(PG3, PG2, epoch, OWN)}
    daemon.answered(Thaw, Thawed(WORDS))
    assert daemon.machine.saved == {PG3: OWN}
    daemon.answered(Repoint, Repointed(WORDS))
    assert daemon.machine.saved == {}
    assert [type(effect) for effect in daemon.asks] == [Equip]
    daemon.answered(Equip, Equipped(WORDS))
    assert (daemon.asks, set(daemon.machine.jobs)) == ((), {PG1, PG3})


def repointed():
    """A primary and a standby that was told to follow it, and is not seen to do so yet."""
    daemon = three_failed_over().answered(Thaw, Thawed(WORDS))
    return daemon.answered(Repoint, Repointed(WORDS)).answered(Equip, Equipped(WORDS))


def test_a_standby_follows_once_both_ends_say_so():
    daemon = repointed().sees(gone(), NEW_PRIMARY, FOLLOWS)
    assert daemon.machine.jobs[PG3].job is Job.REPOINTING
    daemon.sees(gone(), SENDS, FOLLOWS)
    assert PG3 not in daemon.machine.jobs


def test_a_standby_that_waits_long_after_it_was_told_has_diverged_and_is_not_told_again():
    waits = streaming(upstream=HOSTS[PG2], receiver=Receiver("waiting", HOSTS[PG2], 5432, 1.0))
    daemon = repointed().sees(gone(), NEW_PRIMARY, waits)
    assert daemon.machine.jobs[PG3].job is Job.REPOINTING
    daemon.sees(gone(), NEW_PRIMARY, waits, after=13)
    assert daemon.machine.jobs[PG3].job is Job.DIVERGED
    assert daemon.asks == ()


def test_a_standby_that_does_not_stream_is_told_again():
    daemon = repointed().sees(gone(), NEW_PRIMARY, cut_off())
    assert daemon.asks == ()
    daemon.sees(gone(), NEW_PRIMARY, cut_off(), after=13)
    assert [(e.node, e.saved) for e in daemon.asked(Repoint)] == [(PG3, None)]


def test_a_standby_whose_wal_is_gone_is_told_no_more_and_says_what_it_needs():
    daemon = repointed().sees(gone(), NEW_PRIMARY, cut_off(), after=13)
    said = Evidence("pg2 has no WAL any more from where pg3 stands")
    daemon.answered(Repoint, EffectFailed(WAL_GONE, said))
    job = daemon.machine.jobs[PG3]
    assert job.job is Job.DIVERGED
    assert job.said == said.sentence
    daemon.sees(gone(), NEW_PRIMARY, cut_off(), after=13)
    assert not daemon.asked(Repoint)


def test_a_standby_that_comes_back_late_and_was_led_to_the_fenced_node_is_told_to_follow():
    daemon = three_failed_over().answered(Thaw, Thawed(WORDS))
    daemon.machine = replace(daemon.machine, jobs={PG1: daemon.machine.jobs[PG1]}, saved={})
    daemon.sees(gone(), NEW_PRIMARY, gone())
    assert daemon.asks == ()
    daemon.sees(gone(), NEW_PRIMARY, cut_off(upstream_host=HOSTS[PG1]))
    assert [(e.node, e.upstream) for e in daemon.asked(Repoint)] == [(PG3, PG2)]


@pytest.mark.parametrize(
    "left_alone",
    [
        {"upstream_host": HOSTS[PG2]},
        {"upstream_host": "203.0.113.7"},
        {"upstream_host": HOSTS[PG1], "primary_slot_name": "failoverd_frozen_9"},
        {"upstream_host": HOSTS[PG1], "system_identifier": SystemIdentifier("8")},
    ],
)
def test_a_standby_that_is_led_elsewhere_or_is_somebody_elses_is_left_alone(left_alone):
    daemon = three_failed_over().answered(Thaw, Thawed(WORDS))
    daemon.machine = replace(daemon.machine, jobs={PG1: daemon.machine.jobs[PG1]}, saved={})
    daemon.sees(gone(), NEW_PRIMARY, cut_off(**left_alone))
    assert daemon.asks == ()


def test_a_standby_of_another_standby_is_led_to_that_one_and_in_the_end_to_the_primary():
    memory = replace(watching(TRIO).machine.memory, primary=PG1, upstreams={PG3: PG2})
    seen = view(gone(), cut_off(), cut_off(), at=110)
    assert upstream_for(PG3, seen, memory, 0) == PG2
    assert upstream_for(PG3, seen, memory, 2) == PG1
    away = view(gone(), gone(), cut_off(), at=110)
    assert upstream_for(PG3, away, memory, 0) == PG1


def test_the_slots_of_the_old_primary_are_owed_to_the_new_one():
    slots = (Slot("reports", True, "reserved", 100, logical=True),)
    daemon = three_failed_over(slots).answered(Thaw, Thawed(WORDS))
    asked = daemon.asked(Equip)[0]
    assert [slot.name for slot in asked.slots] == ["reports"]
    daemon.answered(Equip, FAILED)
    assert not daemon.asked(Equip)
    daemon.wakes(10).answered(Equip, Equipped(WORDS))
    assert daemon.machine.memory.slots_owed == ()


RUN_BY_A_UNIT = replace(
    PAIR, nodes={name: replace(node, has_service=True) for name, node in PAIR.nodes.items()}
)


def with_a_unit():
    daemon = failed_over()
    daemon.policy = RUN_BY_A_UNIT
    return daemon.sees(dead(), healthy(timeline=2))


def test_an_old_primary_is_kept_down_after_the_promotion_and_never_before_it():
    crashed_one = crashed(RUN_BY_A_UNIT).fenced()
    assert crashed_one.asked(KeepDown) == []
    daemon = with_a_unit()
    assert daemon.asked(KeepDown) == [KeepDown(PG1, daemon.machine.epoch)]
    daemon.answered(KeepDown, KeptDown(WORDS))
    assert daemon.asked(KeepDown) == []
    assert daemon.machine.jobs[PG1].job is Job.QUARANTINED


def test_what_nothing_starts_is_not_told_to_stay_down():
    assert failed_over().asked(KeepDown) == []


def test_what_could_not_be_kept_down_is_asked_again_and_fenced_at_once_where_it_comes_back():
    daemon = with_a_unit()
    daemon.answered(KeepDown, FAILED)
    assert daemon.asked(KeepDown) == []
    daemon.sees(healthy(), healthy(timeline=2))
    assert [effect.node for effect in daemon.asked(Fence)] == [PG1]
    daemon.wakes(10)
    job = daemon.machine.jobs[PG1]
    assert (job.keep_down_at, job.told, job.attempt) == (None, False, 1)


def test_what_somebody_started_although_it_was_kept_down_is_kept_down_anew():
    daemon = with_a_unit()
    daemon.answered(KeepDown, KeptDown(WORDS))
    daemon.sees(healthy(), healthy(timeline=2))
    daemon.answered(Fence, Fenced(proof(daemon.at, node=PG1, epoch=daemon.machine.epoch)))
    daemon.sees(dead(), healthy(timeline=2)).wakes(10)
    assert len(daemon.asked(KeepDown)) == 1


def test_an_answer_to_an_earlier_visit_pays_a_debt_too():
    daemon = failed_over()
    daemon.answered(Thaw, Thawed(WORDS), visit=daemon.machine.visit - 1)
    assert daemon.machine.saved == {}


def test_a_thaw_answered_in_the_middle_of_a_freeze_pays_nothing():
    daemon = crashed()
    visit = daemon.machine.visit - 1
    daemon.fenced().froze({PG2: HERE})
    late = Thaw(PG2, daemon.machine.epoch, OWN)
    daemon.happens(Replied(visit, late, Thawed(WORDS)))
    assert daemon.machine.saved == {PG2: OWN}


def test_a_thaw_answered_after_a_freeze_that_followed_it_pays_nothing_either():
    daemon = crashed().froze({PG2: HERE}).answered(Fence, ALIVE)
    thaw, visit = daemon.asks[0], daemon.machine.visit
    daemon.machine = replace(daemon.machine, state=Watching())
    daemon.sees(dead(), cut_off()).sees(dead(), cut_off(), after=0.21)
    freeze = next(effect for effect in daemon.asks if isinstance(effect, Freeze))
    frozen = FrozenAt(Frozen(PG2, Lsn(HERE), Timeline(1), OWN), WORDS)
    daemon.happens(Replied(daemon.machine.visit, freeze, frozen)).answered(Fence, ALIVE)
    daemon.machine = replace(daemon.machine, state=Watching())
    daemon.happens(Replied(visit, thaw, Thawed(WORDS)))
    assert daemon.machine.saved == {PG2: OWN}


def test_what_could_not_be_thawed_is_asked_again_ten_seconds_later_with_another_number():
    daemon = failed_over()
    first = daemon.asks[0]
    daemon.answered(Thaw, FAILED)
    assert daemon.asks == ()
    assert daemon.last is not None
    assert daemon.last.wake_at == daemon.at + 10
    daemon.wakes(10)
    assert isinstance(daemon.asks[0], Thaw)
    assert daemon.asks[0] != first
    daemon.answered(Thaw, Thawed(WORDS))
    assert daemon.machine.saved == {}
    assert [type(e) for e in daemon.asks] == [Equip]


def test_a_primary_that_our_guard_holds_down_is_started_again_also_after_the_way_back():
    daemon = with_job(Job.OWED_UNGUARD).sees(held_down, cut_off())
    assert [type(e) for e in daemon.asks] == [Unfence]
    daemon.answered(Unfence, FAILED)
    assert daemon.asks == ()
    daemon.wakes(11)
    assert [type(e) for e in daemon.asks] == [Unfence]
    assert daemon.answered(Unfence, Unfenced(WORDS)).machine.jobs == {}


def test_it_is_not_started_beside_a_standby_that_another_daemon_has_frozen():
    daemon = with_job(Job.OWED_UNGUARD).sees(held_down, frozen_elsewhere)
    assert [type(e) for e in daemon.asks] == [Unguard]


def test_a_look_from_before_our_thaw_is_no_freeze_of_another_daemons():
    daemon = crashed().fenced().sees(dead(), frozen_elsewhere, after=0.1)
    daemon.machine = replace(
        daemon.machine,
        state=Reverting(PG1, restart=False, then=None, why="it is well"),
        saved={PG2: OWN},
    )
    daemon.answered(Thaw, Thawed(WORDS))
    assert isinstance(daemon.state, Reverting)
    assert [type(e) for e in daemon.asks] == [Unguard]
    daemon.sees(healthy(), frozen_elsewhere)
    assert daemon.state == Watching()


def test_a_guard_laid_is_a_guard_owed_until_it_is_gone():
    daemon = crashed().answered(Fence, ALIVE)
    while isinstance(daemon.state, Reverting):
        daemon.answered(Unguard, FAILED)
        daemon.wakes(31)
    assert daemon.state == Watching()
    for _ in range(3):
        daemon.wakes(10)
        assert [type(e) for e in daemon.asks] == [Unguard]
        daemon.answered(Unguard, FAILED)
    daemon.restarted()
    daemon.sees(healthy(), streaming())
    daemon.answered(Unguard, Unguarded(WORDS))
    assert (daemon.asks, daemon.machine.jobs) == ((), {})


def test_an_answer_about_an_earlier_guard_does_not_pay_for_the_present_one():
    daemon = with_job(Job.OWED_UNGUARD)
    daemon.happens(Replied(daemon.machine.visit, Unguard(PG1, Epoch(2)), Unguarded(WORDS)))
    assert daemon.machine.jobs[PG1].job is Job.OWED_UNGUARD


@pytest.mark.parametrize("job", [Job.OWED_UNGUARD, Job.OWED_THAW, Job.QUARANTINED])
def test_nothing_is_done_in_observe_mode(job):
    daemon = with_job(job, mode=Mode.OBSERVE)
    daemon.machine = replace(daemon.machine, saved={PG2: OWN})
    daemon.sees(healthy(), streaming())
    assert daemon.last is not None
    assert daemon.last.effects == ()


def test_an_old_primary_that_comes_back_writable_is_fenced_again_however_often():
    daemon = failed_over().answered(Thaw, Thawed(WORDS))
    numbers = set()
    for _ in range(3):
        daemon.sees(healthy(), NEW_PRIMARY)
        asked = daemon.asked(Fence)
        assert [(e.node, e.mode, e.epoch) for e in asked] == [
            (PG1, StopMode.FAST, daemon.machine.epoch)
        ]
        numbers.add(asked[0].attempt)
        daemon.fenced(node=PG1)
        assert not daemon.asked(Fence)
        daemon.sees(dead(), NEW_PRIMARY, after=10)
        assert daemon.state == Watching()
    assert len(numbers) == 3


def test_a_second_writable_node_that_we_never_fenced_is_not_touched():
    daemon = watching().sees(healthy(), healthy(timeline=2))
    assert daemon.asks == ()


def test_whoever_follows_the_new_primary_is_owed_nothing_any_more():
    daemon = three_failed_over().answered(Thaw, Thawed(WORDS))
    daemon.answered(Equip, Equipped(WORDS)).sees(gone(), SENDS, FOLLOWS)
    assert set(daemon.machine.jobs) == {PG1}
    assert daemon.machine.saved == {}
    daemon.sees(FOLLOWS, NEW_PRIMARY, FOLLOWS)
    assert daemon.machine.jobs == {}


def test_an_old_primary_that_streams_from_another_standby_is_not_back_yet():
    daemon = three_failed_over().answered(Thaw, Thawed(WORDS))
    daemon.answered(Equip, Equipped(WORDS)).sees(gone(), SENDS, FOLLOWS)
    daemon.sees(streaming(timeline=2, upstream=HOSTS[PG3]), NEW_PRIMARY, FOLLOWS)
    assert set(daemon.machine.jobs) == {PG1}


def test_a_view_from_before_the_failover_is_no_sign_of_following():
    daemon = three_failed_over().sees(gone(), NEW_PRIMARY, streaming())
    assert daemon.machine.jobs[PG3].job is Job.REPOINTING


def test_a_detached_standby_stays_so_when_a_later_failover_goes_back():
    daemon = three_failed_over().answered(Thaw, Thawed(WORDS))
    stands = cut_off(timeline=1)
    for _ in range(3):
        daemon.sees(gone(), NEW_PRIMARY, stands)
    daemon.at += 1000
    daemon.sees(gone(), dead(), stands).sees(gone(), dead(), stands)
    assert daemon.machine.saved == {PG3: OWN}
    assert not daemon.asked(Thaw)


def test_a_second_failover_does_not_end_a_quarantine():
    daemon = three_failed_over().answered(Thaw, Thawed(WORDS))
    first = daemon.machine.epoch
    for _ in range(3):
        daemon.sees(held_down, SENDS, FOLLOWS)
    ended = cut_off(timeline=2)
    daemon.sees(held_down, dead(), ended, after=1000).sees(held_down, dead(), ended)
    assert isinstance(daemon.state, Fencing)
    assert daemon.machine.epoch > first
    assert [effect.node for effect in daemon.asked(ReadSettings)] == [PG3]
    assert daemon.machine.jobs[PG1].job is Job.QUARANTINED


def test_nothing_that_is_owed_is_done_in_observe_mode_not_even_at_the_start():
    daemon = failed_over()
    assert daemon.asks
    daemon.policy = replace(PAIR, mode=Mode.OBSERVE)
    assert daemon.asks == ()
