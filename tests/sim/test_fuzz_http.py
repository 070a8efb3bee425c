"""What is sent to the control socket is answered in words, and what is taken can be journaled."""

from __future__ import annotations

import asyncio
import contextlib
import http.client
import json
import socket
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from failoverd.core.events import Command, OperatorFailover, OperatorPause
from failoverd.core.model import WallTime
from failoverd.daemon.control import COMMANDS, serve_control
from failoverd.observability.live import Live
from failoverd.record.codec import dumps

BOUNDED = settings(
    max_examples=100, deadline=None, suppress_health_check=list(HealthCheck), derandomize=True
)
KEYS = ("to", "at", "for_s", "node", "reason", "drill", "accept_loss_bytes", "switchover")
NUMBERS = st.sampled_from([float("nan"), float("inf"), 1e300, 10**400, -1, 0, 1, True, 0.5, 2**63])
VALUES = NUMBERS | st.none() | st.text(max_size=8) | st.lists(st.integers(), max_size=2)
BODIES = st.dictionaries(st.sampled_from(KEYS), VALUES, max_size=4)
VERBS = [*COMMANDS, "rehearsal"]
PATHS = st.lists(
    st.sampled_from(["api", "v1", "clusters", "main", "incidents", "nodes", "pg1", "primary", "..",
                     "explanation", "%00", "%ff", "9" * 30, "²", "-1", "?format=text", ""]),
    max_size=7,
)  # fmt: skip


class Journaling:
    """Takes what a daemon takes, and journals it as a daemon does."""

    def __init__(self) -> None:
        self.taken: list[Command] = []
        self.live = Live(WallTime(0.0))

    async def submit(self, cluster: str, command: Command) -> str | None:
        self.taken.append(command)
        dumps(command)
        return None

    async def reload(self, by: str) -> str | None:
        return "nothing to reload"

    def rehearsal(self, cluster, order):
        return {"order": dumps(order)}

    def clusters(self):
        return ["main"]

    def status(self, cluster):
        return {"cluster": cluster, "state": "watching", "sentence": "", "nodes": {}}

    def ready(self, cluster):
        return True

    def metrics(self, wanted):
        return iter([b""])

    def incidents(self, cluster):
        return []

    def incident(self, cluster, epoch):
        assert epoch < 2**63
        return {} if epoch == 1 else None

    incident_report = explained = explained_in_words = incident


@pytest.fixture(scope="module")
def asked(tmp_path_factory) -> Iterator[tuple[Path, Journaling]]:
    path, target = tmp_path_factory.mktemp("control") / "control.sock", Journaling()
    loop = asyncio.new_event_loop()
    thread = threading.Thread(target=loop.run_forever)
    thread.start()
    runner = asyncio.run_coroutine_threadsafe(serve_control(target, path), loop).result(10)
    yield path, target
    asyncio.run_coroutine_threadsafe(runner.cleanup(), loop).result(10)
    loop.call_soon_threadsafe(loop.stop)
    thread.join()


def exchange(path: Path, request: bytes, *, say_no_more: bool = False) -> bytes:
    """All that comes back until the other end hangs up."""
    with socket.socket(socket.AF_UNIX) as connection:
        connection.settimeout(10)
        connection.connect(str(path))
        connection.sendall(request)
        if say_no_more:
            connection.shutdown(socket.SHUT_WR)
        with contextlib.suppress(ConnectionResetError):
            return b"".join(iter(lambda: connection.recv(65536), b""))
        return iter([b""])


def post(path: Path, verb: str, body: bytes, kind: str = "application/json") -> tuple[int, dict]:
    head = f"POST /api/v1/clusters/main/{verb} HTTP/1.1\r\nHost: x\r\nConnection: close\r\n"
    head += f"Content-Type: {kind}\r\nContent-Length: {len(body)}\r\n\r\n"
    return answered(exchange(path, head.encode() + body))


def answered(raw: bytes) -> tuple[int, dict]:
    head, _, body = raw.partition(b"\r\n\r\n")
    assert head.startswith(b"HTTP/1."), raw[:100]
    return int(head.split()[1]), json.loads(body) if b"application/json" in head else {}


def still_serves(path: Path) -> bool:
    status, said = answered(exchange(path, b"GET /healthz HTTP/1.0\r\n\r\n"))
    return status == http.client.OK and said["ok"]


@BOUNDED
@given(verb=st.sampled_from(VERBS), body=BODIES)
@example(verb="pause", body={"for_s": float("nan")})
@example(verb="pause", body={"for_s": 10**400})
@example(verb="switchover", body={"at": float("inf")})
@example(verb="failover", body={"accept_loss_bytes": True})
def test_what_is_asked_for_can_be_journaled_or_is_refused_in_words(asked, verb, body):
    path, target = asked
    before = len(target.taken)
    status, said = post(path, verb, json.dumps(body).encode())
    assert status in (200, 400), (status, said)
    if status == http.client.BAD_REQUEST:
        assert said["message"].startswith("bad request: ")
        assert len(target.taken) == before
    for command in target.taken[before:]:
        if isinstance(command, OperatorFailover):
            assert type(command.accept_loss_bytes) is not bool
        if isinstance(command, OperatorPause) and "for_s" in body:
            assert body["for_s"] is None or command.until is not None


@BOUNDED
@given(
    verb=st.sampled_from(VERBS),
    body=st.binary(max_size=60) | st.sampled_from([b"[" * 60_000, b"null", b"[]", b'"x"', b"NaN"]),
    kind=st.sampled_from(["application/json", "text/plain; charset=no-such", "x", ""]),
)
@example(verb="ack", body=b"{}", kind="application/json; charset=no-such")
@example(verb="ack", body=b"[" * 60_000, kind="application/json")
def test_a_body_of_any_bytes_is_answered_in_words(asked, verb, body, kind):
    path, _ = asked
    status, said = post(path, verb, body, kind)
    assert status in (200, 400), (status, said)
    assert said


@BOUNDED
@given(st.binary(max_size=200) | st.binary(max_size=80).map(lambda b: b"GET /" + b + b"\r\n\r\n"))
def test_bytes_that_are_no_request_leave_the_daemon_serving(asked, request_bytes):
    path, _ = asked
    exchange(path, request_bytes, say_no_more=True)
    assert still_serves(path)


@BOUNDED
@given(first=st.sampled_from(["api", "clusters", "primary", "replica"]), parts=PATHS)
def test_no_path_is_an_error_of_ours(asked, first, parts):
    path, _ = asked
    target = f"/{'/'.join([first, *parts])}".encode()
    status, _ = answered(exchange(path, b"GET " + target + b" HTTP/1.0\r\n\r\n"))
    assert status < http.client.INTERNAL_SERVER_ERROR


def test_a_request_too_large_is_refused_in_words(asked):
    path, _ = asked
    status, said = post(path, "ack", b'{"x": "' + b"a" * 3_000_000 + b'"}')
    assert status == http.client.REQUEST_ENTITY_TOO_LARGE
    assert said["message"]
