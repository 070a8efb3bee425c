"""The sentences that a person reads, and what is worth writing down at all."""

from __future__ import annotations

from dataclasses import replace

from failoverd.core.asked import effects
from failoverd.core.effects import Fence
from failoverd.core.events import (
    EffectFailed,
    Evidence,
    OperatorFailover,
    OperatorPause,
    OperatorResume,
    Replied,
    StillAlive,
    Trigger,
    Woke,
)
from failoverd.core.incident import EntryKind, IncidentOutcome, durable_change
from failoverd.core.model import Epoch, Instant
from failoverd.core.policy import Mode
from failoverd.core.sentences import state_sentence
from failoverd.core.states import StateName, name_of
from tests.unit.story import PG1, PG2, POLICY, Story, dead, failover, well


def outcomes(story):
    return [e.outcome for e in story.entries if e.outcome is not None]


def test_a_failover_is_told_step_by_step():
    told = " | ".join(entry.sentence for entry in failover().entries)
    for sentence in (
        "suspect: pg1 is crashed: Its host answers",
        "fencing pg1 (dead_only): pg1 is crashed; pg2 at 0/3000148 would take over",
        "proved: pg1 is fenced (stopped): no process of its data directory is left",
        "pg2 is frozen at 0/3000148 on timeline 1; elected: pg2 at 0/3000148",
        "promoting pg2 at 0/3000148; lost with it: at most about 0 bytes",
        "confirmed: pg2 is the primary on timeline 2, wrote at 0/3000200",
        "watching: pg2 is the primary on timeline 2",
    ):
        assert sentence in told


def test_every_entry_carries_the_command_that_was_run():
    proved = next(entry for entry in failover().entries if entry.answer == "Fenced")
    assert proved.runs[0].command.startswith("kill -0 70")


def test_a_failover_ends_once_and_with_what_was_lost():
    story = failover()
    assert outcomes(story) == [IncidentOutcome.SUCCEEDED]
    (end,) = [entry for entry in story.entries if entry.outcome is not None]
    assert end.loss is not None
    assert end.server_log[1].endswith("timeline ID: 2")


def test_the_election_is_kept_with_its_reasons():
    (election,) = [e.election for e in failover().entries if e.election is not None]
    assert election.candidate == PG2


def test_a_primary_that_turns_out_alive_is_a_cancelled_failover():
    story = Story().all_well().primary_dies().answers(StillAlive)
    assert outcomes(story) == [IncidentOutcome.CANCELLED]
    assert story.entries[-1].sentence.endswith("pg1 is the primary as before")


def test_one_reason_is_not_told_twice():
    story = Story().all_well().primary_dies().answers(StillAlive)
    told = next(e.sentence for e in story.entries if e.to_state is StateName.REVERTING)
    assert told.count("a postmaster runs on pg1") == 1


def test_a_failover_that_nobody_can_take_over_is_refused_and_not_an_incident():
    story = Story().all_well()
    for _ in range(2):
        story.rounds += 1
        story.at += 0.25
        lost = replace(well(PG2, story.rounds, story.at), server=None)
        story.sees(dead(PG1, story.rounds, story.at), lost)
    assert name_of(story.machine.state) is StateName.BLOCKED
    assert outcomes(story) == [IncidentOutcome.REFUSED]
    assert story.entries[-1].sentence.startswith("blocked (no_candidate): no standby can")


def read_only(story):
    story.rounds += 1
    story.at += 1
    primary = well(PG1, story.rounds, story.at)
    set_so = replace(primary, server=replace(primary.server, read_only=True))
    return story.sees(set_so, well(PG2, story.rounds, story.at))


def test_a_change_of_diagnosis_is_told_with_what_each_vantage_point_said_and_when():
    story = Story().all_well()
    read_only(story)
    told = story.entries[-1]
    assert told.kind is EntryKind.DIAGNOSIS
    assert told.diagnosis == "read_only"
    assert told.sentence == "pg1 is read_only: The primary answers but is set read-only."
    assert any(line.startswith("pg1: takes writes on timeline 1") for line in told.seen)
    assert any(line.startswith("pg2: a standby that has received") for line in told.seen)
    assert all("s before" in line for line in told.seen)
    count = len(story.entries)
    read_only(story)
    assert len(story.entries) == count


