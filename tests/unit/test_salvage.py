"""What salvage finds, held against the limit: nothing is promoted on the hope of a cure."""

from dataclasses import replace

import pytest

from failoverd.core.effects import (
    Confirm,
    Fence,
    Freeze,
    MeasureLoss,
    Promote,
    ReadSettings,
    Redirect,
    Salvage,
)
from failoverd.core.election import wal_loss
from failoverd.core.events import (
    Confirmed,
    EffectFailed,
    Fenced,
    FrozenAt,
    NotConfigured,
    Promoted,
    Replied,
    SettingsRead,
)
from failoverd.core.incident import describe
from failoverd.core.lsn import Lsn
from failoverd.core.measuring import GONE
from failoverd.core.model import Frozen, Instant, ProofKind, Timeline, WalEnd, WalLoss
from failoverd.core.restart import restored
from failoverd.core.salvage import ATTEMPTS, measured
from failoverd.core.states import (
    Blocked,
    BlockReason,
    Confirming,
    Electing,
    Fencing,
    Promoting,
    Reverting,
    Salvaging,
    Watching,
)
from failoverd.core.wal_answers import LossMeasured, NotSalvaged, Salvaged
from tests.unit.scenes import CONFIRMED, QUIET
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
    cut_off,
    dead,
    gone,
    healthy,
    host,
    proof,
    streaming,
    watching,
)

MEGABYTE = 1024 * 1024
FAR = HERE - 50 * MEGABYTE
END = WalEnd(Timeline(1), Lsn(HERE - 64), Lsn(HERE))
WHOLE = Salvaged(WalLoss(0, True, "nothing"), WORDS, END, 50 * MEGABYTE)
CUT_OFF = NotSalvaged(WORDS, END, may_retry=True)
UNREADABLE = NotSalvaged(WORDS)
NO_LOSS = replace(PAIR, max_data_loss_bytes=0)


def behind(policy=PAIR, lag=50 * MEGABYTE):
    """Crashed with a standby that is 50 MB behind, by default more than may be lost."""
    daemon = Daemon(policy)
    third = [streaming(lag=2 * lag)] if PG3 in policy.nodes else []
    for _ in range(3):
        daemon.sees(healthy(), streaming(lag=lag), *third)
    third = [cut_off(lag=2 * lag)] if PG3 in policy.nodes else []
    daemon.sees(dead(), cut_off(lag=lag), *third)
    return daemon.sees(dead(), cut_off(lag=lag), *third, after=0.21)


def salvaging(policy=PAIR, lag=50 * MEGABYTE, **of_proof):
    daemon = behind(policy, lag).fenced(**of_proof)
    positions = {PG2: HERE - lag}
    if PG3 in policy.nodes:
        positions[PG3] = HERE - 2 * lag
    return daemon.froze(positions)


# Who may be elected for its lag.


@pytest.mark.parametrize("policy", [PAIR, NO_LOSS])
def test_a_standby_that_salvage_may_cure_is_no_reason_not_to_fence(policy):
    daemon = behind(policy)
    assert isinstance(daemon.state, Fencing)
    fence = daemon.asked(Fence)[0]
    assert fence.wal_from == Lsn(FAR)


@pytest.mark.parametrize("without", [{"salvage": False}, {"disk_first": False}])
def test_without_a_way_to_its_disk_the_primary_is_not_touched_for_a_standby_too_far_behind(without):
    daemon = behind(replace(PAIR, **without))
    assert isinstance(daemon.state, Blocked)
    assert daemon.state.reason is BlockReason.NO_CANDIDATE


def test_a_disk_whose_host_is_silent_cures_nothing():
    def silent(name, at):
        return replace(gone()(name, at), host=replace(host(at), look=gone()(name, at).fresh))

    daemon = Daemon(PAIR)
    for _ in range(3):
        daemon.sees(healthy(), streaming(lag=50 * MEGABYTE))
    for _ in range(6):
        daemon.sees(silent, cut_off(lag=50 * MEGABYTE))
    assert not isinstance(daemon.state, (Fencing, Salvaging))


# What is asked, and of whom.


def test_the_fenced_primarys_disk_is_read_from_the_candidates_position():
    daemon = salvaging()
    assert daemon.asked(Salvage)[0] == Salvage(
        PG1, PG2, source=PG1, position=Lsn(FAR), timeline=Timeline(1), epoch=daemon.machine.epoch
    )


