"""What the journal holds is listed, told and written, whoever it is about."""

from __future__ import annotations

import json

from failoverd.core.numbering import number_of
from failoverd.daemon.incidents import Incidents
from failoverd.daemon.journal import Journal
from failoverd.record.record import Record
from tests.unit.story import Story, failover


async def kept(directory, *stories):
    """A journal with the stories, one after the other, and what reads it."""
    journal = Journal.open(directory)
    for story in stories:
        for before, event, after, entry, now in story.steps:
            if entry is not None:
                number = number_of(before, event, after) or 0
                await journal.append(Record("main", now.wall, number, entry, after))
    return journal, Incidents(journal)


async def test_a_false_alarm_stands_in_the_history_beside_a_failover(tmp_path):
    alarm = Story().all_well().stumbles().all_well()
    journal, incidents = await kept(tmp_path, alarm, failover())
    outcomes = {one["id"]: one["outcome"] for one in incidents.listed("main")}
    journal.close()
    assert sorted(outcomes.values()) == ["false_alarm", "succeeded"]
    assert outcomes[1] == "succeeded"


async def test_each_can_be_told_by_the_id_that_the_history_gives_it(tmp_path):
    alarm = Story().all_well().stumbles().all_well()
    journal, incidents = await kept(tmp_path, alarm, failover())
    for one in incidents.listed("main"):
        document = json.loads(json.dumps(incidents.document("main", one["id"])))
        assert document["outcome"] == one["outcome"]
        assert str(one["id"]) in incidents.text("main", one["id"], "markdown").splitlines()[0]
        assert incidents.text("main", one["id"], "svg").startswith("<svg")
    assert incidents.document("main", "s999") is None
    assert incidents.document("main", 999) is None
    journal.close()


async def test_the_report_of_a_false_alarm_is_written_when_it_is_over(tmp_path):
    journal, incidents = await kept(tmp_path, Story().all_well().stumbles().all_well())
    incidents.write_latest_doubt_soon("main")
    journal.close()
    (number,) = {file.stem for file in (tmp_path / "reports").iterdir()}
    assert number.startswith("main-s")
    forms = sorted(file.suffix for file in (tmp_path / "reports").iterdir())
    assert forms == [".json", ".md", ".svg"]


async def test_what_was_listed_is_listed_anew_when_something_was_told(tmp_path):
    journal, incidents = await kept(tmp_path, failover())
    assert len(incidents.listed("main")) == 1
    story = Story().all_well().stumbles().all_well()
    for before, event, after, entry, now in story.steps:
        if entry is not None:
            number = number_of(before, event, after) or 0
            await journal.append(Record("main", now.wall, number, entry, after))
    assert len(incidents.listed("main")) == 1
    incidents.changed("main")
    assert len(incidents.listed("main")) == 2
    journal.close()
