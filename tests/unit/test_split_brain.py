"""Two that take writes: seen at once or not at all, alerted, counted, and fenced by right only."""

from dataclasses import replace

import pytest

from failoverd.core.diagnosis import Diagnosis
from failoverd.core.effects import Fence, MeasureDivergence, StopMode
from failoverd.core.events import (
    DivergenceMeasured,
    Fenced,
    Observed,
    OperatorAdopts,
    OperatorPause,
    Replied,
)
from failoverd.core.model import ClusterView, Guard, Timeline
from failoverd.core.numbering import number_of
from failoverd.core.policy import Mode, OnSplitBrain
from failoverd.core.situation import Job
from failoverd.core.states import Blocked, BlockReason, Paused, Watching
from tests.unit.test_divergence import divergence
from tests.unit.vocabulary import (
    FAILED,
    PAIR,
    PG1,
    PG2,
    WORDS,
    cut_off,
    dead,
    gone,
    healthy,
    proof,
    streaming,
    watching,
)

FENCES = replace(PAIR, on_split_brain=OnSplitBrain.FENCE)
NEW = healthy(timeline=2)


def fences(daemon):
    assert daemon.last is not None
    return [e for e in daemon.last.effects if isinstance(e, Fence)]


def counts(daemon):
    assert daemon.last is not None
    return [e for e in daemon.last.effects if isinstance(e, MeasureDivergence)]


def counted(daemon, **changes):
    (asked,) = counts(daemon)
    found = divergence(node=asked.node, against=asked.against, **changes)
    return daemon.happens(Replied(daemon.machine.visit, asked, DivergenceMeasured(found, WORDS)))


def isolated(policy=PAIR):
    """pg1 was cut off, somebody promoted pg2, and that was taken for the primary."""
    daemon = watching(policy).sees(gone(), cut_off()).sees(gone(), NEW)
    daemon.sees(gone(), NEW).sees(gone(), NEW)
    assert daemon.machine.memory.primary == PG2
    assert daemon.state == Watching()
    return daemon


def test_two_that_were_never_seen_writing_at_one_moment_are_no_split_brain():
    daemon = watching()
    old = healthy()(PG1, daemon.at + 1.0)
    daemon.at += 2.0
    # Stopped by hand in between, and the other promoted: our look at pg1 is of before.
    daemon.happens(Observed(ClusterView({PG1: old, PG2: NEW(PG2, daemon.at)})))
    assert daemon.machine.diagnosis is not Diagnosis.SPLIT_BRAIN
    assert daemon.state == Watching()
    daemon.sees(dead(), NEW)
    assert daemon.machine.diagnosis is not Diagnosis.SPLIT_BRAIN


def test_the_next_look_at_the_first_shows_that_both_write():
    daemon = watching()
    old = healthy()(PG1, daemon.at + 1.0)
    daemon.at += 1.5
    stranger = NEW(PG2, daemon.at)
    daemon.happens(Observed(ClusterView({PG1: old, PG2: stranger})))
    daemon.at += 0.5
    daemon.happens(Observed(ClusterView({PG1: healthy()(PG1, daemon.at), PG2: stranger})))
    assert isinstance(daemon.state, Blocked)
    assert daemon.state.reason is BlockReason.SPLIT_BRAIN
    assert "pg1 (timeline 1) and pg2 (timeline 2) take writes" in daemon.state.why
    assert "failoverd adopt NODE" in daemon.state.advice


def test_a_split_brain_has_a_number_of_its_own_until_it_is_over():
    daemon = watching()
    before = daemon.machine.epoch
    daemon.sees(healthy(), NEW)
    number = daemon.machine.split
    assert number == daemon.machine.epoch == before + 1
    daemon.sees(healthy(), NEW).sees(healthy(), NEW)
    assert daemon.machine.split == number
    daemon.sees(healthy(), dead())
    assert daemon.machine.split == 0
    daemon.sees(healthy(), NEW)
    assert daemon.machine.split == number + 1


def test_of_two_that_the_journal_knows_nothing_about_neither_is_fenced_by_its_timeline_number():
    """Rule 9."""
    daemon = watching(FENCES)
    for _ in range(5):
        daemon.sees(healthy(), NEW)
        assert fences(daemon) == []
    assert isinstance(daemon.state, Blocked)


def test_who_was_replaced_is_remembered_and_with_alert_not_touched():
    daemon = isolated()
    assert daemon.machine.jobs[PG1].job is Job.SUPERSEDED
    daemon.restarted()
    for _ in range(3):
        daemon.sees(healthy(), NEW)
        assert fences(daemon) == []
    assert isinstance(daemon.state, Blocked)
    assert daemon.state.advice == "failoverd fence pg1"


def test_with_fence_whoever_the_journal_records_as_superseded_is_fenced():
    """Rule 9."""
    daemon = isolated(FENCES).sees(healthy(), NEW)
    (asked,) = fences(daemon)
    assert (asked.node, asked.mode, asked.epoch) == (PG1, StopMode.FAST, daemon.machine.split)
    daemon.answered(Fence, Fenced(proof(daemon.at, node=PG1, epoch=daemon.machine.epoch)))
    assert daemon.machine.jobs[PG1].job is Job.QUARANTINED
    assert daemon.machine.memory.primary == PG2


