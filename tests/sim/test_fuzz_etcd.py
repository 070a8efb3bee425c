"""Whatever etcd answers, and whatever stands in it: a refusal in words, and never a traceback.

What nobody expected ends the daemon; so nothing that somebody else has written may be that.
"""

from __future__ import annotations

import asyncio
import base64
import contextlib
import json
import math
import re
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from failoverd.core.events import Trigger
from failoverd.core.incident import Entry, EntryKind
from failoverd.core.leadership import Lease, Term, may_act
from failoverd.core.model import ClusterView, DaemonReport, Instant
from failoverd.core.situation import Machine
from failoverd.core.states import StateName
from failoverd.daemon.lease import LeaseKept
from failoverd.daemon.told_in_etcd import Shared, read_named, read_said, read_shared
from failoverd.daemon.told_so_far import ToldSoFar
from failoverd.record.codec import RecordError, dumps, encode
from failoverd.transport.etcd import Beside, Etcd, EtcdClient, EtcdFailed, Granted, Kept, Refused

BOUNDED = settings(
    max_examples=150, deadline=None, suppress_health_check=list(HealthCheck), derandomize=True
)
NUMBERS = st.sampled_from(
    [0, -1, 1, 2**63, 10**400, 1e300, math.inf, -math.inf, math.nan, True, "7", "-7", "²", "1e9",
     "9" * 5000]
)  # fmt: skip
ANYTHING = st.recursive(
    NUMBERS | st.none() | st.text(max_size=12),
    lambda inner: (
        st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner, max_size=3)
    ),
    max_leaves=6,
)  # fmt: skip
DEEP = "[" * 100_000


def coded(text: str) -> str:
    return base64.b64encode(text.encode()).decode()


LEADER = {"key": coded("/t/main/leader"), "value": coded('{"name": "a"}'),
          "create_revision": "5", "mod_revision": "5", "lease": "77"}  # fmt: skip
WHOLE: dict[str, object] = {
    "header": {"revision": "9"}, "ID": "77", "TTL": "5", "token": "t.1", "succeeded": True,
    "result": {"ID": "77", "TTL": "5"}, "kvs": [LEADER], "count": "1",
    "responses": [{"response_range": {"kvs": [LEADER]}}],
    "error": "etcdserver: no leader", "message": "etcdserver: no leader", "code": 14,
}  # fmt: skip
RIGHT = sorted(set(WHOLE) - {"error", "message", "code"})


# What a member answers.


class OddMember:
    """Answers each question with the status and the bytes that it was given."""

    def __init__(self) -> None:
        member = self
        self.status, self.says = 200, b""

        class Answering(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                self.rfile.read(int(self.headers["Content-Length"]))
                self.send_response(member.status)
                self.send_header("Content-Length", str(len(member.says)))
                self.end_headers()
                self.wfile.write(member.says)

            def log_message(self, format: str, *args: object) -> None:  # noqa: A002
                pass

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Answering)
        self._server.daemon_threads = True
        self.url = f"http://127.0.0.1:{self._server.server_address[1]}"
        threading.Thread(target=self._server.serve_forever, daemon=True).start()

    def close(self) -> None:
        self._server.shutdown()
        self._server.server_close()


@pytest.fixture(scope="module")
def member() -> Iterator[OddMember]:
    odd = OddMember()
    yield odd
    odd.close()


async def asked_everything(url: str, user: str | None) -> list[object]:
    """What came of each question that there is."""
    client = EtcdClient(Etcd((url,), None, user, lambda: "secret"))
    answers: list[object] = []
    for question in (
        lambda: client.grant(5, 2.0),
        lambda: client.keep_alive(77, 2.0),
        lambda: client.read("/t/main/", 2.0),
        lambda: client.claim("/t/main/leader", "{}", 77, 2.0),
        lambda: client.write_if(("/t/main/leader", 5), ("/t/main/machine", 9), "{}", Beside(), 2.0),
        lambda: client.put("/t/main/daemons/x", "{}", 77, 2.0),
        lambda: client.give_up("/t/main/leader", 5, 2.0),
        lambda: client.revoke(77, 2.0),
    ):
        try:
            answers.append(await question())
        except EtcdFailed as failed:
            assert str(failed)
            assert "secret" not in str(failed)
    await client.close()
    return answers


