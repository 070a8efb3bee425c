"""What is broken, and yet stands in nobody's way."""

from __future__ import annotations

from dataclasses import replace

from failoverd.core.judged import Verdict
from failoverd.core.model import Outcome
from failoverd.core.policy import Mode, NodePolicy
from failoverd.core.readiness import failing, readiness
from failoverd.core.survey import OwnStanding, RungTrial, Shared
from tests.unit.story import PG1, PG2, POLICY
from tests.unit.survey import (
    GB,
    PG3,
    checks_of,
    healthy,
    no_server,
    of_host,
    of_server,
    policy,
    remembers,
    sees,
)


def test_a_broken_standby_is_a_warning_where_another_could_take_over():
    survey = healthy()
    third = replace(survey.policy.nodes[PG2], host="192.0.2.13")
    wider = replace(
        survey,
        policy=replace(survey.policy, nodes={**survey.policy.nodes, PG3: third}),
        view=replace(
            survey.view,
            nodes={
                **survey.view.nodes,
                PG3: replace(
                    sees(PG2, postmaster_started="1", data_directory="/3")(survey).view.report(PG2),
                    name=PG3,
                ),
            },
        ),
        servers={**survey.servers, PG3: replace(survey.servers[PG2], own_name="pg3")},
        server_looks={**survey.server_looks, PG3: survey.server_looks[PG2]},
        hosts={**survey.hosts, PG3: survey.hosts[PG2]},
        host_looks={**survey.host_looks, PG3: survey.host_looks[PG2]},
        rungs=(*survey.rungs, RungTrial(PG3, "agent", True, "on")),
        memory=replace(
            survey.memory,
            calibrations={**survey.memory.calibrations, PG3: survey.memory.calibrations[PG2]},
        ),
    )
    assert failing(readiness(wider)) == frozenset()
    broken = of_host(PG2, local_sql="no entry")(wider)
    (found,) = [one for one in checks_of(broken, "local_sql") if one.node == PG2]
    assert found.verdict is Verdict.WARN
    assert "pg3 could take over" in found.sentence
    both = of_host(PG3, local_sql="no entry")(broken)
    assert "local_sql" in failing(readiness(both))


def test_the_primary_is_never_spared():
    assert "local_sql" in failing(readiness(of_host(PG1, local_sql="no entry")(healthy())))


def test_beside_another_manager_or_another_daemon_one_may_observe():
    observing = policy(mode=Mode.OBSERVE)(healthy())
    beside = remembers(other_managers={PG2: "patroni"})(observing)
    assert "other_manager" not in failing(readiness(beside))
    watched = of_server(PG1, other_daemons=("192.0.2.99",))(observing)
    assert "other_failoverd" not in failing(readiness(watched))


def test_a_daemon_that_shares_the_watch_is_no_fault_and_one_more_than_are_known_is():
    here = replace(healthy(), shared=Shared(leads=True, others=("monitor2",)))
    known = of_server(PG1, other_daemons=("192.0.2.99",))(here)
    assert "other_failoverd" not in failing(readiness(known))
    more = of_server(PG1, other_daemons=("192.0.2.98", "192.0.2.99"))(here)
    assert "other_failoverd" in failing(readiness(more))


def test_from_the_command_line_a_daemon_elsewhere_is_no_fault():
    own = OwnStanding(in_daemon=False, state_dir="/x", state_free_bytes=GB)
    survey = of_server(PG1, other_daemons=("192.0.2.99",))(replace(healthy(), own=own))
    (found,) = [one for one in checks_of(survey, "other_failoverd") if one.node == PG1]
    assert found.verdict is Verdict.WARN


def test_a_node_that_may_never_take_over_spares_nobody():
    never = NodePolicy("192.0.2.12", never=True)
    survey = policy(nodes={**POLICY.nodes, PG2: never})(healthy())
    assert "local_sql" in failing(readiness(of_host(PG2, local_sql="no entry")(survey)))


def test_a_server_that_is_starting_up_is_not_told_to_let_its_owner_in():
    starting = "FATAL: the database system is starting up"
    survey = no_server(PG1, Outcome.STARTING_UP, starting)(
        of_host(PG1, local_sql=starting)(healthy())
    )
    assert "sql" in failing(readiness(survey))
    assert "local_sql" not in failing(readiness(survey))
