"""What salvage finds, held against the limit: nothing is promoted on the hope of a cure."""

from __future__ import annotations

from dataclasses import replace

import pytest

from failoverd.core.effects import Fence, Freeze, Salvage
from failoverd.core.events import EffectFailed, Fenced, FrozenAt, NotConfigured
from failoverd.core.lsn import Lsn
from failoverd.core.model import Frozen, ProofKind, Timeline, WalLoss
from failoverd.core.salvage import ATTEMPTS
from failoverd.core.states import Blocked, BlockReason, Fencing, Promoting, Reverting, Salvaging
from failoverd.core.wal_answers import NotSalvaged, Salvaged
from tests.unit.lagging import (
    CUT_OFF,
    END,
    FAR,
    MEGABYTE,
    NO_LOSS,
    UNREADABLE,
    WHOLE,
    behind,
    replied,
    salvaging,
    unreachable,
)
from tests.unit.vocabulary import (
    HERE,
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
    proof,
    sender,
    streaming,
    watching,
)


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
    daemon = Daemon(PAIR)
    for _ in range(3):
        daemon.sees(healthy(), streaming(lag=50 * MEGABYTE))
    for _ in range(6):
        daemon.sees(unreachable, cut_off(lag=50 * MEGABYTE))
    assert not isinstance(daemon.state, (Fencing, Salvaging))


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


@pytest.mark.parametrize("found", [UNREADABLE, NotSalvaged(WORDS, replace(END, end=Lsn(HERE)))])
def test_what_one_that_may_never_take_over_alone_was_promised_is_not_given_up(found):
    """It is further by a commit that was acknowledged for it; whoever may, has no room for it."""
    nodes = {**TRIO.nodes, PG3: replace(TRIO.nodes[PG3], never=True)}
    both = (sender(PG2, "quorum"), sender(PG3, "quorum"))
    primary = healthy(sync="ANY 1 (pg2, pg3)", senders=both)
    daemon = watching(replace(TRIO, nodes=nodes), primary=primary)
    for _ in range(2):
        daemon.sees(dead(), cut_off(lag=4096), cut_off(), after=0.21)
    daemon.fenced().froze({PG2: HERE - 4096, PG3: HERE})
    assert isinstance(daemon.state, Salvaging)
    assert not daemon.state.loss.nothing
    for _ in range(2):
        daemon.answered(Salvage, found)
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
