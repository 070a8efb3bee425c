"""What happens when a primary dies, step by step."""

from __future__ import annotations

from dataclasses import replace

import pytest

from failoverd.core.effects import (
    Confirm,
    Fence,
    Freeze,
    Promote,
    ReadSettings,
    Redirect,
    Retire,
    Salvage,
    StopMode,
    Thaw,
    Unfence,
    Unguard,
)
from failoverd.core.events import (
    REPLAYING,
    EffectFailed,
    FrozenAt,
    OperatorAcknowledges,
    OperatorAdopts,
    OperatorFailover,
    OperatorVouches,
    Promoted,
    Replied,
    Retired,
    SettingsRead,
    StillAlive,
    Thawed,
    Trigger,
    Unfenced,
    Unguarded,
)
from failoverd.core.jobs import Job
from failoverd.core.model import (
    ControlState,
    Frozen,
    Guard,
    Lsn,
    Outcome,
    Timeline,
    WalEnd,
    WalLoss,
)
from failoverd.core.policy import Choice, Mode
from failoverd.core.sentences import state_sentence
from failoverd.core.states import (
    Blocked,
    BlockReason,
    Confirming,
    Electing,
    Fencing,
    Promoting,
    Reverting,
    Salvaging,
    Settling,
    Starting,
    Suspect,
    Watching,
)
from failoverd.core.wal_answers import NotSalvaged, Salvaged
from tests.unit.scenes import (
    CONFIRMED,
    NEW_PRIMARY,
    NOTHING,
    QUIET,
    confirming,
    electing,
    failed_over,
    promoting,
    salvaging,
)
from tests.unit.vocabulary import (
    ALIVE,
    FAILED,
    HERE,
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
    look,
    report,
    says,
    server,
    streaming,
    watching,
)

FAR_END = WalEnd(Timeline(1), Lsn(HERE), Lsn(HERE + (1 << 40)))


def held_down(name, at):
    """The old primary, started by somebody under our guard."""
    facts = server(at, in_recovery=True)
    return report(name, at, Outcome.OK, facts, host(at, guard=Guard.OURS))


# How it comes to act.


def test_the_only_writable_node_is_the_primary_and_nobody_is_waited_for():
    assert Daemon().sees(dead(), streaming()).state == Starting()
    assert watching().machine.memory.primary == PG1
    assert isinstance(Daemon().sees(healthy(), healthy()).state, Blocked)


def on_timeline_two(name, at):
    """A standby that followed a later primary, which is out of sight."""
    seen = cut_off()(name, at)
    facts = replace(seen.host.facts, control_timeline=Timeline(2))
    return replace(seen, host=replace(seen.host, facts=facts))


def test_a_first_start_adopts_nobody_whose_timeline_another_node_has_left_behind():
    daemon = Daemon(TRIO).sees(healthy(), gone(), on_timeline_two)
    assert daemon.state.reason is BlockReason.DEMOTED
    assert "pg3 has seen timeline 2" in daemon.state.why
    for _ in range(3):
        daemon.sees(healthy(), gone(), on_timeline_two)
    assert (daemon.machine.memory.primary, daemon.asks) == (None, ())
    daemon.told(OperatorAdopts("ada", PG1))
    assert (daemon.state, daemon.machine.memory.primary) == (Watching(), PG1)


def test_a_crash_is_acted_on_at_the_second_look_200_ms_after_the_first_began():
    daemon = watching().sees(dead(), cut_off())
    assert isinstance(daemon.state, Suspect)
    assert isinstance(daemon.sees(dead(), cut_off(), after=0.19).state, Suspect)
    assert isinstance(daemon.sees(dead(), cut_off(), after=0.02).state, Fencing)
    epoch = daemon.machine.epoch
    fence = Fence(PG1, StopMode.DEAD_ONLY, epoch, wal_from=Lsn(HERE))
    assert daemon.asks == (fence, ReadSettings(PG2, epoch))


def freezes_while_fencing(daemon):
    """What is asked of pg2 once its settings are known, while the fence is under way."""
    daemon.answered(ReadSettings, SettingsRead(OWN, WORDS))
    assert isinstance(daemon.state, Fencing)
    return daemon.asked(Freeze)


def test_the_standbys_of_a_dead_primary_are_frozen_beside_the_fence():
    daemon = crashed()
    (freeze,) = freezes_while_fencing(daemon)
    frozen = Frozen(PG2, Lsn(HERE), Timeline(1), OWN)
    daemon.happens(Replied(daemon.machine.visit, freeze, FrozenAt(frozen, WORDS)))
    daemon.fenced()
    assert isinstance(daemon.state, Electing)
    assert daemon.asks == ()
    assert daemon.last.wake_at == daemon.at
    assert isinstance(daemon.wakes(0).state, Salvaging)


def test_a_standby_frozen_beside_the_fence_counts_when_the_proof_came_first():
    daemon = crashed()
    (freeze,) = freezes_while_fencing(daemon)
    asked_at = daemon.machine.visit
    daemon.fenced()
    frozen = Frozen(PG2, Lsn(HERE), Timeline(1), OWN)
    daemon.happens(Replied(asked_at, freeze, FrozenAt(frozen, WORDS)))
    assert isinstance(daemon.state, Salvaging)


