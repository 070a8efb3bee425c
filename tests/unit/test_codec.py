"""What is journaled is read back as it was, whatever it holds."""

from __future__ import annotations

import dataclasses
import json
import typing

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from failoverd.core.events import Event, Result
from failoverd.core.incident import Entry
from failoverd.core.model import Look, Lsn, Outcome, SavedSettings
from failoverd.core.situation import Machine
from failoverd.core.states import Blocked, State
from failoverd.record.codec import TAG, RecordError, decode, dumps, encode, loads
from tests.unit.story import SAVED, failover

st.register_type_strategy(float, st.floats(allow_nan=False, allow_infinity=False))
st.register_type_strategy(Lsn, st.builds(Lsn, st.integers(0, 2**64 - 1)))

roundtrip = settings(
    max_examples=25,
    deadline=None,
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large],
)


@roundtrip
@given(st.from_type(Machine))
def test_any_machine_survives_being_written(machine):
    assert loads(Machine, dumps(machine)) == machine


@pytest.mark.parametrize("kind", typing.get_args(Event), ids=lambda kind: kind.__name__)
@roundtrip
@given(data=st.data())
def test_any_event_survives_being_written(kind, data):
    event = data.draw(st.from_type(kind))
    assert decode(Event, json.loads(dumps(event))) == event


@pytest.mark.parametrize("kind", typing.get_args(State), ids=lambda kind: kind.__name__)
@roundtrip
@given(data=st.data())
def test_any_state_survives_being_written(kind, data):
    state = data.draw(st.from_type(kind))
    assert decode(State, json.loads(dumps(state))) == state


@pytest.mark.parametrize("kind", typing.get_args(Result), ids=lambda kind: kind.__name__)
@roundtrip
@given(data=st.data())
def test_any_answer_survives_being_written(kind, data):
    result = data.draw(st.from_type(kind))
    assert decode(Result, json.loads(dumps(result))) == result


def test_every_step_of_a_real_failover_survives_being_written():
    story = failover()
    for _, _, after, entry, _ in story.steps:
        assert loads(Machine, dumps(after)) == after
        assert entry is None or loads(Entry, dumps(entry)) == entry


def test_a_string_that_no_server_should_send_survives():
    look = Look(Outcome.REJECTED, detail="\udcff\x00\n☃")
    assert loads(Look, dumps(look)) == look


def test_without_secrets_a_password_is_nowhere_in_the_text():
    machine = failover().steps[6][2]
    assert "hunter2" in dumps(machine)
    text = dumps(machine, secrets=False)
    assert "hunter2" not in text
    hidden = SavedSettings((("primary_conninfo", "***"),))
    assert set(loads(Machine, text).saved.values()) == {hidden}


def test_a_setting_that_was_not_set_is_told_from_a_hidden_one():
    saved = SavedSettings((("primary_slot_name", None), *SAVED.values))
    assert encode(saved, secrets=False)["values"] == [
        ["primary_slot_name", None], ["primary_conninfo", "***"]
    ]  # fmt: skip


def test_a_field_that_an_older_version_did_not_write_takes_its_default():
    data = encode(Look(Outcome.OK))
    del data["detail"]
    assert decode(Look, data) == Look(Outcome.OK)


@pytest.mark.parametrize(
    ("data", "said"),
    [
        ({TAG: "Look", "outcome": "ok", "color": 1}, r"\$: Look has no color"),
        ({TAG: "Look", "outcome": "fine"}, r"\$\.outcome: 'fine' is not a valid Outcome"),
        ({TAG: "Look", "began_at": "1"}, r"\$\.began_at: float expected, not str"),
        ({TAG: "Look", "began_at": True}, r"\$\.began_at: float expected, not bool"),
        ({TAG: "Machine"}, r"\$: Look expected, not 'Machine'"),
        ([], r"\$: an object expected, not list"),
    ],
)
def test_what_is_not_as_it_should_be_is_named_with_its_place(data, said):
    with pytest.raises(RecordError, match=said):
        decode(Look, data)


def test_a_state_that_nobody_knows_is_refused():
    with pytest.raises(RecordError, match=r"'Dreaming' is none of \['Blocked'"):
        decode(State, {TAG: "Dreaming"})


def test_a_required_field_that_is_missing_is_named():
    with pytest.raises(RecordError, match="Blocked lacks reason, retry_at, since, why"):
        decode(Blocked, {TAG: "Blocked"})


def test_an_error_never_shows_the_value():
    with pytest.raises(RecordError) as caught:
        decode(SavedSettings, {TAG: "SavedSettings", "values": "hunter2"})
    assert "hunter2" not in str(caught.value)


def test_what_is_not_finite_is_refused_when_it_is_written():
    with pytest.raises(RecordError, match="not a finite number"):
        encode(float("nan"))


def test_what_is_not_of_the_core_is_refused():
    @dataclasses.dataclass
    class Odd:
        what: object

    with pytest.raises(RecordError, match="nothing of the core: object"):
        encode(Odd(object()))


def test_text_that_is_no_json_is_refused():
    with pytest.raises(RecordError, match="not JSON"):
        loads(Machine, '{TAG: "Mach')
