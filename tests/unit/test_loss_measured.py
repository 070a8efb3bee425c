"""What a promotion has lost: by its switch point, and by the old primary's disk later on."""

from __future__ import annotations

from failoverd.core.effects import Confirm, MeasureLoss, Promote, Redirect, Salvage
from failoverd.core.events import Confirmed, EffectFailed, NotConfigured, Promoted
from failoverd.core.incident import describe
from failoverd.core.lsn import Lsn
from failoverd.core.measuring import GONE
from failoverd.core.model import Timeline, WalLoss
from failoverd.core.salvage import measured
from failoverd.core.states import Confirming, Watching
from failoverd.core.wal_answers import LossMeasured
from tests.unit.lagging import END, UNREADABLE, WHOLE, replied, salvaging, unreachable
from tests.unit.vocabulary import HERE, PG1, WORDS, dead, healthy


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