def test_what_the_fence_has_read_already_is_not_read_again():
    daemon = behind()
    found = replace(proof(daemon.at, epoch=daemon.machine.epoch), wal_end=END)
    daemon.answered(Fence, Fenced(found)).froze({PG2: FAR})
    assert daemon.asked(Salvage)[0].known_end == END
    assert daemon.state.loss == WalLoss(
        50 * MEGABYTE, True, f"{50 * MEGABYTE} bytes: the old primary's WAL ends at {END.end}"
    )


def test_without_its_disk_the_most_advanced_other_standby_is_read():
    policy = replace(TRIO, max_data_loss_bytes=1 << 40)
    policy = replace(policy, nodes={**policy.nodes, PG2: replace(policy.nodes[PG2], never=True)})
    daemon = salvaging(policy, kind=ProofKind.POWERED_OFF)
    assert daemon.state.candidate == PG3
    assert daemon.asked(Salvage)[0].source == PG2
    end = replace(END, end=Lsn(FAR))
    daemon.answered(Salvage, Salvaged(WalLoss(0, True, "nothing"), WORDS, end))
    assert isinstance(daemon.state, Promoting)
    # Against the primary it is an estimate still, from the position that was carried to.
    assert not daemon.state.loss.proven
    assert 50 * MEGABYTE <= daemon.state.loss.lost_bytes < 51 * MEGABYTE
    assert daemon.state.position == Lsn(HERE - 100 * MEGABYTE), "its receiver knows nothing of it"


def test_with_nobody_to_read_from_nothing_is_read():
    daemon = salvaging(replace(PAIR, max_data_loss_bytes=1 << 40), kind=ProofKind.POWERED_OFF)
    assert daemon.asked(Salvage)[0].source is None


# What follows from the answer.


@pytest.mark.parametrize("policy", [PAIR, NO_LOSS])
def test_a_standby_that_has_everything_now_is_promoted_without_loss(policy):
    daemon = salvaging(policy).answered(Salvage, WHOLE)
    assert isinstance(daemon.state, Promoting)
    assert (daemon.state.loss.lost_bytes, daemon.state.loss.proven) == (0, True)
    assert daemon.state.position == Lsn(FAR)
    assert daemon.state.end == END


@pytest.mark.parametrize(
    "answer", [CUT_OFF, UNREADABLE, NotConfigured(WORDS), EffectFailed("timed_out", WORDS)]
)
@pytest.mark.parametrize("policy", [PAIR, NO_LOSS])
def test_a_loss_that_nothing_cured_and_that_is_too_large_goes_all_the_way_back(policy, answer):
    daemon = salvaging(policy)
    while isinstance(daemon.state, Salvaging):
        daemon.answered(Salvage, answer)
    assert isinstance(daemon.state, Reverting)
    assert daemon.state.then is BlockReason.LOSS_TOO_LARGE
    assert daemon.state.restart


def test_zero_is_proof_or_no_promotion_even_where_no_lag_was_ever_seen():
    daemon = salvaging(NO_LOSS, lag=0).answered(Salvage, UNREADABLE)
    assert isinstance(daemon.state, Reverting)
    assert daemon.state.then is BlockReason.LOSS_TOO_LARGE


def test_what_was_cut_off_in_the_middle_is_tried_again_and_no_more_than_so_often():
    daemon = salvaging()
    for _ in range(ATTEMPTS):
        assert isinstance(daemon.state, Salvaging)
        daemon.answered(Salvage, CUT_OFF)
    assert isinstance(daemon.state, Reverting)


def test_a_disk_that_answers_at_the_second_attempt_is_as_good():
    daemon = salvaging().answered(Salvage, CUT_OFF).answered(Salvage, WHOLE)
    assert isinstance(daemon.state, Promoting)
    assert daemon.state.loss.lost_bytes == 0


def test_what_could_not_be_carried_is_lost_exactly_where_the_end_was_read():
    few = replace(END, end=Lsn(HERE + 4096))
    daemon = salvaging(lag=4096).answered(Salvage, NotSalvaged(WORDS, few))
    assert isinstance(daemon.state, Promoting)
    assert (daemon.state.loss.lost_bytes, daemon.state.loss.proven) == (8192, True)


def test_and_by_an_estimate_that_says_so_where_it_was_not():
    daemon = salvaging(lag=4096).answered(Salvage, UNREADABLE)
    assert isinstance(daemon.state, Promoting)
    assert not daemon.state.loss.proven
    assert daemon.state.loss.sentence.startswith("at most about")


