"""What each vantage point said, and how old it was."""

from __future__ import annotations

from dataclasses import replace

from failoverd.core.model import ClusterView, HostReport, Instant, Look, NodeReport, Outcome
from failoverd.core.vantage import seen
from tests.unit.story import PG1, PG2, dead, host, look, server, well


def said(report, at=10.0):
    return seen(ClusterView({report.name: report}), Instant(at))


def test_each_look_has_its_own_age():
    report = replace(dead(PG1, 1, 9.0), held=look(Outcome.LOST, 4.0))
    lines = said(report)
    assert lines[0] == "pg1: the held session: lost, 5.99 s before"
    assert lines[1] == "pg1: a fresh connection: refused (Connection refused), 0.99 s before"


def test_what_was_not_tried_is_not_told():
    assert said(NodeReport(PG1)) == ()


def test_a_primary_says_where_it_writes():
    report = NodeReport(PG1, server=server(9.0, in_recovery=False, lsn=0x3000148))
    assert said(report) == ("pg1: takes writes on timeline 1, at 0/3000148, 1.00 s before",)


def test_a_standby_says_from_whom_it_receives():
    assert any(
        "streaming from 192.0.2.11:5432, 1.00 s before" in one for one in said(well(PG2, 1, 9.0))
    )


def test_a_standby_that_may_not_say_it_is_not_taken_for_one_that_receives_nothing():
    facts = replace(server(9.0, in_recovery=True, lsn=1), receiver=None, receiver_readable=False)
    (line,) = said(NodeReport(PG2, server=facts))
    assert "does not say from whom it receives (our role lacks pg_monitor)" in line


def test_a_host_that_does_not_answer_says_how():
    silent = HostReport(look(Outcome.TIMED_OUT, 9.0, "no banner\nin 1 s"))
    (line,) = said(NodeReport(PG1, host=silent))
    assert line == "pg1: its host: timed_out (no banner in 1 s), 0.99 s before"


def test_a_host_says_what_runs_there():
    (line,) = said(NodeReport(PG1, host=host(9.0, running=True)))
    assert line.startswith("pg1: its host: 2 processes of the data directory, listens, the control")


def test_a_round_that_we_spoilt_ourselves_says_so():
    report = replace(NodeReport(PG1), held=Look(Outcome.TIMED_OUT), ours=True)
    assert said(report)[-1] == "pg1: our own loop was late: this round proves nothing"


def test_a_look_is_never_from_the_future():
    assert "0.00 s before" in said(NodeReport(PG1, held=look(Outcome.OK, 50.0)))[0]