def test_a_freeze_of_an_earlier_incident_counts_for_nothing():
    daemon = crashed()
    (freeze,) = freezes_while_fencing(daemon)
    daemon.fenced()
    frozen = Frozen(PG2, Lsn(HERE), Timeline(1), OWN)
    old = replace(freeze, epoch=daemon.machine.epoch - 1)
    daemon.happens(Replied(daemon.machine.visit - 1, old, FrozenAt(frozen, WORDS)))
    assert isinstance(daemon.state, Electing)


def test_a_primary_that_may_be_alive_keeps_its_standbys_until_it_is_fenced():
    daemon = watching().sees(hung(), QUIET)
    daemon.told(OperatorFailover(Trigger.COMMAND, "me"))
    assert freezes_while_fencing(daemon) == []


def test_what_was_frozen_beside_a_fence_that_found_it_alive_is_thawed():
    daemon = crashed()
    assert freezes_while_fencing(daemon)
    daemon.answered(Fence, StillAlive(WORDS))
    assert isinstance(daemon.state, Reverting)
    assert [effect.node for effect in daemon.asked(Thaw)] == [PG2]


def test_one_look_seen_twice_is_one_look():
    daemon = watching().sees(dead(), cut_off())
    for _ in range(5):
        assert isinstance(daemon.wakes(0.2).state, Suspect)


def test_a_second_look_that_finds_something_else_begins_anew():
    daemon = watching().sees(dead(), cut_off()).sees(hung(), QUIET, after=0.25)
    assert isinstance(daemon.sees(dead(), cut_off(), after=0.25).state, Suspect)
    assert isinstance(daemon.sees(dead(), cut_off(), after=0.25).state, Fencing)


def test_without_the_fast_path_a_crash_waits_for_the_threshold():
    daemon = watching(replace(PAIR, fast_path=False))
    waited = 0
    while not isinstance(daemon.sees(dead(), cut_off()).state, Fencing):
        waited += 1
    assert waited == 3


def test_a_hang_of_an_idle_primary_is_acted_on_about_four_seconds_later():
    daemon = watching()
    began = daemon.at
    while not isinstance(daemon.state, Fencing):
        daemon.sees(hung(), QUIET)
        daemon.wakes(0.99)
        daemon.at -= 0.99
    assert daemon.at - began == pytest.approx(3, abs=1)
    assert daemon.state.mode is StopMode.IMMEDIATE


def test_a_primary_that_answers_again_before_the_threshold_is_left_alone():
    daemon = watching().sees(hung(), QUIET).sees(hung(), QUIET).sees(healthy(), streaming())
    assert daemon.state == Watching()
    assert isinstance(daemon.sees(hung(), QUIET).state, Suspect)
    assert isinstance(daemon.sees(hung(), QUIET).state, Suspect)


@pytest.mark.parametrize(
    ("primary", "standby"),
    [
        (gone(), streaming(age=-0.5)),
        (gone(), gone()),
        (says(Outcome.MISCONFIGURED), streaming()),
        (says(Outcome.TOO_MANY_CONNECTIONS), streaming()),
        (hung(), streaming(age=-0.5)),
        (dead(boot="another"), cut_off()),
        (hung(), gone()),
    ],
)
def test_what_does_not_call_for_it_never_leads_to_a_fence(primary, standby):
    daemon = watching()
    for _ in range(100):
        daemon.sees(primary, standby)
        assert not daemon.asked(Fence)


@pytest.mark.parametrize("mode", [Mode.MANUAL, Mode.OBSERVE])
def test_who_waits_for_an_operator_stays_suspect(mode):
    daemon = watching(replace(PAIR, mode=mode))
    for _ in range(10):
        daemon.sees(dead(), cut_off())
    assert isinstance(daemon.state, Suspect)


def test_blindness_is_no_news_of_the_primary():
    daemon = watching().sees(dead(), cut_off()).sees(gone(), gone())
    assert isinstance(daemon.state, Suspect)
    assert isinstance(daemon.sees(dead(), cut_off()).state, Fencing)


def test_somebody_elses_promotion_is_adopted_and_a_lower_timeline_never():
    daemon = watching().sees(dead(), NEW_PRIMARY).sees(dead(), NEW_PRIMARY)
    assert daemon.state == Watching()
    assert daemon.machine.memory.primary == PG2
    daemon.sees(healthy(timeline=1), gone()).sees(healthy(timeline=1), gone())
    assert daemon.machine.memory.primary == PG2
    assert daemon.machine.memory.timeline == 2


# The procedure.


def test_the_whole_way_from_a_crash_to_the_new_primary():
    daemon = electing()
    assert daemon.asks == (ReadSettings(PG2, daemon.machine.epoch),)
    daemon = salvaging()
    assert isinstance(daemon.state, Salvaging)
    daemon.answered(Salvage, NOTHING)
    assert isinstance(daemon.state, Promoting)
    daemon.answered(Promote, Promoted(WORDS)).answered(Confirm, CONFIRMED)
    assert isinstance(daemon.state, Settling)
    daemon.answered(Redirect, NOTHING)
    machine = daemon.machine
    assert daemon.state == Watching()
    assert (machine.memory.primary, machine.memory.timeline) == (PG2, 2)
    assert (machine.incident, machine.asked) == (None, frozenset())
    assert machine.jobs[PG1].job is Job.QUARANTINED
    assert len(machine.failovers) == 1