def test_an_operator_who_accepts_a_loss_in_writing_gets_it():
    daemon = salvaging()
    incident = replace(daemon.machine.incident, accept_loss_bytes=1 << 30)
    daemon.machine = replace(daemon.machine, incident=incident)
    daemon.answered(Salvage, UNREADABLE)
    assert isinstance(daemon.state, Promoting)


def test_a_promise_that_could_not_be_kept_is_no_better_for_a_salvage_that_failed():
    daemon = watching(TRIO, primary=healthy(sync="ANY 1 (pg2, pg3)"))
    for _ in range(2):
        daemon.sees(dead(), cut_off(), gone(), after=0.21)
    assert isinstance(daemon.state, Fencing)
    daemon.fenced().froze({PG2: HERE})
    unproven = replace(daemon, machine=daemon.machine).answered(Salvage, UNREADABLE)
    assert isinstance(unproven.state, Reverting)
    assert isinstance(daemon.answered(Salvage, WHOLE).state, Promoting)


def test_what_is_known_to_be_missing_may_have_been_promised():
    """A few bytes, well within max_data_loss, and measured: a promise is no matter of size."""
    daemon = watching(TRIO, primary=healthy(sync="ANY 1 (pg2, pg3)"))
    for _ in range(2):
        daemon.sees(dead(), cut_off(), gone(), after=0.21)
    few = replace(END, end=Lsn(HERE + 4096))
    daemon.fenced().froze({PG2: HERE}).answered(Salvage, NotSalvaged(WORDS, few))
    assert isinstance(daemon.state, Reverting)


def test_what_nobody_was_promised_is_lost_as_exactly_as_it_is_known():
    daemon = watching(TRIO, primary=healthy(sync="ANY 1 (pg2, pg3)"))
    for _ in range(2):
        daemon.sees(dead(), cut_off(), cut_off(), after=0.21)
    few = replace(END, end=Lsn(HERE + 4096))
    daemon.fenced().froze({PG2: HERE, PG3: HERE}).answered(Salvage, NotSalvaged(WORDS, few))
    assert isinstance(daemon.state, Promoting)
    assert (daemon.state.loss.lost_bytes, daemon.state.loss.proven) == (4096, True)


def test_a_salvage_that_outlasts_the_proof_is_followed_by_a_new_proof():
    daemon = salvaging()
    daemon.at += 40
    daemon.answered(Salvage, WHOLE)
    assert isinstance(daemon.state, Fencing)


def turned_off(*frozen, failed=(), policy=TRIO):
    """pg1 was turned off; pg3 is 8192 bytes behind pg2. `failed`: who could not be frozen."""
    daemon = watching(policy)
    for _ in range(2):
        daemon.sees(dead(), cut_off(), cut_off(lag=8192), after=0.21)
    daemon.fenced(kind=ProofKind.POWERED_OFF)
    for node in (*failed, *frozen):
        settings = next(e for e in daemon.asked(ReadSettings) if e.node == node)
        daemon.happens(replied(daemon, settings, SettingsRead(OWN, WORDS)))
        ask_it(daemon, node, FAILED if node in failed else None)
    return daemon


def ask_it(daemon, node, result=None):
    freeze = next(e for e in daemon.asked(Freeze) if e.node == node)
    at = Lsn(HERE if node == PG2 else HERE - 8192)
    frozen = FrozenAt(Frozen(node, at, Timeline(0), freeze.saved), WORDS)
    return daemon.happens(replied(daemon, freeze, result or frozen))


def test_a_standby_that_has_more_and_could_not_be_frozen_is_asked_once_more():
    daemon = turned_off(PG3, failed=(PG2,))
    assert isinstance(daemon.state, Electing)
    assert [(type(e), e.node) for e in daemon.asks] == [(Freeze, PG2)]
    assert ask_it(daemon, PG2).state.candidate == PG2


def test_and_no_more_than_once():
    daemon = turned_off(PG3, failed=(PG2,))
    assert ask_it(daemon, PG2, FAILED).state.candidate == PG3


def test_who_has_no_more_than_the_others_is_not_waited_for():
    assert turned_off(PG2, failed=(PG3,)).state.candidate == PG2


def test_nor_is_who_does_not_answer_any_more():
    daemon = watching(TRIO)
    for _ in range(2):
        daemon.sees(dead(), cut_off(), cut_off(lag=8192), after=0.21)
    daemon.fenced(kind=ProofKind.POWERED_OFF).sees(dead(), gone(), cut_off(lag=8192))
    settings = daemon.asked(ReadSettings)
    for one in settings:
        daemon.happens(replied(daemon, one, SettingsRead(OWN, WORDS)))
    ask_it(daemon, PG2, FAILED)
    assert ask_it(daemon, PG3).state.candidate == PG3


