"""Alive but refusing: what was heard, how far it has come, and when somebody must look."""

import json
from dataclasses import replace

import pytest

from failoverd.core.diagnosis import Diagnosis
from failoverd.core.model import Outcome
from failoverd.core.states import Suspect
from failoverd.observability import log
from failoverd.observability.status import status_document
from tests.unit.test_parted import Teller
from tests.unit.vocabulary import PAIR, PG1, says, streaming, watching


def reading(segment):
    def node(name, at):
        said = says(Outcome.STARTING_UP)(name, at)
        facts = replace(said.host.facts, recovering=segment)
        return replace(said, host=replace(said.host, facts=facts))

    return node


def test_a_recovery_is_shown_with_the_wal_file_that_it_reads_and_how_much_of_its_limit_is_spent():
    daemon = watching()
    for number in range(4):
        daemon.sees(reading(f"00000001000000000000000{number}"), streaming())
    shown = status_document("main", daemon.machine, daemon.now, PAIR)
    assert shown["diagnosis"] == "recovering"
    detail = "(it reads 000000010000000000000003) for 3 s (recovery_limit is 300 s)"
    assert shown["diagnosis_detail"] == detail
    assert shown["nodes"]["pg1"]["recovering"] == "000000010000000000000003"


def refusing(seconds, policy=PAIR):
    teller = Teller(watching(policy))
    for _ in range(seconds):
        teller.daemon.sees(says(Outcome.TOO_MANY_CONNECTIONS), streaming())
    return teller.daemon


def test_who_only_refuses_for_longer_than_busy_limit_is_told_once_as_an_error(capfd):
    log.start_logging("info", "json")
    try:
        daemon = refusing(80)
    finally:
        log.stop_logging()
    lines = [json.loads(line) for line in capfd.readouterr().out.splitlines()]
    errors = [line["event"] for line in lines if line["level"] == "error"]
    assert len(errors) == 1
    assert "pg1 is busy" in errors[0]
    assert "longer than busy_limit" in errors[0]
    assert isinstance(daemon.state, Suspect)
    assert daemon.machine.diagnosis is Diagnosis.BUSY


def test_before_it_nobody_is_called():
    daemon = refusing(60)
    assert isinstance(daemon.state, Suspect)
    assert not daemon.state.overdue


@pytest.mark.parametrize("limit", [5.0, 20.0])
def test_busy_limit_is_the_policys(limit):
    daemon = refusing(int(limit) + 2, replace(PAIR, busy_limit_s=limit))
    assert isinstance(daemon.state, Suspect)
    assert daemon.state.overdue
    assert daemon.machine.memory.primary == PG1
