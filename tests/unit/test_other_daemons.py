"""What other daemons see of the primary counts; who only watches decides nothing."""

from __future__ import annotations

from dataclasses import replace

import pytest

from failoverd.core.diagnosis import Diagnosis
from failoverd.core.effects import Fence, Promote
from failoverd.core.events import Observed, OperatorPause
from failoverd.core.model import ClusterView, DaemonReport, Instant, Lsn
from failoverd.core.restart import followed, taken_up
from failoverd.core.states import Fencing, Starting, Suspect, Watching
from failoverd.core.vantage import seen
from failoverd.daemon.course import Ask, Course, Saw, Write, Written
from failoverd.record.codec import dumps, loads
from tests.unit.armed import armed
from tests.unit.vocabulary import (
    HERE,
    PG1,
    PG2,
    crashed,
    cut_off,
    dead,
    gone,
    healthy,
    streaming,
    view,
    watching,
)


def another(at, *, heard, primary=PG1):
    return {"b": DaemonReport("monitor2", primary, heard, Instant(at))}


def sees(daemon, daemons, rounds=1):
    """The primary and its host do not answer; of the standby, the host was refused there."""
    for _ in range(rounds):
        daemon.at += 1.0
        found = replace(view(gone(), cut_off(), at=daemon.at), daemons=daemons(daemon.at))
        daemon.happens(Observed(found))
    return daemon


def test_a_primary_that_another_daemon_reaches_is_partitioned_however_long_that_lasts():
    daemon = sees(watching(), lambda at: another(at + 0.1, heard=True), rounds=30)
    assert daemon.machine.diagnosis is Diagnosis.PARTITIONED
    assert daemon.machine.incident is None


def test_a_primary_that_no_daemon_reaches_is_unreachable():
    daemon = sees(watching(), lambda at: another(at + 0.1, heard=False), rounds=2)
    assert daemon.machine.diagnosis is Diagnosis.UNREACHABLE


def test_a_daemon_that_is_there_is_heard_before_a_primary_is_called_unreachable():
    of_before = another(100.0, heard=True)
    daemon = sees(watching(), lambda _: of_before, rounds=5)
    assert daemon.machine.diagnosis is Diagnosis.UNCLEAR
    assert (
        sees(daemon, lambda _: {}).machine.diagnosis is Diagnosis.UNREACHABLE
    )  # its lease has ended


@pytest.mark.parametrize("heard", [True, False])
def test_what_a_daemon_says_of_another_node_says_nothing_of_the_primary(heard):
    daemon = sees(watching(), lambda at: another(at, heard=heard, primary=PG2), rounds=2)
    assert daemon.machine.diagnosis is Diagnosis.UNREACHABLE


def test_a_look_of_before_the_crash_does_not_hold_a_crash_up():
    daemon = watching()
    before = another(daemon.at, heard=True)
    for after in (1.0, 0.21):
        daemon.at += after
        found = replace(view(dead(), cut_off(), at=daemon.at), daemons=before)
        daemon.happens(Observed(found))
    assert isinstance(daemon.state, Fencing)


def test_the_report_has_what_other_daemons_saw_and_the_journal_reads_it_back():
    found = replace(view(gone(), cut_off(), at=104.0), daemons=another(103.5, heard=True))
    assert "the daemon monitor2 reaches pg1, 0.50 s before" in seen(found, Instant(104.0))
    assert loads(ClusterView, dumps(found)) == found


# Who takes up what another daemon has left.


def test_a_failover_is_taken_up_with_its_fence_proved_anew():
    left = crashed().fenced().machine
    own = watching()
    resumed = taken_up(left, own.machine, Instant(7.0))
    assert resumed.state == Starting(resuming=True)
    assert (resumed.epoch, resumed.visit) == (left.epoch, left.visit + 1)
    assert resumed.incident == left.incident


def test_the_clock_of_whoever_led_before_dates_no_position_here():
    left, own = watching(primary=healthy(HERE + 50)), watching()
    own.at += 5
    resumed = taken_up(left.machine, own.machine, Instant(own.at))
    assert resumed.memory.primary_lsn == Lsn(HERE + 50)
    assert resumed.memory.primary_lsn_at == own.machine.memory.primary_lsn_at
    blind = replace(own.machine, memory=replace(own.machine.memory, primary_lsn_at=None))
    assert taken_up(left.machine, blind, Instant(own.at)).memory.primary_lsn_at is None