def test_where_the_old_primarys_disk_is_read_nobody_is_waited_for():
    daemon = watching(TRIO)
    for _ in range(2):
        daemon.sees(dead(), cut_off(), cut_off(lag=8192), after=0.21)
    daemon.fenced()
    for one in daemon.asked(ReadSettings):
        daemon.happens(replied(daemon, one, SettingsRead(OWN, WORDS)))
    ask_it(daemon, PG2, FAILED)
    assert ask_it(daemon, PG3).state.candidate == PG3


# A candidate that has to be asked again.


def asked_in_vain():
    """It was given all that the old primary's disk had, and did not answer."""
    daemon = salvaging(lag=4096).answered(Salvage, WHOLE).answered(Promote, FAILED)
    assert isinstance(daemon.state, Blocked)
    return daemon


def fenced_again(daemon, end=None, **of_proof):
    while isinstance(daemon.state, Blocked):
        daemon.sees(dead(), cut_off(lag=4096), after=31)
    found = proof(daemon.at, epoch=daemon.machine.epoch, **of_proof)
    daemon.answered(Fence, Fenced(replace(found, wal_end=end)))
    assert isinstance(daemon.state, Promoting)
    return daemon.state


@pytest.mark.parametrize("end", [None, END])
def test_what_salvage_had_proved_stands_while_the_old_primary_stands_still(end):
    again = fenced_again(asked_in_vain(), end)
    assert (again.loss.lost_bytes, again.loss.proven) == (0, True)
    assert again.end == END


def test_its_disk_is_read_again_with_the_fence_that_is_proved_again():
    daemon = asked_in_vain()
    while isinstance(daemon.state, Blocked):
        daemon.sees(dead(), cut_off(lag=4096), after=31)
    fence = daemon.asked(Fence)[0]
    assert fence.wal_from == Lsn(HERE - 4096)


def test_a_disk_that_has_gone_on_since_is_a_loss():
    further = replace(END, end=Lsn(HERE + 512))
    again = fenced_again(asked_in_vain(), further)
    assert again.loss.lost_bytes >= 512
    assert again.end == further


def test_an_old_primary_that_answered_in_between_may_have_written():
    daemon = asked_in_vain()
    while isinstance(daemon.state, Blocked):
        daemon.sees(dead(), cut_off(lag=4096), after=31)
    again = fenced_again(daemon.answered(Fence, ALIVE))
    assert not again.loss.nothing


def test_so_may_one_that_was_seen_writable():
    daemon = asked_in_vain().sees(healthy(HERE + 512), cut_off(lag=4096))
    again = fenced_again(daemon)
    assert again.loss.lost_bytes >= 512


def test_what_was_turned_off_has_no_guard_and_may_have_been_turned_on_again():
    daemon = salvaging(replace(PAIR, max_data_loss_bytes=1 << 40), kind=ProofKind.POWERED_OFF)
    daemon.answered(Salvage, NotConfigured(WORDS)).answered(Promote, FAILED)
    assert daemon.machine.asked_loss is None


def test_what_was_proved_of_one_candidate_is_not_said_of_the_next():
    """pg2 had all of it and was never asked; pg3 lacks some, and that disk is read no more."""
    policy = replace(TRIO, max_data_loss_bytes=1 << 40)
    daemon = salvaging(policy, lag=4096).answered(Salvage, WHOLE)
    assert daemon.state.candidate == PG2
    daemon.answered(Promote, EffectFailed("refused", WORDS))
    assert daemon.machine.asked == frozenset()
    while isinstance(daemon.state, Blocked):
        daemon.sees(dead(), gone(), cut_off(lag=8192), after=31)
    daemon.fenced(kind=ProofKind.POWERED_OFF).answered(Freeze, FAILED)
    freeze = daemon.asked(Freeze)[0]
    frozen = Frozen(PG3, Lsn(HERE - 8192), Timeline(0), freeze.saved)
    daemon.happens(replied(daemon, freeze, FrozenAt(frozen, WORDS)))
    daemon.answered(Salvage, NotConfigured(WORDS))
    assert daemon.machine.asked == {PG3}
    daemon.answered(Promote, FAILED)
    while isinstance(daemon.state, Blocked):
        daemon.sees(dead(), gone(), cut_off(lag=8192), after=31)
    daemon.fenced(kind=ProofKind.POWERED_OFF)
    assert isinstance(daemon.state, Promoting)
    assert not daemon.state.loss.nothing


