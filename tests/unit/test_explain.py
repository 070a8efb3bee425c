"""What was decided can be decided again, and says by which row and which rule."""

from __future__ import annotations

import shutil
import sqlite3
from contextlib import closing
from dataclasses import replace

import pytest

from failoverd.core.events import Observed
from failoverd.core.model import Epoch
from failoverd.core.states import StateName, name_of
from failoverd.daemon.journal import Journal
from failoverd.observability import explanation
from failoverd.record.record import Basis, Record
from failoverd.record.replay import replay
from tests.unit.story import failover


def decisions(story=None):
    """One record for each journaled step of a failover, with what it was made from."""
    story = story or failover()
    for before, event, after, entry, now in story.steps:
        if entry is not None:
            incident = after.incident or before.incident
            epoch = incident.epoch if incident is not None else Epoch(0)
            basis = Basis(before, event, now, story.policy)
            yield Record("main", now.wall, epoch, entry, after, basis)


async def kept(directory, records):
    journal = Journal.open(directory)
    for record in records:
        await journal.append(record)
    journal.close()
    return Journal.open(directory)


@pytest.fixture
async def journal(tmp_path):
    opened = await kept(tmp_path / "state", decisions())
    yield opened
    opened.close()


async def test_each_decision_of_an_incident_comes_out_the_same_from_the_journal(journal):
    replayed = [replay(record) for record in journal.decided("main", 1)]
    assert len(replayed) == 8
    assert [one.differs for one in replayed] == [()] * len(replayed)
    assert all(one.explanation is not None for one in replayed)
    said = explanation.text("main", 1, replayed)
    assert f"{len(replayed)} of {len(replayed)} decisions" in said
    assert "each came out the same" in said


async def test_the_decision_to_fence_names_its_row_and_its_figures(journal):
    begun = next(
        one for one in map(replay, journal.decided("main", 1))
        if one.record.entry.to_state is StateName.FENCING
    ).explanation  # fmt: skip
    assert begun.diagnosis == "crashed"
    assert begun.calls == "after_two_looks"
    assert "demoted" in begun.ruled_out
    assert "crashed is conclusive in two looks: the second began 0." in begun.rule
    assert "pg2 at " in begun.rule


async def test_what_would_be_decided_otherwise_now_is_told(journal):
    begun, *_ = journal.decided("main", 1)
    basis = replace(begun.basis, policy=replace(begun.basis.policy, fast_path=False))
    other = replay(replace(begun, basis=basis))
    assert "state" in other.differs
    assert "sentence" in other.differs
    document = explanation.document("main", 1, [other])
    assert not document["same"]
    assert "come out otherwise now" in explanation.text("main", 1, [other])


async def test_a_decision_stands_where_its_basis_was_not_kept(tmp_path):
    journal = await kept(tmp_path, (replace(one, basis=None) for one in decisions()))
    replayed = [replay(record) for record in journal.decided("main", 1)]
    assert [one.explanation for one in replayed] == [None] * len(replayed)
    assert "was not kept" in explanation.text("main", 1, replayed)
    journal.close()


async def test_a_daemon_that_is_killed_right_after_a_decision_has_kept_its_basis(tmp_path):
    journal = Journal.open(tmp_path / "state")
    of_an_incident = [one for one in decisions() if one.epoch]
    assert len(of_an_incident) == 8
    for number, record in enumerate(of_an_incident):
        await journal.append(record)
        left = tmp_path / f"left-{number}"
        shutil.copytree(tmp_path / "state", left)
        after_the_kill = Journal.open(left)
        assert after_the_kill.records("main")[-1].basis == record.basis
        after_the_kill.close()
    journal.close()


async def test_a_journal_of_the_version_before_goes_on_and_explains_what_comes(tmp_path):
    steps = list(decisions())
    (await kept(tmp_path, (replace(one, basis=None) for one in steps[:4]))).close()
    with closing(sqlite3.connect(tmp_path / "journal.sqlite3")) as db, db:
        db.executescript("DROP TABLE bases; DROP TABLE policies; PRAGMA user_version = 1")
    journal = await kept(tmp_path, steps[4:])
    found = journal.decided("main", 1)
    assert found[0].basis is None
    assert found[-1].basis in [step.basis for step in steps]
    assert replay(found[-1]).differs == ()
    journal.close()


async def test_a_policy_is_kept_once(journal):
    with closing(sqlite3.connect(journal.path)) as db, db:
        assert db.execute("SELECT count(*) FROM policies").fetchone() == (1,)


def test_every_step_of_a_failover_has_a_rule():
    for record in decisions():
        why = replay(record).explanation
        assert why.rule, name_of(record.basis.before.state)
        assert why.event
        if isinstance(record.basis.event, Observed) and why.diagnosis is not None:
            assert why.row


async def test_no_password_of_a_frozen_standby_is_shown(tmp_path):
    journal = await kept(tmp_path, decisions())
    found = journal.decided("main", 1)
    shown = explanation.text("main", 1, [replay(one) for one in found])
    shown += str(explanation.document("main", 1, [replay(one) for one in found]))
    values = {
        value
        for record in found
        for saved in record.machine.saved.values()
        for _, value in saved.values
        if value
    }
    assert values
    assert [value for value in values if value in shown] == []
    journal.close()


async def test_a_false_alarm_is_explained_by_its_own_number(tmp_path):
    suspected = [one for one in decisions() if one.entry.to_state is StateName.SUSPECT]
    journal = await kept(tmp_path, suspected)
    (doubt,) = journal.doubts("main")
    found = journal.decided("main", f"s{doubt.number}")
    assert [one.entry for one in found] == [one.entry for one in suspected]
    assert replay(found[0]).explanation.diagnosis == "crashed"
    assert journal.decided("main", "s999") == ()
    journal.close()