def test_what_observe_mode_would_have_done_is_told_once_and_nothing_is_asked():
    story = Story(policy=replace(POLICY, mode=Mode.OBSERVE)).all_well().primary_dies()
    story.primary_dies()
    observed = [entry for entry in story.entries if entry.outcome is IncidentOutcome.OBSERVED]
    assert len(observed) == 1
    assert "by itself it would fence pg1" in observed[0].sentence
    assert "pg2" in observed[0].sentence
    assert observed[0].seen
    assert story.machine.epoch == 0


def test_a_quiet_round_leaves_nothing_behind():
    story = Story().all_well(3)
    before = len(story.entries)
    story.all_well(10)
    assert len(story.entries) == before


def test_a_deadline_that_changes_nothing_leaves_nothing_behind():
    story = Story().all_well()
    before = len(story.entries)
    story.happens(Woke())
    assert len(story.entries) == before


def test_what_a_restart_forgets_is_no_durable_change():
    machine = Story().all_well().machine
    memory = replace(machine.memory, failed_rounds=2, last_alive_at=Instant(1.0))
    assert not durable_change(machine, replace(machine, memory=memory))


def test_what_a_restart_remembers_is_a_durable_change():
    machine = Story().all_well().machine
    memory = replace(machine.memory, highest_epoch=Epoch(9))
    assert durable_change(machine, replace(machine, memory=memory))


def test_an_operator_is_named_with_what_was_asked():
    story = Story().all_well()
    story.happens(OperatorFailover(Trigger.SWITCHOVER, "alice", to=PG2, accept_loss_bytes=4096))
    asked = story.entries[-1]
    assert asked.trigger is Trigger.SWITCHOVER
    assert asked.sentence.startswith(
        "alice asked for a switchover to pg2, accepting the loss of up to 4096 bytes"
    )


def test_pausing_and_resuming_are_commands():
    story = Story().all_well()
    story.happens(OperatorPause("bob"))
    story.happens(OperatorResume("bob"))
    paused, resumed = story.entries[-2:]
    assert paused.sentence.startswith("bob asked to pause; paused by bob")
    assert (paused.trigger, resumed.trigger) == (Trigger.COMMAND, Trigger.COMMAND)


def test_a_fence_that_failed_says_what_a_person_can_do():
    story = Story().all_well().primary_dies()
    fence, *_ = effects(story.machine)
    assert isinstance(fence, Fence)
    failed = EffectFailed("timed_out", Evidence("no answer from pg1"), "failoverd fenced pg1")
    story.happens(Replied(story.machine.visit, fence, failed))
    told = story.entries[-1]
    assert told.kind is EntryKind.TRANSITION
    assert (
        "blocked (no_fence_proof): no answer from pg1 (do: failoverd fenced pg1)" in told.sentence
    )


def test_an_answer_that_came_too_late_is_told_and_changes_nothing():
    story = Story().all_well().primary_dies()
    fence, *_ = effects(story.machine)
    story.happens(Replied(story.machine.visit - 1, fence, StillAlive(Evidence("alive"))))
    assert story.entries[-1].kind is EntryKind.REPLY
    assert name_of(story.machine.state) is StateName.FENCING


def test_where_it_stands_can_be_said_in_every_state():
    for _, _, after, _, _ in failover().steps:
        assert state_sentence(after).startswith(name_of(after.state))


def test_a_failover_that_had_to_be_taken_back_is_reverted():
    story = Story().all_well().primary_dies()
    story.answers(EffectFailed)
    for _ in range(4):
        story.answers(EffectFailed)
    assert outcomes(story) == [IncidentOutcome.REVERTED]
    assert name_of(story.machine.state) is StateName.BLOCKED


def test_a_command_that_changes_nothing_is_noted_as_one():
    story = Story().all_well()
    story.happens(OperatorResume("bob"))
    assert story.entries[-1].kind is EntryKind.COMMAND
    assert story.entries[-1].outcome is None


def test_a_split_brain_is_no_refused_failover():
    story = Story().all_well()
    writable = replace(well(PG1, 9, story.at), name=PG2)
    for number in range(9, 12):
        story.at += 1
        other = replace(writable, round=number)
        story.sees(well(PG1, number, story.at), other)
    assert name_of(story.machine.state) is StateName.BLOCKED
    assert outcomes(story) == []


def test_a_failure_that_blocks_is_told_once():
    story = Story().all_well().primary_dies()
    fence, *_ = effects(story.machine)
    failed = EffectFailed("timed_out", Evidence("no answer from pg1"), "failoverd fenced pg1")
    story.happens(Replied(story.machine.visit, fence, failed))
    assert story.entries[-1].sentence.count("no answer from pg1") == 1
