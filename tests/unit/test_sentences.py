"""Every answer, every command and every state has its sentence."""

from __future__ import annotations

from dataclasses import replace

import pytest

from failoverd.core.diagnosis import Diagnosis
from failoverd.core.effects import Redirect, Salvage, StopMode, Thaw, Unfence
from failoverd.core.events import (
    Confirmed,
    EffectFailed,
    OperatorAcknowledges,
    OperatorFailover,
    Redirected,
    Replied,
    Trigger,
    Unfenced,
)
from failoverd.core.jobs import Job, NodeJob
from failoverd.core.model import (
    ControlState,
    Epoch,
    Evidence,
    FenceProof,
    Instant,
    Lsn,
    ProofKind,
    SavedSettings,
    Timeline,
    WalLoss,
)
from failoverd.core.sentences import entered, heard, learnt, state_sentence
from failoverd.core.states import (
    Blocked,
    BlockReason,
    Confirming,
    Electing,
    Fencing,
    Incident,
    Paused,
    Promoting,
    Reverting,
    Salvaging,
    Settling,
    Starting,
    Suspect,
    Watching,
    name_of,
)
from failoverd.core.wal_answers import Salvaged
from tests.unit.story import PG1, PG2, SAVED, Story, failover

DONE = Evidence("it was done")
LOSS = WalLoss(0, True, "nothing")
INCIDENT = Incident(Epoch(3), Trigger.AUTOMATIC, Diagnosis.CRASHED)
PROOF = FenceProof(
    ProofKind.STOPPED, PG1, Epoch(3), Instant(1.0), ControlState.IN_PRODUCTION, None, DONE
)
AT = Instant(1.0)
CONFIRMED = Confirmed(Timeline(2), Lsn(5), True, (), "", DONE)


@pytest.mark.parametrize(
    ("event", "sentence"),
    [
        (Replied(1, Salvage(PG1, PG2), Salvaged(LOSS, DONE)), "salvaged for pg2: it was done"),
        (Replied(1, Redirect(PG2), Redirected(DONE)), "redirected to pg2: it was done"),
        (Replied(1, Unfence(PG1, Epoch(3)), Unfenced(DONE)), "pg1 is started again: it was done"),
        (
            Replied(1, Thaw(PG2, Epoch(3), SAVED), EffectFailed("no", Evidence("it hangs"))),
            "failed: thaw pg2: it hangs",
        ),
        (OperatorFailover(Trigger.COMMAND, "alice"), "alice asked for a failover (command)"),
        (OperatorAcknowledges("alice"), "alice acknowledged: the cooldown"),
    ],
)
def test_what_was_heard_is_said_as_a_sentence(event, sentence):
    assert heard(event).startswith(sentence)


def test_commits_that_wait_are_part_of_the_confirmation():
    event = Replied(1, Redirect(PG2), CONFIRMED)
    assert heard(event).endswith("wrote at 0/5, but commits wait for a synchronous standby")


STATES = [
    Starting(),
    Starting(resuming=True),
    Watching(),
    Suspect(Diagnosis.HUNG, AT, AT),
    Fencing(INCIDENT, PG1, StopMode.IMMEDIATE, (PG2,), "pg1 is hung"),
    Electing(PROOF, (PG2,)),
    Electing(PROOF, ()),
    Salvaging(PROOF, PG2, Lsn(5), LOSS),
    Promoting(PROOF, PG2, Lsn(5), LOSS),
    Confirming(PROOF, PG2, LOSS),
    Settling(PG2, CONFIRMED),
    Reverting(PG1, restart=True, then=None, why="nobody can take over"),
    Reverting(PG1, restart=False, then=None, why="it lives"),
    Reverting(PG1, restart=False, then=None, why="it lives", guard_owed=False),
    Paused("alice"),
    Blocked(BlockReason.COOLDOWN, "too soon", AT, AT, "failoverd ack"),
    Blocked(BlockReason.DEMOTED, "somebody acted", AT, AT),
]


@pytest.mark.parametrize("state", STATES, ids=lambda state: type(state).__name__)
def test_a_state_can_be_entered_and_stood_in(state):
    before = Story().all_well().machine
    after = replace(before, state=state)
    assert entered(before, after, None)
    assert state_sentence(after).startswith(name_of(state))


def test_a_fence_that_is_proved_anew_says_so():
    story = Story().all_well().primary_dies()
    again = replace(story.machine.state, attempt=1)
    assert "fencing pg1 again" in entered(story.machine, replace(story.machine, state=again), None)


def test_a_primary_that_is_well_again_says_what_it_was_suspected_of():
    well = Story().all_well().machine
    suspect = replace(well, state=Suspect(Diagnosis.UNREACHABLE, AT, AT))
    assert entered(suspect, well, None) == "watching: pg1 is no longer unreachable"


def test_a_primary_that_could_not_be_started_again_is_not_said_to_be_as_before():
    well = Story().all_well().machine
    back = Reverting(PG1, restart=True, then=None, why="me asked to unfence pg1", retry_at=AT)
    said = entered(replace(well, state=back), well, None)
    assert said == (
        "watching: pg1 could not be started again, and is watched as it is: its log says what keeps"
        " it from starting; then failoverd unfence pg1"
    )
    given_back = replace(well, state=replace(back, guard_owed=False))
    assert "everything was taken back" in entered(given_back, well, None)


def test_what_is_still_to_be_taken_back_is_named_where_its_host_was_away():
    well = Story().all_well().machine
    back = Reverting(PG1, restart=False, then=None, why="it is well", retry_at=AT)
    owed = replace(
        well, jobs={PG1: NodeJob(Job.OWED_UNGUARD, Epoch(1))}, saved={PG2: SavedSettings(())}
    )
    assert entered(replace(well, state=back), owed, None) == (
        "watching: pg1 as it is; still to be taken back: the guard of pg1 and the freeze of pg2"
    )


def test_watching_nobody_is_said():
    machine = failover().machine
    nobody = replace(machine, memory=replace(machine.memory, primary=None))
    assert state_sentence(nobody) == "watching: no primary is known yet"


def test_what_was_learnt_is_named():
    assert learnt(["promise"]) == "learnt: what synchronous replication promises"
    assert learnt(["a_field_of_later"]) == "learnt: a_field_of_later"
    assert learnt([]) == "noted"


def test_one_more_standby_that_stands_still_is_no_new_election():
    before = replace(Story().all_well().machine, state=Electing(PROOF, (PG2,)))
    after = replace(before, state=Electing(PROOF, (PG2,), failed={PG2: "it hangs"}))
    assert entered(before, after, None) == ""