@pytest.mark.parametrize(
    "spoilt",
    [{"node": PG2}, {"epoch": 99}, {"at": 0.0}],
)
def test_a_proof_of_another_node_another_epoch_or_too_old_is_none(spoilt):
    daemon = crashed()
    attempt = daemon.state.attempt
    if "at" in spoilt:
        daemon.at += 31
        spoilt = {}
        stale = replace(daemon.machine)
        at = daemon.at
        daemon.at -= 31
        asked = daemon.asks[0]
        found = fence_proof(daemon)
        daemon.at = at
        daemon.machine = stale
        daemon.happens(Replied(daemon.machine.visit, asked, found))
    else:
        daemon.answered(Fence, fence_proof(daemon, **spoilt))
    assert isinstance(daemon.state, Fencing)
    assert daemon.state.attempt == attempt + 1


def fence_proof(daemon, **spoilt):
    from failoverd.core.events import Fenced  # noqa: PLC0415
    from tests.unit.vocabulary import proof  # noqa: PLC0415

    return Fenced(proof(daemon.at, **{"epoch": daemon.machine.epoch, **spoilt}))


def test_a_late_answer_of_an_earlier_visit_is_dropped():
    daemon = crashed()
    asked, visit, found = daemon.asks[0], daemon.machine.visit, fence_proof(daemon)
    daemon.answered(Fence, FAILED)
    assert isinstance(daemon.state, Blocked)
    daemon.happens(Replied(visit, asked, found))
    assert isinstance(daemon.state, Blocked)


def test_a_primary_found_alive_by_the_last_look_is_left_alone():
    daemon = crashed().answered(Fence, ALIVE)
    assert isinstance(daemon.state, Reverting)
    assert daemon.asks == (Unguard(PG1, daemon.machine.epoch),)
    daemon.answered(Unguard, Unguarded(WORDS))
    assert daemon.state == Watching()
    assert daemon.machine.incident is None
    assert daemon.machine.jobs == {}
    assert daemon.machine.memory.failed_rounds == 0


def test_settings_are_remembered_before_they_are_changed():
    daemon = electing()
    assert not daemon.asked(Freeze)
    daemon = electing().froze({})
    from failoverd.core.events import SettingsRead  # noqa: PLC0415

    daemon.answered(ReadSettings, SettingsRead(OWN, WORDS))
    assert daemon.machine.saved == {PG2: OWN}
    assert daemon.asks == (Freeze(PG2, daemon.machine.epoch, OWN),)


def test_no_candidate_after_the_fence_goes_all_the_way_back_at_once():
    daemon = electing().answered(ReadSettings, FAILED)
    assert isinstance(daemon.state, Reverting)
    daemon.answered(Unfence, Unfenced(WORDS))
    assert isinstance(daemon.state, Blocked)
    assert daemon.state.reason is BlockReason.NO_CANDIDATE
    assert daemon.sees(healthy(), streaming()).state == Watching()


def test_going_back_ends_with_the_last_thing_owed_and_needs_no_other_event():
    daemon = salvaging()
    daemon.answered(Salvage, NotSalvaged(WORDS, FAR_END))
    assert isinstance(daemon.state, Reverting)
    assert {type(e) for e in daemon.asks} == {Thaw, Unfence}
    daemon.answered(Unfence, Unfenced(WORDS))
    assert isinstance(daemon.state, Reverting)
    daemon.answered(Thaw, Thawed(WORDS))
    assert isinstance(daemon.state, Blocked)
    assert daemon.state.reason is BlockReason.LOSS_TOO_LARGE
    assert daemon.machine.saved == {}


def test_what_cannot_be_thawed_is_left_to_upkeep_and_not_forgotten():
    daemon = salvaging()
    daemon.answered(Salvage, NotSalvaged(WORDS, FAR_END))
    daemon.answered(Unfence, Unfenced(WORDS))
    while isinstance(daemon.state, Reverting):
        daemon.answered(Thaw, FAILED)
        daemon.wakes(31)
    assert isinstance(daemon.state, Blocked)
    assert daemon.machine.saved == {PG2: OWN}
    assert daemon.asked(Thaw)


def test_an_old_primary_that_cannot_be_started_again_is_replaced_if_somebody_can():
    daemon = electing().answered(ReadSettings, FAILED)
    while isinstance(daemon.state, Reverting):
        daemon.answered(Unfence, FAILED)
        daemon.wakes(31)
    assert isinstance(daemon.state, Blocked)
    assert isinstance(daemon.state.returns_to, Fencing)
    daemon.sees(dead(), cut_off())
    daemon.sees(dead(), cut_off(), after=31)
    assert isinstance(daemon.state, Fencing)


def test_nothing_is_started_beside_a_node_that_takes_writes():
    daemon = electing().answered(ReadSettings, FAILED)
    daemon.sees(dead(), NEW_PRIMARY)
    assert not daemon.asked(Unfence)
    assert daemon.machine.jobs[PG1].job is Job.QUARANTINED


def test_an_old_primary_seen_writable_voids_the_proof():
    for daemon in (electing(), salvaging(), promoting()):
        daemon.sees(healthy(), cut_off())
        assert isinstance(daemon.state, Fencing)
        assert daemon.state.mode is StopMode.IMMEDIATE


def test_a_proof_lasts_half_a_minute():
    daemon = electing()
    assert not isinstance(daemon.wakes(30).state, Fencing)
    assert isinstance(daemon.wakes(0.1).state, Fencing)


