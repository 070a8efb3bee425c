"""What the report, the status and the log say of a split brain."""

import json

import pytest

from failoverd.core.events import DivergenceMeasured, Event, OperatorAdopts, OperatorPause, Replied
from failoverd.core.incident import describe
from failoverd.core.model import Epoch
from failoverd.core.numbering import number_of
from failoverd.observability import log, parted, report
from failoverd.observability.metrics import Metrics
from failoverd.observability.status import status_document
from tests.unit.test_divergence import divergence
from tests.unit.test_split_brain import counts, healthy, isolated
from tests.unit.vocabulary import PAIR, PG2, WORDS, dead, watching

COMMAND = "pg_waldump --path=/d/pg_wal --timeline=1 --start=0/64 --rmgr=Transaction"


class Teller:
    """A daemon whose steps are told as the supervisor tells them."""

    def __init__(self, daemon):
        self.daemon, self.rows, self.metrics = daemon, [], Metrics()
        self.metrics.seed("main", PAIR, {})
        happens = daemon.happens

        def told(event: Event):
            before, now = daemon.machine, daemon.now
            happens(event)
            entry = describe(before, event, daemon.machine, PAIR)
            self.metrics.stepped("main", before, event, daemon.machine, now, PAIR)
            log.step_logged("main", before, event, daemon.machine, entry)
            if entry is not None:
                number = number_of(before, event, daemon.machine) or Epoch(0)
                self.rows.append((number, now.wall, entry))
            return daemon

        daemon.happens = told

    def of(self, number):
        return [(at, entry) for found, at, entry in self.rows if found == number]


@pytest.fixture
def told():
    """Seen, counted while it writes, stopped, counted again."""
    teller = Teller(isolated())
    daemon = teller.daemon.sees(healthy(), healthy(timeline=2))
    for running in (True, False):
        (asked,) = counts(daemon)
        found = divergence(
            commits=5 if running else 7, running=running, commands=(COMMAND,), wal_bytes=900
        )
        daemon.happens(Replied(daemon.machine.visit, asked, DivergenceMeasured(found, WORDS)))
        daemon.sees(dead(), healthy(timeline=2))
    return teller


def test_the_report_tells_how_much_only_the_stale_one_has_and_how_to_look_at_it(told):
    (number,) = {found for found, *_ in told.rows if found}
    rows = told.of(number)
    text = report.markdown("main", number, rows)
    assert f"# Incident {number} of cluster main: split_brain" in text
    assert "pg1 has 7 transactions and 900 bytes of WAL that pg2 has not" in text
    assert f"      {COMMAND}" in text
    assert "pg1: takes writes on timeline 1" in text
    assert "pg2: takes writes on timeline 2" in text
    assert "Before pg1 is rebuilt" in text
    assert "The old primary is stopped and cannot take writes" not in text
    document = json.loads(json.dumps(report.document("main", number, rows)))
    assert [one["commits"] for one in document["divergences"]] == [7]
    assert document["outcome"] == "split_brain"
    assert document["diagnosis"] == "split_brain"


def test_what_was_counted_last_counts(told):
    (found,) = parted.latest([(at, entry) for _, at, entry in told.rows])
    assert (found.commits, found.running) == (7, False)


def test_status_and_metrics_have_the_figures(told):
    status = status_document("main", told.daemon.machine, told.daemon.now, PAIR)
    assert status["nodes"]["pg1"]["divergence"]["commits"] == 7
    assert status["nodes"]["pg1"]["divergence"]["commands"] == [COMMAND]
    assert status["nodes"]["pg1"]["job"] == "superseded"
    assert status["nodes"]["pg2"]["divergence"] is None
    served = b"".join(told.metrics.exposition()).decode()
    assert 'failoverd_diverged_commits{cluster="main",node="pg1"} 7.0' in served
    assert 'failoverd_diverged_wal_bytes{cluster="main",node="pg1"} 900.0' in served
    assert 'failoverd_split_brains_total{cluster="main"} 1.0' in served


def errors(capfd, happens):
    log.start_logging("debug", "json")
    try:
        happens()
    finally:
        log.stop_logging()
    lines = [json.loads(line) for line in capfd.readouterr().out.splitlines()]
    return [line["event"] for line in lines if line["level"] == "error"]


def test_it_is_an_error_in_the_log_also_where_it_was_blocked_for_another_reason(capfd):
    daemon = watching()
    for _ in range(2):
        daemon.sees(dead(), dead(), after=0.21)
    assert "no_candidate" in str(daemon.state)
    teller = Teller(daemon)
    said = errors(capfd, lambda: teller.daemon.sees(healthy(), healthy(timeline=2)))
    assert len(said) == 1
    assert "take writes" in said[0]


def test_it_is_an_error_in_the_log_also_while_paused(capfd):
    teller = Teller(watching().told(OperatorPause("me")))
    said = errors(capfd, lambda: teller.daemon.sees(healthy(), healthy(timeline=2)))
    assert len(said) == 1
    assert "split_brain" in said[0]


def test_an_adopted_one_is_named_in_the_advice():
    daemon = watching().sees(healthy(), healthy(timeline=2)).told(OperatorAdopts("me", PG2))
    daemon.sees(healthy(), healthy(timeline=2))
    assert daemon.state.advice == "failoverd fence pg1"