def test_who_follows_shows_the_state_of_who_leads_with_times_of_its_own():
    leads = crashed()
    own = watching()
    shown = followed(leads.machine, own.machine, Instant(7.0))
    assert isinstance(shown.state, Fencing)
    assert (shown.visit, shown.entered_at) == (leads.machine.visit, 7.0)
    assert shown.view == own.machine.view
    later = followed(leads.machine, shown, Instant(9.0))
    assert later.entered_at == 7.0
    doubts = watching().sees(gone(), cut_off()).machine
    assert isinstance(doubts.state, Suspect)
    assert followed(doubts, own.machine, Instant(7.0)).state == replace(
        doubts.state, since=Instant(7.0), looked_at=Instant(7.0)
    )


def test_who_follows_never_renews_what_who_leads_has_armed():
    leads = armed().machine
    assert leads.dead_man.name
    shown = followed(leads, watching().machine, Instant(7.0))
    assert shown.dead_man is not None
    assert shown.dead_man.name == ""


def test_who_follows_looks_anew_where_the_primary_is_another():
    leads = watching()
    there = replace(leads.machine, memory=replace(leads.machine.memory, primary=PG2))
    own = watching().machine
    shown = followed(there, own, Instant(500.0))
    assert shown.memory.primary == PG2
    assert not shown.looked_at


# Who does not lead decides nothing.


def parts_of(course, daemon, event, *, held_back=False):
    turn, told, parts = course.turn(event, daemon.now, daemon.policy), None, []
    while True:
        try:
            part = turn.send(told)
        except StopIteration as end:
            return parts, end.value
        parts.append(part)
        at = daemon.now.monotonic
        told = Written("", at, held_back) if isinstance(part, Write) else None


def test_who_follows_journals_nothing_asks_for_nothing_and_shows_what_it_sees():
    daemon = watching()
    course = Course("main", daemon.machine)
    course.follow(daemon.machine)
    for after in (1.0, 0.21):
        daemon.at += after
        parts, done = parts_of(course, daemon, Observed(view(dead(), cut_off(), at=daemon.at)))
        assert [type(one) for one in parts] == [Saw]
        assert not done
    assert isinstance(course.machine.state, Watching)
    assert course.machine.diagnosis is Diagnosis.CRASHED
    assert parts_of(course, daemon, OperatorPause("me")) == ([], False)
    assert course.resume(daemon.policy).effects == ()


def test_who_loses_the_lease_while_it_writes_does_nothing_of_it_and_its_journal_has_not_failed():
    daemon = watching()
    course = Course("main", daemon.machine)
    daemon.at += 1.0
    parts_of(course, daemon, Observed(view(dead(), cut_off(), at=daemon.at)))
    daemon.at += 0.21
    event = Observed(view(dead(), cut_off(), at=daemon.at))
    parts, done = parts_of(course, daemon, event, held_back=True)
    assert not any(isinstance(one, Ask) for one in parts)
    assert not done
    assert not course.leads
    assert course.journal_failing == ""
    assert not isinstance(course.machine.state, Fencing)


def test_who_leads_again_asks_again_for_what_it_had_asked_for():
    daemon = crashed()
    course = Course("main", daemon.machine)
    asked = course.resume(daemon.policy).effects
    assert asked
    course.follow(daemon.machine)
    course.lead(daemon.machine)
    assert course.resume(daemon.policy).effects == asked


def test_who_takes_up_that_a_standby_was_asked_fences_the_primary_before_it_is_asked_again():
    """Also where nobody ever asked it: whoever writes to etcd can have that believed, no more."""
    forged = replace(crashed().machine, asked=frozenset({PG2}))
    own = watching()
    own.machine = taken_up(forged, own.machine, own.now.monotonic)
    own.sees(healthy(), streaming()).sees(healthy(), streaming())
    wanted = [type(effect) for effect in own.asks]
    assert Fence in wanted
    assert Promote not in wanted
    own.fenced()
    assert [effect.candidate for effect in own.asked(Promote)] == [PG2]