def test_what_is_carried_longer_than_a_proof_lasts_is_not_cut_off_and_proved_anew():
    daemon = salvaging().wakes(45)
    assert isinstance(daemon.state, Salvaging)
    daemon.answered(Salvage, Salvaged(WalLoss(0, True, "nothing"), WORDS))
    assert isinstance(daemon.state, Fencing)


def test_a_promotion_that_was_asked_for_and_finds_the_old_primary_alive_fences_it():
    daemon = promoting().answered(Promote, FAILED)
    daemon.sees(dead(), cut_off(), after=31).fenced().answered(Promote, ALIVE)
    daemon.sees(dead(), cut_off(), after=31).answered(Fence, ALIVE)
    assert isinstance(daemon.state, Fencing)
    assert daemon.state.mode is StopMode.FAST
    daemon.fenced()
    assert isinstance(daemon.state, Promoting)


def asked_in_vain(times=2):
    """pg2 was asked to promote in so many visits; pg3 could take over as well."""
    daemon = crashed(TRIO).fenced().froze({PG2: HERE, PG3: HERE - 10})
    daemon.answered(Salvage, NOTHING).answered(Promote, FAILED)
    for _ in range(times - 1):
        while isinstance(daemon.state, Blocked):
            daemon.sees(dead(), gone(), cut_off(), after=31)
        daemon.fenced().answered(Promote, FAILED)
    while isinstance(daemon.state, Blocked):
        daemon.sees(dead(), gone(), cut_off(), after=31)
    return daemon


def test_a_candidate_that_fails_is_proved_stopped_before_the_next_one_is_asked():
    daemon = asked_in_vain()
    epoch = daemon.machine.epoch
    assert [(type(e), e.node, e.epoch) for e in daemon.asks] == [(Retire, PG2, epoch)]
    assert daemon.machine.asked == {PG2}
    daemon.answered(Retire, Retired(WORDS))
    assert daemon.machine.asked == frozenset()
    daemon.fenced()
    assert isinstance(daemon.state, Electing)
    daemon.wakes(0)
    assert isinstance(daemon.state, Salvaging)
    assert daemon.state.candidate == PG3
    daemon.answered(Salvage, NOTHING)
    assert daemon.machine.asked == {PG3}


def test_whom_an_operator_named_is_the_only_one_until_it_is_proved_stopped():
    daemon = asked_in_vain()
    machine = daemon.machine
    named = replace(machine.incident, wanted=PG2)
    state = replace(daemon.state, incident=named)
    daemon.machine = replace(machine, incident=named, state=state)
    unproved = replace(daemon).answered(Retire, FAILED)
    assert unproved.machine.asked == {PG2}
    while isinstance(unproved.state, Blocked):
        unproved.sees(dead(), gone(), cut_off(), after=31)
    assert unproved.fenced().state.candidate == PG2
    daemon.answered(Retire, Retired(WORDS)).fenced().wakes(0)
    assert daemon.state.candidate == PG3, "rather than nobody"


def test_a_candidate_that_is_not_proved_stopped_goes_on_being_the_one_that_is_asked():
    daemon = asked_in_vain().answered(Retire, FAILED)
    assert isinstance(daemon.state, Blocked)
    assert daemon.state.reason is BlockReason.PROMOTION_PENDING
    assert daemon.machine.asked == {PG2}
    while isinstance(daemon.state, Blocked):
        daemon.sees(dead(), gone(), cut_off(), after=31)
    daemon.fenced()
    assert isinstance(daemon.state, Promoting)
    assert daemon.state.candidate == PG2


def test_a_candidate_that_promotes_at_last_is_not_given_up():
    daemon = asked_in_vain().sees(dead(), healthy(timeline=2), cut_off())
    assert isinstance(daemon.state, Fencing)
    assert daemon.state.gives_up is None
    daemon.fenced()
    assert isinstance(daemon.state, Promoting)
    assert daemon.state.candidate == PG2


def test_a_candidate_that_gets_on_with_its_replay_is_waited_for():
    replays = EffectFailed(REPLAYING, WORDS)
    daemon = crashed(TRIO).fenced().froze({PG2: HERE, PG3: HERE - 10})
    daemon.answered(Salvage, NOTHING)
    for _ in range(4):
        daemon.answered(Promote, replays)
        while isinstance(daemon.state, Blocked):
            daemon.sees(dead(), cut_off(), cut_off(), after=31)
        daemon.fenced()
        assert isinstance(daemon.state, Promoting)


def test_what_a_candidate_has_still_to_replay_is_shown_with_how_long_it_takes():
    mib = 1 << 20
    daemon = crashed().fenced().froze({PG2: HERE}).answered(Salvage, NOTHING)
    assert isinstance(daemon.state, Promoting)
    assert "to be replayed" not in state_sentence(daemon.machine)
    daemon.sees(dead(), cut_off(replayed_lsn=Lsn(HERE - 90 * mib)))
    assert f"{90 * mib} bytes are still to be replayed, at an unknown rate" in state_sentence(
        daemon.machine
    )
    daemon.sees(dead(), cut_off(replayed_lsn=Lsn(HERE - 80 * mib)), after=2)
    assert (
        f"{80 * mib} bytes are still to be replayed, about 16 s at its last rate"
        in state_sentence(daemon.machine)
    )


