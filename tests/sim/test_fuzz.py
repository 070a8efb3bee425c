"""What comes from outside, as nobody would write it: no traceback, nothing believed too soon."""

from __future__ import annotations

import json
import math
import tempfile
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st
from prometheus_client.parser import text_string_to_metric_families

from failoverd.config.load import load
from failoverd.config.messages import ConfigurationErrors
from failoverd.core.model import Instant, NodeName, Outcome
from failoverd.core.policy import NodePolicy, Policy
from failoverd.core.situation import Machine
from failoverd.observability.metrics import Metrics
from failoverd.probe.statement import server_facts
from failoverd.record.codec import RecordError, dumps, loads
from failoverd.transport.host import Call, host_facts
from tests.sim.scenarios import CRASH, plan
from tests.sim.simulation import Simulation

ROOT = Path(__file__).parents[2]
BOUNDED = settings(
    max_examples=120, deadline=None, suppress_health_check=[HealthCheck.too_slow], derandomize=True
)
ANYTHING = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=20),
    lambda inner: (
        st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner, max_size=3)
    ),
    max_leaves=8,
)  # fmt: skip


@pytest.fixture(scope="module")
def journaled() -> list[str]:
    """Machines as a failover leaves them in the journal, one for each record."""
    records: list[str] = []
    simulation = Simulation(plan(CRASH))
    simulation.kernel.run_until(1.0)
    daemon = simulation.daemons[0]
    for _ in range(400):
        simulation.kernel.run_until(simulation.kernel.now + 0.02)
        if daemon.journal is not None and (not records or records[-1] != daemon.journal):
            records.append(daemon.journal)
    assert len(records) > 8
    return records


# The journal.


@BOUNDED
@given(st.text() | st.binary().map(lambda b: b.decode("latin-1")))
@example("1e999")
def test_a_journal_record_of_any_text_is_refused_in_words(text):
    with pytest.raises(RecordError):
        loads(Machine, text)


@BOUNDED
@given(data=st.data())
def test_a_journal_record_with_anything_in_it_is_refused_or_is_what_it_says(journaled, data):
    record = json.loads(data.draw(st.sampled_from(journaled)))
    here, key = record, None
    while isinstance(here, dict | list) and here:
        keys = sorted(here) if isinstance(here, dict) else range(len(here))
        key = data.draw(st.sampled_from(list(keys)))
        if not isinstance(here[key], dict | list) or data.draw(st.booleans()):
            break
        here = here[key]
    if key is not None and isinstance(here, dict | list) and len(here):
        here[key] = data.draw(ANYTHING)
    try:
        machine = loads(Machine, json.dumps(record))
        again = dumps(machine)
    except RecordError:
        return
    assert loads(Machine, again) == machine


def test_brackets_without_end_are_refused_in_words():
    for text in ("[" * 100_000, '{"a":' * 100_000):
        with pytest.raises(RecordError) as refused:
            loads(Machine, text)
        assert len(str(refused.value)) < 200
        refused_or_read(text)


# The configuration.


def refused_or_read(text: str) -> None:
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / "config.yaml"
        file.write_text(text, encoding="utf-8", errors="surrogatepass")
        try:
            load(file, check_files=False)
        except ConfigurationErrors as errors:
            assert str(errors)


@BOUNDED
@given(st.text())
@example("a: &a [*a]")
@example("clusters: {main: {nodes: !!python/object:os.system x}}")
def test_a_configuration_of_any_text_is_refused_in_words(text):
    refused_or_read(text)


@BOUNDED
@given(data=st.data())
def test_the_example_with_any_line_changed_is_read_or_refused_in_words(data):
    lines = (ROOT / "config.yaml").read_text().splitlines()
    n = data.draw(st.integers(0, len(lines) - 1))
    head, colon, _ = lines[n].partition(":")
    value = data.draw(st.text(max_size=20) | ANYTHING.map(lambda v: json.dumps(v, default=str)))
    lines[n] = f"{head}{colon} {value}" if data.draw(st.booleans()) else value
    refused_or_read("\n".join(lines))


# What a host answers.

NONCE = "0123456789abcdef"
CALL = Call(NodeName("pg1"), "status", {}, NONCE)
WHOLE = {
    "boot_id": "b", "uptime": "12.3", "user": "postgres", "directory_identity": "1:2",
    "system_identifier": "7", "control_state": "in production", "control_timeline": "1",
    "checkpoint_lsn": "0/3000028", "process": "10 S", "postmaster_pid": "10",
    "postmaster_started": "1", "listener": "yes", "guard": "none", "guard_epoch": "", "epoch": "0",
}  # fmt: skip


@BOUNDED
@given(st.none() | st.integers(-20, 300), st.text())
def test_an_answer_without_our_nonce_is_never_done(exit_status, output):
    answer = CALL.answer(exit_status, output, 0.1)
    assert not answer.done
    assert host_facts(answer, Instant(1.0)) is None


