"""What an operator does by hand about one node, and beside whom nothing is done at all."""

from __future__ import annotations

from dataclasses import replace

import pytest

from failoverd.core.effects import Fence, Quarantine, Unfence
from failoverd.core.events import (
    Fenced,
    OperatorAdopts,
    OperatorFailover,
    OperatorFences,
    OperatorPause,
    OperatorUnfences,
    Quarantined,
    Trigger,
)
from failoverd.core.jobs import Job
from failoverd.core.model import Evidence, NodeName, ProofKind, Timeline
from failoverd.core.operator import refusal
from failoverd.core.policy import Mode
from failoverd.core.states import Blocked, Reverting, Suspect, Watching
from tests.unit.vocabulary import (
    FAILED,
    PAIR,
    PG1,
    PG2,
    crashed,
    cut_off,
    dead,
    healthy,
    host,
    proof,
    streaming,
    watching,
)

WORDS = Evidence("said")


def beside_patroni(*, there: bool = True):
    def node(name, at):
        known = healthy()(name, at)
        facts = replace(host(at).facts, other_manager="patroni" if there else "")
        return replace(known, host=replace(known.host, facts=facts))

    return node


def why_not(daemon, command):
    why = refusal(daemon.machine, command, daemon.policy)
    if why is not None:
        before = daemon.machine
        daemon.told(command)
        assert (daemon.state, daemon.machine.jobs) == (before.state, before.jobs)
    return why


def split():
    """Two nodes take writes, and nobody is recorded as superseded."""
    return watching().sees(healthy(), healthy(timeline=2))


def test_beside_another_manager_nothing_is_done_and_it_is_said_why():
    daemon = watching().sees(beside_patroni(), streaming())
    for _ in range(6):
        daemon.sees(dead(), cut_off())
    assert isinstance(daemon.state, Suspect)
    assert "fence pg1" in daemon.state.would
    why = why_not(daemon, OperatorFailover(Trigger.COMMAND, "me"))
    assert why is not None
    assert "patroni runs on the host of pg1: beside another manager this daemon only" in why


def test_once_the_other_manager_is_gone_the_mode_is_what_is_written():
    daemon = watching().sees(beside_patroni(), streaming())
    daemon.sees(beside_patroni(there=False), streaming())
    assert daemon.machine.memory.other_managers == {}
    daemon.sees(dead(), cut_off()).sees(dead(), cut_off())
    assert [type(effect) for effect in daemon.asks][:1] == [Fence]


def test_of_a_split_brain_the_operator_adopts_one_and_fences_the_other():
    daemon = split()
    assert isinstance(daemon.state, Blocked)
    assert "failoverd adopt NODE first" in (why_not(daemon, OperatorFences("me", PG1)) or "")
    daemon.told(OperatorAdopts("me", PG2))
    assert (daemon.machine.memory.primary, daemon.machine.memory.timeline) == (PG2, Timeline(2))
    daemon.sees(healthy(), healthy(timeline=2))
    assert isinstance(daemon.state, Blocked)
    before = daemon.machine.epoch
    daemon.told(OperatorFences("me", PG1))
    assert daemon.machine.epoch == before + 1
    (asked,) = daemon.asks
    assert isinstance(asked, Fence)
    assert (asked.node, asked.epoch) == (PG1, daemon.machine.epoch)
    daemon.answered(Fence, Fenced(proof(node=PG1, epoch=daemon.machine.epoch, at=daemon.at)))
    assert daemon.machine.jobs[PG1].job is Job.QUARANTINED
    daemon.sees(dead(), healthy(timeline=2))
    assert daemon.state == Watching()


def test_a_fence_by_hand_is_asked_again_until_it_is_proved():
    daemon = split().told(OperatorAdopts("me", PG2)).told(OperatorFences("me", PG1))
    daemon.answered(Fence, FAILED)
    assert daemon.machine.jobs[PG1].job is Job.OWED_FENCE
    assert daemon.asks == ()
    daemon.wakes(10)
    assert [type(effect) for effect in daemon.asks] == [Fence]