def usable(answers: list[object]) -> None:
    """What is believed of an answer can be counted with."""
    for one in answers:
        match one:
            case Granted(lease=lease, ttl_s=ttl_s):
                assert type(lease) is int
                assert lease > 0
                assert 0 <= ttl_s < math.inf
            case bool() | None:
                pass
            case int() | float():
                assert 0 <= one < 2**63
            case Refused(found=found):
                usable([found])
            case dict():
                assert all(isinstance(kept, Kept) for kept in one.values())
            case _:
                pytest.fail(f"nothing that a client answers: {one!r}")


@BOUNDED
@given(
    body=st.binary(max_size=80) | ANYTHING.map(lambda v: json.dumps(v).encode()),
    status=st.sampled_from([200, 204, 301, 400, 401, 404, 500, 503]),
    user=st.sampled_from([None, "failoverd"]),
)
@example(body=DEEP.encode(), status=200, user=None)
@example(body=b"", status=200, user=None)
@example(body=b"\xff{}", status=200, user=None)
def test_an_answer_of_any_bytes_is_a_failure_in_words_or_nothing_worse(member, body, status, user):
    member.status, member.says = status, body
    usable(asyncio.run(asked_everything(member.url, user)))


@BOUNDED
@given(
    changed=st.dictionaries(st.sampled_from(sorted(WHOLE)), ANYTHING, max_size=4),
    left_out=st.sets(st.sampled_from(RIGHT), max_size=3),
    status=st.sampled_from([200, 400, 503]),
    user=st.sampled_from([None, "failoverd"]),
)
@example(changed={"ID": math.inf}, left_out=set(), status=200, user=None)
@example(changed={"TTL": 10**400}, left_out=set(), status=200, user=None)
@example(changed={"ID": 0}, left_out=set(), status=200, user=None)
@example(changed={"token": "a\r\nX: y"}, left_out=set(), status=200, user="failoverd")
@example(changed={"succeeded": 0, "responses": [7]}, left_out=set(), status=200, user=None)
@example(changed={"succeeded": 0, "responses": None}, left_out=set(), status=200, user=None)
@example(changed={"code": []}, left_out=set(), status=400, user=None)
@example(changed={"kvs": None}, left_out=set(), status=200, user=None)
@example(changed={"header": None}, left_out=set(), status=200, user=None)
def test_an_answer_with_anything_in_it_is_understood_or_refused_in_words(
    member, changed, left_out, status, user
):
    said = {key: WHOLE[key] for key in RIGHT if key not in left_out} | changed
    member.status, member.says = status, json.dumps(said).encode()
    usable(asyncio.run(asked_everything(member.url, user)))


@BOUNDED
@given(spoilt=st.sampled_from(sorted(LEADER)), value=ANYTHING)
def test_a_key_of_which_anything_is_odd_is_understood_or_refused_in_words(member, spoilt, value):
    odd = {**LEADER, spoilt: value}
    said = {**WHOLE, "kvs": [odd], "responses": [{"response_range": {"kvs": [odd]}}]}
    for key in ("error", "message", "code"):
        said.pop(key)
    for succeeded in (True, False):
        member.status, member.says = 200, json.dumps({**said, "succeeded": succeeded}).encode()
        usable(asyncio.run(asked_everything(member.url, None)))


@BOUNDED
@given(changed=st.dictionaries(st.sampled_from(["ID", "TTL", "result"]), ANYTHING, max_size=3))
@example(changed={"TTL": 10**400})
@example(changed={"TTL": "3000000000"})
@example(changed={"ID": "0"})
def test_a_lease_is_never_longer_than_was_asked_for_and_never_one_without_a_number(member, changed):
    right = {key: WHOLE[key] for key in ("ID", "TTL", "result")}
    member.status, member.says = 200, json.dumps({**right, **changed}).encode()

    async def renewed() -> LeaseKept:
        client = EtcdClient(Etcd((member.url,)))
        lease = LeaseKept(client, 5.0)
        await lease._renew()
        await lease._renew()
        await client.close()
        return lease

    lease = asyncio.run(renewed())
    held = Lease(Term(1), lease.renewed_at, lease.ttl_s)
    assert lease.id >= 0
    assert lease.id or lease.failing
    assert not may_act(held, Instant(lease.renewed_at + 5.0))