@pytest.mark.parametrize("mode", [Mode.MANUAL, Mode.OBSERVE])
def test_only_automatic_mode_fences_by_itself(mode):
    daemon = isolated(replace(FENCES, mode=mode)).sees(healthy(), NEW).sees(healthy(), NEW)
    assert fences(daemon) == []


def test_paused_nothing_is_fenced():
    daemon = isolated(FENCES).told(OperatorPause("me")).sees(healthy(), NEW)
    assert isinstance(daemon.state, Paused)
    assert fences(daemon) == []
    assert daemon.machine.jobs[PG1].job is Job.SUPERSEDED


def test_who_was_promoted_anew_since_it_was_replaced_is_somebodys_act_and_not_fenced():
    daemon = isolated(FENCES)
    for _ in range(3):
        daemon.sees(healthy(timeline=3), NEW)
        assert fences(daemon) == []


def test_beside_a_primary_that_is_not_seen_writing_nobody_is_fenced():
    daemon = isolated(FENCES)
    for _ in range(3):
        daemon.sees(healthy(), dead())
        assert fences(daemon) == []


def test_what_an_operator_has_replaced_is_superseded_too():
    daemon = watching(FENCES).sees(healthy(), NEW).told(OperatorAdopts("me", PG2))
    assert daemon.machine.jobs[PG1].job is Job.SUPERSEDED
    assert daemon.machine.jobs[PG1].timeline == Timeline(1)
    daemon.sees(healthy(), NEW)
    assert [e.node for e in fences(daemon)] == [PG1]


def test_whoever_is_adopted_again_is_superseded_no_more():
    daemon = isolated(FENCES).sees(gone(), NEW)
    daemon.policy = PAIR
    daemon.sees(healthy(), NEW).told(OperatorAdopts("me", PG1))
    assert PG1 not in daemon.machine.jobs
    assert daemon.machine.jobs[PG2].job is Job.SUPERSEDED


def test_who_follows_the_new_primary_is_superseded_no_more():
    daemon = isolated()
    daemon.sees(streaming(upstream="192.0.2.12", timeline=2), NEW)
    assert daemon.machine.jobs == {}


def test_what_only_the_stale_one_has_is_counted_at_first_sight_and_again_when_it_is_over():
    daemon = isolated().sees(healthy(), NEW)
    (asked,) = counts(daemon)
    assert (asked.node, asked.against) == (PG1, PG2)
    assert (asked.timeline, asked.against_timeline) == (1, 2)
    counted(daemon, commits=3, running=True)
    for _ in range(3):
        daemon.sees(healthy(), NEW)
        assert counts(daemon) == []
    daemon.sees(dead(), NEW)
    counted(daemon, commits=9)
    assert daemon.machine.divergences[PG1].divergence.commits == 9
    for _ in range(3):
        daemon.sees(dead(), NEW)
        assert counts(daemon) == []
    assert daemon.machine.split == 0


def test_where_the_journal_does_not_know_the_lower_timeline_is_counted_and_not_touched():
    daemon = watching().sees(healthy(), NEW)
    (asked,) = counts(daemon)
    assert (asked.node, asked.against) == (PG1, PG2)


def test_counting_is_done_in_observe_mode_too():
    daemon = watching(replace(PAIR, mode=Mode.OBSERVE)).sees(healthy(), NEW)
    assert [e.node for e in counts(daemon)] == [PG1]


def test_a_host_that_does_not_answer_is_not_asked_to_count():
    daemon = isolated().sees(gone(), NEW)
    assert counts(daemon) == []


def test_what_could_not_be_counted_is_tried_again_later_and_more_and_more_rarely():
    daemon = isolated().sees(healthy(), NEW)
    for seconds in (10, 20, 40):
        (asked,) = counts(daemon)
        daemon.happens(Replied(daemon.machine.visit, asked, FAILED))
        daemon.sees(healthy(), NEW, after=seconds - 0.5)
        assert counts(daemon) == []
        daemon.sees(healthy(), NEW, after=0.6)
    assert len(counts(daemon)) == 1


def test_a_count_of_a_failovers_old_primary_is_kept_under_that_failover():
    daemon = isolated(FENCES).sees(healthy(), NEW)
    number = daemon.machine.split
    daemon.answered(Fence, Fenced(proof(daemon.at, node=PG1, epoch=daemon.machine.epoch)))
    before = daemon.machine
    asked = MeasureDivergence(PG1, PG2, Timeline(1), Timeline(2))
    event = Replied(before.visit, asked, DivergenceMeasured(divergence(), WORDS))
    assert number_of(before, event, daemon.happens(event).machine) == number


def test_a_guarded_old_primary_started_again_takes_no_writes_and_is_counted_once():
    daemon = isolated()
    daemon.sees(dead(guard=Guard.OURS), NEW)
    counted(daemon, commits=2)
    daemon.sees(cut_off(), NEW)
    assert counts(daemon) == []
