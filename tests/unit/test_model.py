"""LSNs and outcomes."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from failoverd.core.model import SILENT, SPOKE, Lsn, Outcome, SavedSettings
from tests.unit.vocabulary import OWN, PG1, dead, gone, healthy, view


@given(st.integers(min_value=0, max_value=(1 << 64) - 1))
def test_a_position_is_read_back_as_it_was_written(position):
    assert Lsn.parse(str(Lsn(position))) == Lsn(position)


def test_a_position_is_written_as_postgresql_writes_it():
    assert str(Lsn.parse("16/B374D848")) == "16/B374D848"
    assert Lsn.parse("1/0") - Lsn.parse("0/FFFFFFFF") == 1


@pytest.mark.parametrize("text", ["", "/", "1", "1/", "/1", "x/1", "123456789/0", "0/123456789"])
def test_anything_else_is_no_position(text):
    with pytest.raises(ValueError):
        Lsn.parse(text)


def test_no_outcome_is_both_an_answer_and_silence_and_our_own_faults_are_neither():
    assert not SPOKE & SILENT
    assert not {Outcome.OUR_FAULT, Outcome.NOT_TRIED, Outcome.FAILING} & (SPOKE | SILENT)


def test_a_conninfo_is_never_in_a_repr():
    assert "host" not in repr(OWN)
    assert "hunter2" not in repr(SavedSettings((("primary_conninfo", "password=hunter2"),)))


def test_a_node_answers_by_sql_or_through_its_host():
    seen = view(primary=dead(), standby=gone(), third=healthy(), at=5)
    assert [seen.report(n).answers for n in sorted(seen.nodes)] == [True, False, True]
    assert seen.report(PG1).host_of_now
