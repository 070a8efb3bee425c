"""What a failover would do, told before anything is done."""

from __future__ import annotations

from dataclasses import replace

import click
from click.testing import CliRunner

from failoverd.cli.rehearsal import tell_rehearsal
from failoverd.core.events import OperatorFailover, Trigger
from failoverd.core.model import NodeName
from failoverd.core.schedule import OperatorSwitchover
from failoverd.daemon.rehearsal import rehearse
from failoverd.effect.world import Node
from failoverd.transport.local import LocalHost
from failoverd.transport.postgres import SqlAddress
from tests.unit.vocabulary import HOSTS, PG2, PG3, TRIO, gone, healthy, streaming, watching


def nodes():
    return {
        name: Node(
            name,
            LocalHost(name, lambda: 0.0),
            SqlAddress(host, 5432, "failoverd", "postgres", lambda: "hunter2"),
            {"data_dir": "/data"},
        )
        for name, host in HOSTS.items()
    }


def rehearsed(daemon, policy=TRIO, **order):
    asked = OperatorFailover(Trigger.COMMAND, "somebody", **order)
    return rehearse(daemon.machine, daemon.now, policy, nodes(), asked)


def test_each_step_is_told_in_its_order_with_its_commands():
    told = rehearsed(watching(TRIO))
    steps = [(step["step"], step["node"]) for step in told["steps"]]
    assert steps == [
        ("fence", "pg1"),
        ("freeze", "pg2"),
        ("freeze", "pg3"),
        ("elect", "pg2"),
        ("salvage", "pg2"),
        ("promote", "pg2"),
        ("confirm", "pg2"),
        ("equip", "pg2"),
        ("repoint", "pg3"),
    ]
    commands = {step["step"]: " ".join(step["commands"]) for step in told["steps"]}
    assert "standby.signal" in commands["fence"]
    assert "pg_promote(false)" in commands["promote"]
    assert "'failoverd_frozen_1'" in commands["promote"]
    assert "pg_logical_emit_message" in commands["confirm"]
    assert f"host={HOSTS[PG2]} port=5432" in commands["repoint"]
    assert "hunter2" not in str(told)


def test_the_trial_election_names_each_refusal():
    daemon = watching(TRIO).sees(healthy(), streaming(), gone())
    told = rehearsed(daemon)
    assert told["election"]["candidate"] == PG2
    assert told["election"]["refused"] == {PG3: "does not answer (timed_out)"}


def test_an_order_that_would_be_refused_is_told_so_and_nothing_is_planned_without_a_candidate():
    told = rehearsed(watching(TRIO), to=NodeName("pg9"))
    assert "no node is called 'pg9'" in told["refused"]
    daemon = watching(TRIO).sees(healthy(), gone(), gone())
    assert rehearsed(daemon)["steps"] == []


def test_managed_replication_is_lowered_before_the_promotion():
    policy = replace(TRIO, synchronous_managed=True)
    told = rehearsed(watching(policy), policy)
    promote = next(step for step in told["steps"] if step["step"] == "promote")
    assert promote["commands"][0] == "alter system set synchronous_standby_names = ''"


def test_a_person_reads_it_in_lines():
    @click.command()
    def shown():
        tell_rehearsal(rehearsed(watching(TRIO)))

    said = CliRunner().invoke(shown).output
    assert "trial election: pg2 at 0/5000000" in said
    assert "  not pg3: no further than pg2, which comes first by name" in said
    assert "1. fence pg1: guarded, stopped, and proved so" in said
    assert said.endswith("nothing was done\n")


def test_a_switchover_is_told_with_what_comes_before_the_stop_and_after_the_promotion():
    policy = replace(TRIO, can_rejoin=True)
    daemon = watching(policy)
    told = rehearse(daemon.machine, daemon.now, policy, nodes(), OperatorSwitchover("ann"))
    steps = [step["step"] for step in told["steps"]]
    assert told["refused"] is None
    assert (steps[0], steps[-1]) == ("checkpoint", "rejoin")
    assert steps.index("fence") < steps.index("promote")