def test_a_dead_candidate_with_nobody_beside_it_is_given_up_and_the_old_primary_started_again():
    daemon = crashed().fenced().froze({PG2: HERE}).answered(Salvage, NOTHING)
    daemon.answered(Promote, FAILED)
    for _ in range(2):
        while isinstance(daemon.state, Blocked):
            daemon.sees(dead(), dead(), after=31)
        if daemon.state.gives_up is None:
            daemon.fenced().answered(Promote, FAILED)
    daemon.answered(Retire, Retired(WORDS)).fenced()
    while isinstance(daemon.state, Electing):
        daemon.answered(ReadSettings if PG2 not in daemon.machine.saved else Freeze, FAILED)
    assert isinstance(daemon.state, Reverting)
    assert daemon.state.restart
    assert PG2 not in daemon.machine.asked
    daemon.answered(Unfence, Unfenced(WORDS))
    while isinstance(daemon.state, Reverting):
        daemon.answered(Thaw, FAILED).sees(healthy(), dead(), after=31)
    while isinstance(daemon.state, Blocked):
        daemon.sees(healthy(), dead(), after=31)
    assert isinstance(daemon.state, Watching)
    assert "did not, and was stopped" in daemon.machine.jobs[PG2].said
    assert "failoverd rejoin pg2" in daemon.machine.jobs[PG2].said
    daemon.sees(healthy(), cut_off(), after=11).answered(Thaw, Thawed(WORDS))
    assert PG2 not in daemon.machine.jobs


def test_after_another_one_took_over_whoever_was_asked_in_vain_is_said_to_be_stopped():
    daemon = asked_in_vain().answered(Retire, Retired(WORDS)).fenced().wakes(0)
    daemon.answered(Salvage, NOTHING).answered(Promote, Promoted(WORDS))
    daemon.answered(Confirm, CONFIRMED)
    assert daemon.machine.memory.primary == PG3
    assert "failoverd rejoin pg2" in daemon.machine.jobs[PG2].said


def test_whoever_was_promoted_and_is_down_is_not_given_up_and_must_be_started():
    """Its disk shows the promotion: it may hold commits that nobody else has."""
    daemon = crashed(TRIO).fenced().froze({PG2: HERE, PG3: HERE - 10})
    daemon.answered(Salvage, NOTHING).answered(Promote, FAILED)
    for _ in range(4):
        while isinstance(daemon.state, Blocked):
            daemon.sees(dead(), dead(timeline=2), cut_off(), after=31)
        assert isinstance(daemon.state, Fencing)
        assert daemon.state.gives_up is None
        daemon.fenced().answered(Promote, FAILED)
        assert isinstance(daemon.state, Blocked)
        assert "pg2 was promoted" in daemon.state.why
        assert daemon.state.advice.startswith("start pg2")
    assert daemon.machine.asked == {PG2}
    while isinstance(daemon.state, Blocked):
        daemon.sees(dead(), healthy(timeline=2), cut_off(), after=31)
    daemon.fenced().answered(Promote, Promoted(WORDS)).answered(Confirm, CONFIRMED)
    assert daemon.machine.memory.primary == PG2


def without_pg2():
    return replace(TRIO, nodes={n: one for n, one in TRIO.nodes.items() if n != PG2})


def told_of_pg2(daemon):
    assert isinstance(daemon.state, Blocked)
    assert "pg2 was asked to promote" in daemon.state.why
    assert "not in the configuration any more" in daemon.state.why
    assert "failoverd fenced pg2" in daemon.state.advice
    assert daemon.machine.asked == {PG2}
    return daemon


def test_who_was_asked_and_is_configured_no_more_is_told_instead_of_waited_for():
    daemon = crashed(TRIO).fenced().froze({PG2: HERE, PG3: HERE - 10})
    daemon.answered(Salvage, NOTHING).answered(Promote, FAILED)
    daemon.policy = without_pg2()
    while isinstance(daemon.state, Blocked):
        daemon.sees(dead(), gone(), cut_off(), after=31)
    told_of_pg2(daemon.fenced())
    daemon.policy = TRIO
    while isinstance(daemon.state, Blocked):
        daemon.sees(dead(), gone(), cut_off(), after=31)
    assert isinstance(daemon.fenced().state, Promoting)


def test_who_was_to_be_given_up_and_is_configured_no_more_is_told_as_well():
    daemon = asked_in_vain()
    assert daemon.state.gives_up == PG2
    daemon.policy = without_pg2()
    told_of_pg2(daemon.sees(dead(), gone(), cut_off()))
    # Vouched for by somebody, it is in nobody's way.
    daemon.told(OperatorVouches("me", PG2, "it is scrap"))
    while isinstance(daemon.state, Blocked):
        daemon.sees(dead(), gone(), cut_off(), after=31)
    daemon.fenced()
    while isinstance(daemon.state, Electing):
        daemon.answered(Freeze, FrozenAt(Frozen(PG3, Lsn(HERE - 10), Timeline(0), OWN), WORDS))
    assert daemon.state.candidate == PG3


def test_nobody_waits_for_a_confirmation_by_who_is_configured_no_more():
    daemon = crashed(TRIO).fenced().froze({PG2: HERE, PG3: HERE - 10})
    daemon.answered(Salvage, NOTHING).answered(Promote, Promoted(WORDS)).answered(Confirm, FAILED)
    daemon.policy = without_pg2()
    for _ in range(3):
        daemon.sees(dead(), gone(), cut_off(), after=31)
        assert isinstance(daemon.state, Blocked), "where a reload can be taken up"
    daemon.policy = TRIO
    assert isinstance(daemon.sees(dead(), gone(), cut_off(), after=31).state, Confirming)