def test_what_another_process_had_proved_is_not_taken_over():
    machine = restored(asked_in_vain().machine, Instant(0.0))
    assert machine.asked == {PG2}
    assert machine.asked_loss is None


# What a confirmed promotion has lost.


def test_the_switch_point_is_held_against_the_true_end():
    estimate = WalLoss(0, True, "nothing")
    assert measured(estimate, END, Lsn(HERE)).lost_bytes == 0
    short = measured(estimate, END, Lsn(HERE - 100))
    assert (short.lost_bytes, short.proven) == (100, True)
    assert measured(estimate, None, Lsn(1)) is estimate
    assert measured(estimate, END, None) is estimate


def test_a_new_timeline_that_begins_too_early_is_a_loss_in_the_report():
    daemon = salvaging().answered(Salvage, WHOLE).answered(Promote, Promoted(WORDS))
    assert isinstance(daemon.state, Confirming)
    before = daemon.machine
    early = Confirmed(Timeline(2), Lsn(HERE), False, (), "", WORDS, switch_point=Lsn(HERE - 8))
    asked = daemon.asked(Confirm)[0]
    event = replied(daemon, asked, early)
    entry = describe(before, event, daemon.happens(event).machine, daemon.policy)
    assert entry.loss.lost_bytes == 8


def replied(daemon, effect, result):
    return Replied(daemon.machine.visit, effect, result)


def test_a_daemon_that_was_killed_while_carrying_asks_again():
    daemon = salvaging()
    daemon.restarted()
    daemon.sees(dead(), cut_off(lag=50 * MEGABYTE))
    daemon.fenced()
    freeze = daemon.asked(Freeze)[0]
    frozen = Frozen(PG2, Lsn(FAR), Timeline(0), freeze.saved)
    daemon.happens(replied(daemon, freeze, FrozenAt(frozen, WORDS)))
    assert isinstance(daemon.state, Salvaging)
    assert daemon.asked(Salvage)[0].position == Lsn(FAR)


# A loss that was an estimate, measured later.


def failed_over_at_a_loss():
    daemon = salvaging(lag=4096).answered(Salvage, UNREADABLE).answered(Promote, Promoted(WORDS))
    confirmed = Confirmed(
        Timeline(2), Lsn(HERE), False, (), "", WORDS, switch_point=Lsn(HERE - 4096)
    )
    daemon.answered(Confirm, confirmed).answered(Redirect, NotConfigured(WORDS))
    assert isinstance(daemon.state, Watching)
    return daemon


def test_the_old_primarys_disk_is_asked_when_its_host_answers_again():
    daemon = failed_over_at_a_loss()
    new = healthy(HERE + 100, timeline=2)
    daemon.sees(unreachable, new)
    assert daemon.asked(MeasureLoss) == []
    daemon.sees(dead(), new)
    (ask,) = daemon.asked(MeasureLoss)
    assert (ask.node, ask.timeline, ask.switch_point) == (PG1, Timeline(1), Lsn(HERE - 4096))


def unreachable(name, at):
    return replace(gone()(name, at), host=replace(host(at), look=gone()(name, at).fresh))


def test_what_it_tells_belongs_to_the_report_of_that_incident_and_is_asked_once():
    daemon = failed_over_at_a_loss().sees(dead(), healthy(HERE + 100, timeline=2))
    (ask,) = daemon.asked(MeasureLoss)
    before = daemon.machine
    event = replied(daemon, ask, LossMeasured(WalLoss(4096, True, "4096 bytes"), WORDS))
    entry = describe(before, event, daemon.happens(event).machine, daemon.policy)
    assert entry.of_incident == ask.incident
    assert (entry.loss.lost_bytes, entry.loss.proven) == (4096, True)
    assert daemon.asked(MeasureLoss) == []
    assert daemon.sees(dead(), healthy(HERE + 100, timeline=2)).asked(MeasureLoss) == []


def test_a_disk_that_cannot_be_read_yet_is_asked_again_and_one_that_has_gone_on_is_not():
    new = healthy(HERE + 100, timeline=2)
    daemon = failed_over_at_a_loss().sees(dead(), new)
    daemon.answered(MeasureLoss, EffectFailed("unread", WORDS))
    assert daemon.asked(MeasureLoss) == []
    assert daemon.sees(dead(), new, after=11).asked(MeasureLoss)
    daemon.answered(MeasureLoss, EffectFailed(GONE, WORDS)).sees(dead(), new, after=60)
    assert daemon.asked(MeasureLoss) == []