# What stands in it, written by whoever can.

SHARED = {"version": 1, "group": "c0ffee", "terms_from": 3}
SAID = {"name": "monitor2", "primary": "pg1", "heard": True, "blind": False, "age_s": 0.2}


def kept(text: str) -> Kept:
    return Kept(text, 5, 9, 0)


@BOUNDED
@given(text=st.text(max_size=40) | ANYTHING.map(json.dumps))
@example(text=DEEP)
@example(text="")
def test_a_value_of_any_text_is_read_or_refused_in_words(text):
    with contextlib.suppress(RecordError):
        assert isinstance(read_shared(kept(text)), Shared)
    name, address = read_named(kept(text))
    assert (name + address).isprintable()
    said = read_said(text, Instant(100.0))
    assert said is None or isinstance(said, DaemonReport)


@BOUNDED
@given(changed=st.dictionaries(st.sampled_from([*SAID, "address"]), ANYTHING, max_size=3))
@example(changed={"age_s": math.inf})
@example(changed={"age_s": 10**400})
@example(changed={"age_s": math.nan})
@example(changed={"age_s": True})
@example(changed={"name": "a\nb", "address": "http://x/\x1b[31m"})
@example(changed={"primary": "\ud800"})
def test_what_another_daemon_says_can_be_journaled_or_is_not_believed(changed):
    text = json.dumps({**SAID, **changed})
    said = read_said(text, Instant(100.0))
    if said is not None:
        assert dumps(ClusterView({}, daemons={"x": said}))
        assert said.looked_at <= 100.0
        assert said.name.isprintable()
        assert len(said.name) <= 200
    name, address = read_named(kept(text))
    assert (name + address).isprintable()
    assert len(name + address) <= 400


@BOUNDED
@given(
    changed=st.dictionaries(st.sampled_from([*SHARED, "machine"]), ANYTHING, max_size=3),
    left_out=st.sets(st.sampled_from([*SHARED, "machine"]), max_size=2),
)
@example(changed={"version": math.inf}, left_out=set())
@example(changed={"terms_from": 10**400}, left_out=set())
@example(changed={"terms_from": True}, left_out=set())
@example(changed={"group": "a b; c"}, left_out=set())
@example(changed={"machine": DEEP}, left_out=set())
def test_a_shared_journal_with_anything_in_it_names_a_group_and_a_term_or_is_refused_in_words(
    changed, left_out
):
    whole = {**SHARED, "machine": dumps(Machine())}
    said = {key: value for key, value in whole.items() if key not in left_out} | changed
    try:
        shared = read_shared(kept(json.dumps(said)))
    except RecordError as refused:
        assert len(str(refused)) < 500
        return
    assert shared.held is not None
    assert re.fullmatch("[0-9A-Za-z]{1,64}", shared.held.group)
    assert type(shared.held.term) is int
    assert 0 <= shared.held.term < 2**53


TOLD = {"version": 1, "at": 1.7e9, "epoch": 3, "entry": encode(
    Entry(EntryKind.TRANSITION, StateName.SUSPECT, StateName.FENCING, Trigger.AUTOMATIC, "said")
)}  # fmt: skip


@BOUNDED
@given(
    changed=st.dictionaries(st.sampled_from([*TOLD, *TOLD["entry"]]), ANYTHING, max_size=2),
    key=st.sampled_from(["1-1/000001", "1-1/9", "1-1/x", "1-1/²", "", "/", "7"]),
)
@example(changed={"at": 1e999}, key="1-1/1")
@example(changed={"epoch": 2**63}, key="1-1/1")
@example(changed={"salvaged_bytes": True}, key="1-1/1")
def test_what_a_leader_has_told_can_be_journaled_by_the_next_one_or_is_left_out(changed, key):
    entry = {**TOLD["entry"], **{k: v for k, v in changed.items() if k in TOLD["entry"]}}
    said = {**TOLD, **{k: v for k, v in changed.items() if k in TOLD}, "entry": entry}
    told = ToldSoFar("/t/main/")
    for one in told.take_up({f"{told.below}{key}": kept(json.dumps(said))}):
        assert dumps(one.entry)
        assert 0 <= one.epoch < 2**63
        assert 0 <= one.at < 1e12