def test_an_old_primary_that_takes_writes_before_the_new_one_is_confirmed_is_fenced_again():
    for daemon in (confirming(), confirming().answered(Confirm, FAILED)):
        daemon.sees(healthy(), NEW_PRIMARY, after=0.5)
        assert isinstance(daemon.state, Fencing)
        assert len(daemon.asked(Fence)) == 1
        daemon.fenced().answered(Promote, Promoted(WORDS))
        assert isinstance(daemon.state, Confirming)
        assert daemon.state.candidate == PG2


def test_nor_is_it_left_to_itself_until_a_back_off_is_over():
    daemon = promoting()
    for _ in range(5):
        daemon.answered(Promote, FAILED)
        while isinstance(daemon.state, Blocked):
            daemon.sees(dead(), cut_off(), after=31)
        daemon.fenced()
    daemon.answered(Promote, FAILED).sees(dead(), cut_off())
    assert isinstance(daemon.state, Blocked)
    assert isinstance(daemon.sees(healthy(), cut_off()).state, Fencing)


def test_whom_somebody_vouches_to_be_off_is_not_elected_for_where_it_stood():
    def off(name, at):
        return replace(gone()(name, at), last_server=server(at - 60, in_recovery=True))

    daemon = crashed(TRIO).fenced().froze({PG2: HERE, PG3: HERE - 10})
    daemon.answered(Salvage, NOTHING).answered(Promote, FAILED)
    while isinstance(daemon.state, Blocked):
        daemon.sees(dead(), off, cut_off(), after=31)
    assert isinstance(daemon.state, Fencing)
    daemon.told(OperatorVouches("me", PG2, "it is off")).fenced().wakes(0)
    if isinstance(daemon.state, Electing):
        daemon.answered(Freeze, FAILED)
    assert isinstance(daemon.state, Salvaging)
    assert daemon.state.candidate == PG3


def test_whoever_was_asked_goes_on_and_nobody_else_is_asked():
    daemon = crashed(TRIO).fenced().froze({PG2: HERE, PG3: HERE - 10})
    daemon.answered(Salvage, NOTHING).answered(Promote, FAILED)
    assert isinstance(daemon.state, Blocked)
    assert daemon.state.reason is BlockReason.PROMOTION_PENDING
    for _ in range(4):
        while isinstance(daemon.state, Blocked):
            daemon.sees(dead(), gone(), gone(), after=31)
        daemon.fenced()
        assert isinstance(daemon.state, Promoting)
        assert (daemon.state.candidate, daemon.state.position) == (PG2, Lsn(HERE))
        assert daemon.machine.asked == {PG2}
        daemon.answered(Promote, FAILED)


def test_a_primary_that_is_well_again_ends_nothing_once_somebody_was_asked():
    daemon = promoting().answered(Promote, FAILED)
    daemon.sees(healthy(), cut_off())
    assert isinstance(daemon.state, Fencing)


def test_applications_wait_for_a_confirmed_primary():
    daemon = confirming().answered(Confirm, FAILED)
    assert isinstance(daemon.state, Blocked)
    assert not daemon.asked(Redirect)
    daemon.sees(dead(), NEW_PRIMARY)
    assert isinstance(daemon.state, Confirming)


# Blocked.


def blocked_without_proof():
    return crashed().answered(Fence, FAILED)


def test_without_a_proof_it_says_what_a_human_can_do_and_tries_again():
    daemon = blocked_without_proof()
    assert daemon.state.advice == "do it by hand"
    assert daemon.asks == ()
    daemon.sees(dead(), cut_off())
    assert isinstance(daemon.state, Fencing)


def test_a_primary_that_is_well_again_is_unguarded():
    daemon = blocked_without_proof().sees(healthy(), streaming())
    assert isinstance(daemon.state, Reverting)
    assert daemon.asks == (Unguard(PG1, daemon.machine.epoch),)


def test_a_look_from_before_it_was_blocked_is_no_news():
    daemon = blocked_without_proof()
    daemon.sees(healthy(), streaming(), after=-0.5)
    assert isinstance(daemon.state, Blocked)


@pytest.mark.parametrize(
    ("primary", "standby", "after"),
    [
        (gone(), streaming(age=-0.5), Reverting),
        (gone(), gone(), Blocked),
        (says(Outcome.MISCONFIGURED), streaming(), Blocked),
        (says(Outcome.SHUTTING_DOWN), streaming(), Blocked),
        (says(Outcome.STARTING_UP), streaming(), Blocked),
        (dead(boot="another"), cut_off(), Blocked),
        (hung(), QUIET, Fencing),
        (dead(ControlState.SHUT_DOWN), cut_off(), Fencing),
        (held_down, cut_off(), Fencing),
    ],
)
def test_it_fences_again_only_if_what_is_seen_now_still_calls_for_it(primary, standby, after):
    daemon = blocked_without_proof().sees(primary, standby, after=5)
    assert isinstance(daemon.state, after)


def full(name, at):
    return replace(healthy()(name, at), write=look(Outcome.FAILING, at))


def not_fenced_though_it_answers():
    """It cannot be written, which is reason enough here, and could not be fenced."""
    daemon = watching(replace(PAIR, on_unwritable=Choice.FAILOVER))
    while not isinstance(daemon.state, Fencing):
        daemon.sees(full, streaming())
    assert daemon.state.mode is StopMode.FAST
    return daemon.answered(Fence, FAILED)