def test_a_loss_that_is_known_already_is_not_measured():
    daemon = salvaging().answered(Salvage, WHOLE).answered(Promote, Promoted(WORDS))
    confirmed = Confirmed(Timeline(2), Lsn(HERE), False, (), "", WORDS, switch_point=Lsn(HERE))
    daemon.answered(Confirm, confirmed)
    assert daemon.machine.unmeasured is None


def test_a_standby_whose_own_end_is_not_known_is_read_by_salvage_and_by_nobody_else():
    def restarted(name, at):
        seen = cut_off(lag=4096)(name, at)
        unknown = replace(seen.server, position_unknown=True)
        return replace(seen, server=unknown, last_server=unknown)

    def crash(policy):
        daemon = watching(policy)
        return daemon.sees(dead(), restarted).sees(dead(), restarted, after=0.21)

    assert isinstance(crash(PAIR).state, Fencing)
    assert isinstance(crash(replace(PAIR, salvage=False)).state, Blocked)


# A daemon that was away.


def back_after_a_while(*, seen_again: bool) -> Daemon:
    """It was stopped while all was well, and the primary dies; salvage is off."""
    daemon = Daemon(replace(PAIR, salvage=False))
    for second in range(4):
        daemon.sees(healthy(HERE + second * MEGABYTE), streaming())
    daemon.restarted(away_s=3600)
    if seen_again:
        daemon.sees(healthy(HERE + 4 * MEGABYTE), streaming())
    return dies(daemon)


def dies(daemon: Daemon) -> Daemon:
    for _ in range(4):
        daemon.sees(dead(), cut_off())
    return daemon


def test_what_was_written_while_it_was_away_counts_as_lost():
    blocked = back_after_a_while(seen_again=False).state
    assert isinstance(blocked, Blocked)
    assert blocked.reason is BlockReason.NO_CANDIDATE
    assert "bytes (estimated" in blocked.why


def test_one_look_at_the_primary_is_enough_to_bound_it_again():
    assert isinstance(back_after_a_while(seen_again=True).state, Fencing)


def test_a_daemon_killed_while_the_primary_was_in_doubt_goes_by_what_it_had_seen():
    daemon = watching(replace(PAIR, salvage=False)).sees(dead(), cut_off())
    daemon.restarted()
    assert isinstance(dies(daemon).state, Fencing)


def test_what_a_primary_that_was_cut_off_wrote_while_the_daemon_was_killed_counts_as_lost():
    """Its applications may have reached it until it was turned off."""
    daemon = Daemon(replace(PAIR, salvage=False))
    for second in range(4):
        daemon.sees(healthy(HERE + second * MEGABYTE), streaming())
    while not isinstance(daemon.state, Fencing):
        daemon.sees(gone(), QUIET)
    daemon.restarted(away_s=10)
    last, off = HERE + 3 * MEGABYTE, proof(daemon.at, kind=ProofKind.POWERED_OFF)
    loss = wal_loss(Lsn(last), daemon.machine.memory, off)
    assert loss.lost_bytes >= 10 * MEGABYTE
    assert not loss.proven


def test_what_is_written_to_a_primary_that_was_just_promoted_is_counted_by_the_one_before():
    """It was looked at once, and nothing of its own tells how fast the applications write."""
    daemon = Daemon()
    for second in range(4):
        daemon.sees(healthy(HERE + second * MEGABYTE), streaming())
    last = HERE + 3 * MEGABYTE
    daemon.sees(dead(), cut_off()).sees(dead(), cut_off(), after=0.21).fenced().froze({PG2: last})
    daemon.answered(Salvage, WHOLE).answered(Promote, Promoted(WORDS))
    daemon.answered(Confirm, CONFIRMED).answered(Redirect, NotConfigured(WORDS))
    daemon.sees(dead(), healthy(last, timeline=2))
    assert (daemon.state, daemon.machine.memory.primary_lsn) == (Watching(), Lsn(last))
    off = proof(daemon.at + 10, kind=ProofKind.POWERED_OFF)
    loss = wal_loss(Lsn(last), daemon.machine.memory, off)
    assert loss.lost_bytes == pytest.approx(10 * MEGABYTE, rel=0.01)