def test_what_an_operator_turned_off_is_guarded_at_first_contact():
    daemon = split().told(OperatorAdopts("me", PG2)).told(OperatorFences("me", PG1))
    off = proof(node=PG1, epoch=daemon.machine.epoch, at=daemon.at, kind=ProofKind.POWERED_OFF)
    daemon.answered(Fence, Fenced(off))
    assert [type(effect) for effect in daemon.asks] == [Quarantine]
    daemon.answered(Quarantine, FAILED)
    assert daemon.asks == ()
    daemon.wakes(2)
    daemon.answered(Quarantine, Quarantined(WORDS))
    assert daemon.machine.jobs[PG1].job is Job.QUARANTINED


@pytest.mark.parametrize(
    ("command", "said"),
    [
        (OperatorFences("me", NodeName("pg9")), "no node is called 'pg9': one of pg1, pg2"),
        (OperatorFences("me", PG1), "pg1 is the primary: failoverd failover"),
        (OperatorFences("me", PG2), "pg2 is a standby"),
        (OperatorAdopts("me", PG1), "pg1 is the primary already"),
        (OperatorAdopts("me", PG2), "pg2 does not take writes"),
        (OperatorUnfences("me", PG1), "nothing holds pg1 down (watching)"),
        (OperatorUnfences("me", PG2), "pg1 is the primary, not pg2: to go back, stop pg1 for good"),
    ],
)
def test_what_makes_no_sense_is_refused_with_what_to_do(command, said):
    assert said in (why_not(watching(), command) or "")


def test_nothing_is_fenced_by_hand_while_paused_or_while_only_observing():
    paused = split().told(OperatorAdopts("me", PG2)).told(OperatorPause("me"))
    assert "resume first" in (why_not(paused, OperatorFences("me", PG1)) or "")
    observing = split().told(OperatorAdopts("me", PG2))
    observing.policy = replace(PAIR, mode=Mode.OBSERVE)
    assert "acts on nothing" in (why_not(observing, OperatorFences("me", PG1)) or "")


def test_a_failover_that_cannot_be_proved_may_be_given_up_by_hand():
    daemon = crashed().answered(Fence, FAILED)
    assert isinstance(daemon.state, Blocked)
    daemon.told(OperatorUnfences("me", PG1))
    assert daemon.state == Reverting(PG1, True, None, "me asked to unfence pg1")
    assert Unfence(PG1, daemon.machine.epoch) in daemon.asks


def test_what_cannot_be_started_again_by_an_order_says_what_to_do():
    daemon = crashed().answered(Fence, FAILED)
    daemon.told(OperatorUnfences("me", PG1))
    while isinstance(daemon.state, Reverting):
        daemon.answered(Unfence, FAILED).wakes(5)
    assert isinstance(daemon.state, Blocked)
    assert daemon.state.advice == (
        "its log says what keeps it from starting; then failoverd unfence pg1"
    )


def test_a_failover_in_which_somebody_was_asked_to_promote_is_not_given_up():
    daemon = crashed().answered(Fence, FAILED)
    daemon.machine = replace(daemon.machine, asked=frozenset({PG2}))
    assert "cannot be revoked" in (why_not(daemon, OperatorUnfences("me", PG1)) or "")


def test_nobody_is_adopted_during_a_failover_and_nothing_of_another_cluster():
    daemon = crashed()
    assert "under way" in (why_not(daemon, OperatorAdopts("me", PG2)) or "")
    foreign = split()
    report = foreign.machine.view.report(PG2)
    server = replace(report.server, system_identifier="7")
    nodes = {**foreign.machine.view.nodes, PG2: replace(report, server=server)}
    foreign.machine = replace(foreign.machine, view=replace(foreign.machine.view, nodes=nodes))
    assert "belongs to another cluster" in (why_not(foreign, OperatorAdopts("me", PG2)) or "")