def test_a_primary_that_answers_is_looked_at_once_more_before_it_is_fenced_again():
    daemon = not_fenced_though_it_answers().sees(full, streaming(), after=0.5).wakes(1)
    assert isinstance(daemon.state, Blocked)
    assert daemon.last.wake_at is None  # the next look wakes it
    daemon.sees(healthy(), streaming(), after=0.1)
    assert isinstance(daemon.state, Reverting)


def test_a_primary_that_answers_and_is_no_better_is_fenced_again_by_the_next_look():
    daemon = not_fenced_though_it_answers().wakes(1).sees(full, streaming(), after=0.1)
    assert isinstance(daemon.state, Fencing)
    assert daemon.state.attempt == 1


def test_no_deadline_lies_in_the_past_while_it_waits():
    daemons = (
        blocked_without_proof().sees(gone(), gone(), after=60),
        watching()
        .sees(healthy(), healthy(timeline=2))
        .sees(healthy(), healthy(timeline=2), after=60),
        Daemon().sees(healthy(), healthy()).sees(healthy(), healthy(), after=60),
        watching().sees(dead(), gone()).sees(dead(), gone(), after=60).wakes(60),
    )
    for daemon in daemons:
        assert isinstance(daemon.state, Blocked)
        assert daemon.last is not None
        assert daemon.last.wake_at is None or daemon.last.wake_at > daemon.at


def test_it_stays_blocked_without_flapping_until_somebody_can_take_over():
    daemon = watching().sees(dead(), gone()).sees(dead(), gone())
    since, visit = daemon.state.since, daemon.machine.visit
    for _ in range(10):
        daemon.sees(dead(), gone())
    daemon.sees(dead(), gone(), after=30)
    assert isinstance(daemon.state, Blocked)
    assert daemon.state.since == since
    assert daemon.machine.visit <= visit + 2
    daemon.sees(dead(), cut_off())
    assert isinstance(daemon.sees(dead(), cut_off()).state, Fencing)


def test_the_cooldown_ends_by_itself_or_by_an_operators_word():
    daemon = watching()
    daemon.machine = replace(daemon.machine, last_confirmed=daemon.now.wall)
    daemon.sees(dead(), cut_off()).sees(dead(), cut_off())
    assert isinstance(daemon.state, Blocked)
    assert daemon.state.reason is BlockReason.COOLDOWN
    waiting = replace(daemon, machine=daemon.machine)
    assert isinstance(waiting.sees(dead(), cut_off(), after=600).state, Fencing)
    daemon.told(OperatorAcknowledges("me")).sees(dead(), cut_off()).sees(dead(), cut_off())
    assert isinstance(daemon.state, Fencing)


def test_a_wall_clock_set_back_begins_the_cooldown_anew_once():
    daemon = watching()
    daemon.machine = replace(daemon.machine, last_confirmed=daemon.now.wall)
    daemon.wall_ahead -= 100_000
    daemon.sees(healthy(), streaming())
    assert daemon.machine.last_confirmed == daemon.now.wall
    daemon.sees(healthy(), streaming(), after=300)
    assert daemon.now.wall - daemon.machine.last_confirmed == pytest.approx(300)


# Resuming.


@pytest.mark.parametrize("cut_short", [crashed, electing, salvaging, blocked_without_proof])
def test_an_incident_that_was_cut_short_proves_its_fence_again(cut_short):
    daemon = cut_short().restarted()
    epoch = daemon.machine.epoch
    assert daemon.asks == ()
    daemon.sees(dead(), cut_off())
    assert isinstance(daemon.state, Fencing)
    assert (daemon.machine.epoch, daemon.state.incident.epoch) == (epoch, epoch)
    daemon.fenced()
    assert isinstance(daemon.state, Electing)


@pytest.mark.parametrize("cut_short", [promoting, confirming])
def test_a_promotion_that_was_asked_for_goes_on_with_whom_was_asked(cut_short):
    daemon = cut_short().restarted().sees(dead(), NEW_PRIMARY)
    assert isinstance(daemon.state, Fencing)
    daemon.fenced()
    assert isinstance(daemon.state, Promoting)
    assert daemon.state.candidate == PG2


def test_a_daemon_killed_twice_still_knows_whom_it_asked():
    daemon = promoting().restarted().restarted()
    assert daemon.machine.asked == {PG2}
    assert isinstance(daemon.sees(dead(), cut_off()).state, Fencing)


def test_an_incident_is_over_if_the_primary_is_well_when_it_is_taken_up():
    daemon = salvaging().restarted().sees(healthy(), cut_off())
    assert isinstance(daemon.state, Reverting)
    assert {type(e) for e in daemon.asks} == {Thaw, Unguard}


def test_nothing_is_fenced_on_resuming_what_a_standby_still_hears():
    daemon = crashed().restarted().sees(gone(), streaming(age=-0.5))
    assert isinstance(daemon.state, Reverting)
    daemon = crashed().restarted().sees(gone(), gone())
    assert isinstance(daemon.state, Blocked)
    assert daemon.asks == ()


def test_a_way_back_that_was_cut_short_is_judged_anew():
    daemon = electing().answered(ReadSettings, FAILED)
    assert isinstance(daemon.restarted().sees(dead(), cut_off()).state, Fencing)


