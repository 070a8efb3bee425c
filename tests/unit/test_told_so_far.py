"""What a leader has told of an incident is what the next one's report begins with, once."""

from __future__ import annotations

from dataclasses import replace

import pytest

from failoverd.core.leadership import Term
from failoverd.core.states import StateName
from failoverd.daemon.journal import Journal
from failoverd.daemon.told_so_far import LONGEST, ToldSoFar
from failoverd.observability import report
from failoverd.transport.etcd import Kept
from tests.unit.test_explain import decisions

BELOW = "/t/main/"


class Keys:
    """As etcd has them: what is written beside the machine, in one transaction."""

    def __init__(self) -> None:
        self.there: dict[str, str] = {}

    def write(self, told: ToldSoFar, record, term=1):
        beside = told.beside(record, Term(term))
        if beside.gone is not None:
            first, last = beside.gone
            self.there = {k: v for k, v in self.there.items() if not first <= k < last}
        assert not set(self.there) & {key for key, _ in beside.puts}
        self.there.update(beside.puts)
        told.written()

    def found(self):
        return {key: Kept(value, 1, 1, 0) for key, value in self.there.items()}


def suspected_and_more():
    """A failover from its suspicion on, as it was journaled."""
    records = list(decisions())
    first = next(n for n, one in enumerate(records) if one.entry.to_state is StateName.SUSPECT)
    return records[first:]


async def journal_of(directory, records=()):
    journal = Journal.open(directory)
    for record in records:
        await journal.append(replace(record, basis=None))
    return journal


async def test_the_report_of_the_next_leader_begins_where_the_incident_began(tmp_path):
    keys, records = Keys(), suspected_and_more()
    first = ToldSoFar(BELOW)
    for record in records[:5]:
        keys.write(first, record)
    second = ToldSoFar(BELOW)
    taken = second.take_up(keys.found())
    journal = await journal_of(tmp_path)
    await journal.take_up("main", taken, records[4].machine)
    for record in records[5:]:
        await journal.append(record)
    told = [(one.at, one.entry) for one in journal.entries("main", 1)]
    assert told == [(one.at, one.entry) for one in records if one.epoch or one in records[:5]]
    assert told[0][1].to_state is StateName.SUSPECT
    shown = report.markdown("main", 1, told)
    assert "suspect -> fencing" in shown
    assert report.summary("main", 1, told)["outcome"] == "succeeded"
    assert journal.failovers("main") == {("automatic", "succeeded"): 1}
    journal.close()


async def test_who_had_told_it_before_and_leads_again_tells_it_once(tmp_path):
    keys, records = Keys(), suspected_and_more()
    first, second, again = ToldSoFar(BELOW), ToldSoFar(BELOW), ToldSoFar(BELOW)
    for record in records[:4]:
        keys.write(first, record)
    assert second.take_up(keys.found())
    for record in records[4:6]:
        keys.write(second, record, term=2)
    journal = await journal_of(tmp_path, records[:4])
    await journal.take_up("main", again.take_up(keys.found()), records[5].machine)
    await journal.take_up("main", again.take_up(keys.found()), records[5].machine)
    told = journal.entries("main", 1)
    assert [one.entry for one in told] == [one.entry for one in records[:6]]
    assert journal.latest("main") is not None
    journal.close()


def test_the_words_of_an_incident_go_with_the_first_of_the_next_suspicion():
    keys, records = Keys(), suspected_and_more()
    told = ToldSoFar(BELOW)
    for record in records:
        keys.write(told, record)
    assert len(keys.there) == len([one for one in records if one.epoch]) + 1
    keys.write(told, records[0])
    assert len(keys.there) == 1
    assert ToldSoFar(BELOW).take_up(keys.found()) == ()  # nothing came of it yet


def test_a_leader_that_could_not_read_what_was_told_begins_anew_and_overwrites_nothing():
    keys, records = Keys(), suspected_and_more()
    first = ToldSoFar(BELOW)
    for record in records[:4]:
        keys.write(first, record, term=3)
    blind = ToldSoFar(BELOW)
    blind.take_up({})
    keys.write(blind, records[4], term=4)
    assert [one.entry for one in ToldSoFar(BELOW).take_up(keys.found())] == [records[4].entry]


def test_a_write_that_was_refused_leaves_its_place_to_the_next_one():
    keys, records = Keys(), suspected_and_more()
    told = ToldSoFar(BELOW)
    keys.write(told, records[0])
    (lost,) = told.beside(records[1], Term(1)).puts
    (again,) = told.beside(records[1], Term(1)).puts
    assert lost[0] == again[0]


def test_nothing_is_told_where_all_is_well():
    record = next(one for one in decisions() if not one.epoch)
    well = replace(record, entry=replace(record.entry, to_state=StateName.WATCHING))
    beside = ToldSoFar(BELOW).beside(well, Term(1))
    assert beside.puts == ()
    assert beside.gone is None


def test_a_step_whose_commands_have_said_too_much_is_told_without_that():
    record = next(one for one in decisions() if one.entry.runs)
    run = replace(record.entry.runs[0], output="x" * LONGEST)
    long = replace(record, entry=replace(record.entry, runs=(run,)))
    ((_, text),) = ToldSoFar(BELOW).beside(long, Term(1)).puts
    assert len(text) < LONGEST
    assert long.entry.sentence in text


@pytest.mark.parametrize(
    "spoilt",
    ["", "[]", "{}", "[" * 100_000, '{"version": 1, "at": 1e999, "epoch": 1, "entry": {}}',
     '{"version": 99, "at": 1, "epoch": 1, "entry": {}}'],
)  # fmt: skip
def test_what_nobody_understands_is_left_out_of_the_report(spoilt):
    keys = Keys()
    told = ToldSoFar(BELOW)
    for record in suspected_and_more()[:3]:
        keys.write(told, record)
    keys.there[max(keys.there)] = spoilt
    assert ToldSoFar(BELOW).take_up(keys.found()) == ()
