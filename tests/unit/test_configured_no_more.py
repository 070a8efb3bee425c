"""A node that a reload has taken out of the configuration, whatever it was there for."""

from __future__ import annotations

from dataclasses import replace

from failoverd.core.effects import Confirm, Freeze, Promote
from failoverd.core.events import FrozenAt, Observed, OperatorVouches, Promoted
from failoverd.core.model import ClusterView, Frozen, Lsn, Timeline
from failoverd.core.policy import Policy
from failoverd.core.states import Blocked, Confirming, Electing, Promoting
from tests.unit.scenes import NEW_PRIMARY, asked_in_vain, three_promoting
from tests.unit.vocabulary import (
    FAILED,
    HERE,
    OWN,
    PAIR,
    PG1,
    PG2,
    PG3,
    TRIO,
    WORDS,
    cut_off,
    dead,
    gone,
    healthy,
    streaming,
    watching,
)


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
    daemon = three_promoting().answered(Promote, FAILED)
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
    daemon = three_promoting().answered(Promote, Promoted(WORDS)).answered(Confirm, FAILED)
    daemon.policy = without_pg2()
    for _ in range(3):
        daemon.sees(dead(), gone(), cut_off(), after=31)
        assert isinstance(daemon.state, Blocked), "where a reload can be taken up"
    daemon.policy = TRIO
    assert isinstance(daemon.sees(dead(), gone(), cut_off(), after=31).state, Confirming)


def test_a_primary_that_is_not_configured_any_more_is_not_waited_for():
    daemon = watching(TRIO).restarted()
    daemon.policy = Policy(nodes={n: p for n, p in TRIO.nodes.items() if n != PG1})
    for at in (200.0, 201.0, 202.0):
        daemon.at = at
        nodes = {PG2: NEW_PRIMARY(PG2, at), PG3: gone()(PG3, at)}
        daemon.happens(Observed(ClusterView(nodes)))
    assert daemon.machine.memory.primary == PG2


def test_nothing_is_asked_of_a_node_that_is_not_configured_any_more():
    daemon = watching(TRIO).restarted()
    daemon.policy = PAIR
    daemon.machine = replace(daemon.machine, saved={PG3: OWN})
    daemon.sees(healthy(), streaming()).sees(healthy(), streaming())
    assert daemon.last is not None
    assert daemon.last.effects == ()