def test_applications_are_still_sent_over_after_a_restart():
    daemon = confirming().answered(Confirm, CONFIRMED).restarted()
    last, count = daemon.machine.last_confirmed, len(daemon.machine.failovers)
    daemon.sees(dead(), NEW_PRIMARY, after=5)
    assert isinstance(daemon.state, Settling)
    assert daemon.asked(Redirect)
    assert (daemon.machine.last_confirmed, len(daemon.machine.failovers)) == (last, count)


def test_an_observer_that_is_started_while_they_are_sent_over_watches_on_all_the_same():
    daemon = confirming().answered(Confirm, CONFIRMED).restarted()
    daemon.policy = replace(daemon.policy, mode=Mode.OBSERVE)
    daemon.sees(dead(), NEW_PRIMARY, after=5)
    assert isinstance(daemon.state, Settling)
    assert daemon.asks == ()
    assert daemon.last.wake_at is not None
    daemon.wakes(daemon.last.wake_at - daemon.at)
    assert daemon.state == Watching()


def test_somebody_elses_promotion_ends_an_incident_that_asked_nobody():
    for daemon in (crashed(), electing(), electing().restarted(), blocked_without_proof()):
        daemon.sees(dead(), NEW_PRIMARY)
        assert daemon.state == Starting()
        daemon.sees(dead(), NEW_PRIMARY)
        assert daemon.machine.memory.primary == PG2
        assert daemon.machine.jobs[PG1].job is Job.QUARANTINED


def test_a_restart_forgets_how_long_it_was_silent_and_not_how_far_the_primary_was():
    before = watching()
    seen_at = before.machine.memory.primary_lsn_at
    memory = before.restarted().machine.memory
    assert (memory.last_alive_at, memory.failed_rounds) == (None, 0)
    assert (memory.primary_lsn, memory.primary_lsn_at) == (Lsn(HERE), seen_at)
    assert memory.primary == PG1


# After it.


def test_a_look_from_before_the_promotion_is_no_news_of_the_new_primary():
    daemon = failed_over()
    daemon.sees(dead(), cut_off(), after=-0.5)
    assert daemon.state == Watching()
    daemon.sees(dead(), NEW_PRIMARY)
    assert daemon.state == Watching()


def test_a_crash_of_the_new_primary_is_a_failover_of_its_own():
    daemon = failed_over()
    second = daemon.machine.epoch + 1
    standby = streaming(upstream="192.0.2.12", timeline=2)
    for _ in range(3):
        daemon.sees(standby, NEW_PRIMARY)
    daemon.at += 1000
    daemon.sees(standby, NEW_PRIMARY)
    ended = cut_off(timeline=2)
    daemon.sees(ended, dead()).sees(ended, dead())
    assert isinstance(daemon.state, Fencing)
    assert (daemon.state.primary, daemon.machine.epoch) == (PG2, second)
    assert daemon.machine.jobs[PG2].job is Job.OWED_UNGUARD


def test_an_operators_failover_of_a_well_primary_is_a_clean_stop_or_nothing():
    daemon = watching().told(OperatorFailover(Trigger.SIGNAL, "SIGUSR1"))
    assert daemon.asks[0] == Fence(PG1, StopMode.FAST, daemon.machine.epoch, 0, Lsn(HERE))
    lossless = replace(daemon, machine=daemon.machine)
    lossless.fenced(control=ControlState.SHUT_DOWN, checkpoint=HERE).froze({PG2: HERE + 1})
    assert isinstance(lossless.state, Salvaging)
    daemon.fenced(control=ControlState.SHUT_DOWN, checkpoint=HERE).froze({PG2: HERE})
    daemon.answered(Salvage, NOTHING)
    assert isinstance(daemon.state, Reverting)
    assert daemon.state.restart


def test_an_operators_failover_of_an_ill_primary_waits_for_no_threshold():
    daemon = watching().sees(hung(), QUIET)
    daemon.told(OperatorFailover(Trigger.COMMAND, "me"))
    assert isinstance(daemon.state, Fencing)
    assert daemon.state.mode is StopMode.IMMEDIATE


def test_a_vouched_fence_goes_on_with_whom_was_asked():
    daemon = promoting().answered(Promote, FAILED).sees(dead(), cut_off(), after=5)
    daemon.answered(Fence, FAILED)
    daemon.told(OperatorVouches("me", PG1, "unplugged"))
    assert isinstance(daemon.state, Promoting)
    assert daemon.machine.asked == {PG2}


def test_an_old_primary_that_our_guard_holds_down_is_started_again_on_the_way_back():
    daemon = crashed().answered(Fence, ALIVE).sees(held_down, cut_off())
    assert isinstance(daemon.state, Reverting)
    assert daemon.asked(Unfence)


def test_a_freeze_that_ends_too_late_is_thawed_again():
    daemon = crashed(TRIO).fenced()
    daemon.froze({PG2: HERE})
    visit = daemon.machine.visit
    late = Freeze(PG3, daemon.machine.epoch, OWN)
    daemon.sees(healthy(), cut_off(), cut_off()).answered(Fence, ALIVE)
    frozen = FrozenAt(Frozen(PG3, Lsn(HERE), Timeline(1), OWN), WORDS)
    daemon.happens(Replied(visit, late, frozen))
    assert {e.node for e in daemon.asked(Thaw)} == {PG2, PG3}