@BOUNDED
@given(st.sampled_from(sorted(WHOLE)), st.text(max_size=30) | st.sampled_from(
    ["nan", "inf", "-1", "1e400", "9" * 5000, "0/", "FFFFFFFFF/0", "yes", "ours", "S 10", "10"]
))  # fmt: skip
def test_facts_of_a_host_are_whole_and_finite_or_none_at_all(key, value):
    said = "".join(f"{k}={value if k == key else v}\n" for k, v in WHOLE.items())
    answer = CALL.answer(0, f"begin={NONCE}\n{said}nonce={NONCE}\n", 0.1)
    facts = host_facts(answer, Instant(1.0))
    if facts is not None:
        assert math.isfinite(facts.uptime_s)
        assert facts.boot_id
        assert dumps(facts)


@BOUNDED
@given(
    st.lists(st.sampled_from([*WHOLE, f"begin={NONCE}", f"nonce={NONCE}", "", "="]), max_size=30)
)
def test_an_answer_cut_and_mixed_in_any_way_gives_no_half_facts(parts):
    lines = [f"{part}={WHOLE[part]}" if part in WHOLE else part for part in parts]
    answer = CALL.answer(0, "\n".join(lines), 0.1)
    said = [line for line in lines if line]  # newlines behind the last line are no part of it
    assert answer.outcome is not Outcome.OK or said[-1:] == [f"nonce={NONCE}"]
    facts = host_facts(answer, Instant(1.0))
    if facts is not None:
        assert facts.system_identifier == "7"
        assert facts.listener


# What a server answers: what can be null in it may be.


def nullable(of: st.SearchStrategy[Any]) -> st.SearchStrategy[Any]:
    return st.none() | of


LSN = st.integers(0, 2**64 - 1).map(lambda n: f"{n >> 32:X}/{n & 0xFFFFFFFF:X}")
RECEIVER = nullable(st.fixed_dictionaries({
    "status": nullable(st.text(max_size=9)), "sender_host": nullable(st.text(max_size=9)),
    "sender_port": nullable(st.integers(0, 65535)), "age": nullable(st.floats(-1e9, 1e9)),
}).map(json.dumps))  # fmt: skip
SENDERS = st.lists(st.fixed_dictionaries({
    "application_name": nullable(st.text(max_size=9)),
    "client_address": nullable(st.text(max_size=9)), "state": nullable(st.text(max_size=9)),
    "sync_state": nullable(st.text(max_size=9)), "flush_lsn": nullable(LSN),
}), max_size=3).map(json.dumps)  # fmt: skip
SLOTS = st.lists(st.fixed_dictionaries({
    "slot_name": st.text(max_size=9), "active": st.booleans(), "logical": st.booleans(),
    "failover": st.booleans(), "synced": st.booleans(), "temporary": st.booleans(),
    "wal_status": nullable(st.text(max_size=9)), "retained": nullable(st.integers()),
}), max_size=3).map(json.dumps)  # fmt: skip
ROW = st.fixed_dictionaries({
    "system_identifier": st.text(max_size=20), "in_recovery": st.booleans(),
    "version": st.integers(0, 10**7), "started": st.text(max_size=12),
    "backend_pid": st.integers(), "data_directory": nullable(st.text(max_size=20)),
    "written_lsn": nullable(LSN), "timeline": nullable(st.integers(-(2**31), 2**31)),
    "received_lsn": nullable(LSN), "replayed_lsn": nullable(LSN), "replay_paused": st.booleans(),
    "read_only": st.booleans(), "receiver": RECEIVER, "senders": SENDERS, "slots": SLOTS,
    "synchronous_standby_names": st.text(max_size=30), "sync_waiters": st.integers(0, 9999),
    "primary_slot_name": st.text(max_size=20), "apply_delay": nullable(st.integers(0, 2**31)),
    "limits": st.dictionaries(st.text(max_size=9), st.integers(0, 9999)).map(json.dumps),
    "position_unknown": st.booleans(), "recovery_target": st.booleans(),
    "replay_lag": nullable(st.floats(-1e9, 1e9)),
    "upstream": nullable(st.fixed_dictionaries({
        "host": nullable(st.text(max_size=9)),
        "port": nullable(st.integers(0, 99999).map(str))}).map(json.dumps)),
})  # fmt: skip


@BOUNDED
@given(ROW)
def test_a_row_of_a_server_with_anything_null_is_read_and_can_be_journaled(row):
    facts = server_facts(row, Instant(1.0))
    assert dumps(facts)
    assert facts.receiver is None or facts.receiver.status is not None


# What is told to Prometheus.


@BOUNDED
@given(st.text(max_size=20), st.lists(st.text(min_size=1, max_size=20), min_size=1, max_size=3))
def test_metrics_of_any_names_are_read_back_as_they_are(cluster, names):
    metrics = Metrics()
    policy = Policy(nodes={NodeName(n): NodePolicy(n) for n in names})
    metrics.seed(cluster, policy, {})
    found = {
        sample.labels["node"]
        for family in text_string_to_metric_families(b"".join(metrics.exposition()).decode())
        for sample in family.samples
        if sample.name == "failoverd_node_up" and sample.labels["cluster"] == cluster
    }
    assert found == set(names)
