"""Whatever a host or a server answers to an effect: a result in words, and never a traceback.

A failure that nobody expected ends the daemon, so no answer from outside may be one.
"""

from __future__ import annotations

import asyncio
import contextlib
import itertools
import math
import socket
import struct
import threading

import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from failoverd.core.effects import (
    Checkpoint,
    Confirm,
    Effect,
    Fence,
    Freeze,
    KeepDown,
    MeasureDivergence,
    MeasureLoss,
    Promote,
    Quarantine,
    ReadSettings,
    Rejoin,
    Repoint,
    Retire,
    Salvage,
    StopMode,
    Thaw,
    Unguard,
)
from failoverd.core.events import Replied
from failoverd.core.lsn import Lsn
from failoverd.core.memory import Memory
from failoverd.core.model import (
    ClusterView,
    ControlState,
    Epoch,
    Evidence,
    FenceProof,
    Instant,
    NodeName,
    ProofKind,
    SavedSettings,
    SystemIdentifier,
    Timeline,
)
from failoverd.core.policy import StepLimits
from failoverd.daemon.clock import monotonic
from failoverd.effect.perform import perform
from failoverd.effect.replication import Replication
from failoverd.effect.world import Node, World
from failoverd.record.codec import dumps
from failoverd.transport.host import Call, HostAnswer
from failoverd.transport.postgres import SqlAddress, connect

pytestmark = pytest.mark.filterwarnings(
    "ignore::pytest.PytestUnraisableExceptionWarning"  # asyncpg's, of connections half made
)

BOUNDED = settings(
    max_examples=150, deadline=None, suppress_health_check=list(HealthCheck), derandomize=True
)
PG1, PG2 = NodeName("pg1"), NodeName("pg2")
EPOCH, AT, ONE = Epoch(1), Lsn.parse("0/3000148"), Timeline(1)
SAVED = SavedSettings((("primary_conninfo", "host=192.0.2.11"), ("primary_slot_name", None)))
PROOF = FenceProof(
    ProofKind.STOPPED, PG1, EPOCH, Instant(1e9), ControlState.UNKNOWN, None, Evidence("stopped")
)
EFFECTS: tuple[Effect, ...] = (
    *(Fence(PG1, mode, EPOCH, 0, AT) for mode in StopMode),
    ReadSettings(PG2, EPOCH),
    Freeze(PG2, EPOCH, SAVED),
    Thaw(PG2, EPOCH, SAVED),
    Salvage(PG1, PG2, None, AT, ONE, EPOCH),
    MeasureLoss(PG1, EPOCH, ONE, AT),
    Unguard(PG1, EPOCH),
    Quarantine(PG1, EPOCH),
    KeepDown(PG1, EPOCH),
    Rejoin(PG1, PG2, EPOCH),
    Rejoin(PG1, PG2, EPOCH, begun=True),
    Checkpoint(PG2, EPOCH),
    Repoint(PG1, PG2, EPOCH, SAVED),
    Retire(PG2, EPOCH, ONE),
    MeasureDivergence(PG1, PG2, ONE, Timeline(2)),
)
ARGUMENTS = {"data_dir": "/data", "bin_dir": "/bin", "port": "5432", "socket_dir": "/run"}
HURRIED = StepLimits(**dict.fromkeys(
    ("fence_s", "freeze_s", "promote_s", "start_s", "confirm_s", "checkpoint_s", "rejoin_s",
     "salvage_s"), 0.02,
))  # fmt: skip
LIKELY = {
    "boot_id": "b", "uptime": "12.3", "user": "postgres", "directory_identity": "1:2",
    "system_identifier": "7", "control_state": "in production", "control_timeline": "1",
    "checkpoint_lsn": "0/3000028", "process": "10 S", "postmaster_pid": "10",
    "postmaster_started": "1", "listener": "no", "guard": "ours", "guard_epoch": "1", "epoch": "1",
    "already_frozen": "yes", "saved_primary_conninfo_b64": "eA==", "position": "0/3000148",
    "timeline": "1", "in_recovery": "true", "in_recovery_under_guard": "yes", "frozen": "yes",
    "readable": "yes", "line_b64": "eA==", "parent": "1 0/3000000", "first_commit": "x",
    "last_commit": "x", "commits": "3", "complete": "yes", "command": "x", "end": "0/4000000",
    "wal_end": "0/3000200", "wal_timeline": "1", "last_record": "0/3000148", "answer": "server",
    "wal_segment": "16777216", "wal_block": "8192", "pages_from": "0/3000000", "pages_b64": "eA==",
    "phase": "ready", "running": "yes", "source": "pg2", "seconds": "3", "size_kb": "9",
    "copied_kb": "1", "total_kb": "2", "failure": "x", "history": "1", "tablespaces": "0",
    "method": "rewind", "kept": "x", "kept_down": "x", "reason": "x", "verdict": "here",
}  # fmt: skip
UNLIKELY = st.text(max_size=12) | st.sampled_from(
    ["nan", "inf", "-1", "1e400", "9" * 5000, "0/", "FFFFFFFFF/0", "yes", "\x00", "=", "gA==", "!",
     "²", "0/0", "1 2 3", "a b", "\ud800"]
)  # fmt: skip
SAID = st.dictionaries(st.sampled_from(sorted(LIKELY)), st.none() | UNLIKELY, max_size=5)


class OddHost:
    """Answers each call with exit status and nonce, and with whatever it was given to say."""

    node = PG1

    def __init__(self, said: dict[str, str | None], status: int) -> None:
        fields = {**LIKELY, **said}
        self._lines = "".join(f"{k}={v}\n" for k, v in fields.items() if v is not None)
        self._status = status

    async def call(self, verb, arguments, *, timeout_s) -> HostAnswer:
        call = Call(PG1, verb, arguments, "nonce")
        text = f"begin=nonce\n{self._lines}nonce=nonce\n"
        return call.answer(self._status, text, 0.001)

    async def fetch(self, verb, arguments, take, *, timeout_s) -> HostAnswer:
        with contextlib.suppress(ValueError):
            await take(self._lines.encode(errors="replace"))
        return await self.call(verb, arguments, timeout_s=timeout_s)

    async def feed(self, verb, arguments, blocks, *, timeout_s) -> HostAnswer:
        async for _ in blocks:
            pass
        return await self.call(verb, arguments, timeout_s=timeout_s)

    async def close(self) -> None:
        pass


def world(host: OddHost, port: int) -> World:
    address = SqlAddress("127.0.0.1", port, "failoverd", "postgres", lambda: "x", "disable")
    replication = Replication("replicator")
    nodes = {
        name: Node(name, host, address, ARGUMENTS, replication=replication) for name in (PG1, PG2)
    }
    memory = Memory(primary=PG1, system_identifier=SystemIdentifier("7"), timeline=ONE)
    return World(nodes, memory, ClusterView({}), HURRIED, monotonic, monotonic, 0.05)


ODDITIES = ("nan", "gA==", "!", "9" * 5000, "1e400", "\x00", "²", "-1")


@pytest.mark.parametrize("effect", EFFECTS, ids=lambda effect: type(effect).__name__)
def test_whatever_a_host_answers_an_effect_has_a_result_that_can_be_journaled(effect):
    """One answer at a time is odd: the others let it come as far as where that one is read."""

    async def all_of_them():
        for key, value in itertools.product(LIKELY, ODDITIES):
            odd = world(OddHost({key: value}, 0), 1)
            async with asyncio.timeout(20):
                result = await perform(effect, odd)
            assert dumps(Replied(1, effect, result)), (key, value)
            assert result.evidence.sentence, (key, value)

    asyncio.run(all_of_them())


@BOUNDED
@given(effect=st.sampled_from(EFFECTS), said=SAID, status=st.sampled_from([0, 1, 3, 5, 124]))
def test_an_answer_of_which_much_is_odd_has_a_result_too(effect, said, status):
    async def done():
        async with asyncio.timeout(20):
            return await perform(effect, world(OddHost(said, status), 1))

    assert dumps(asyncio.run(done()))


# What is no PostgreSQL, or a broken one, on the port.


class OddServer:
    """Answers each connection with the bytes that it was given, and hangs up."""

    def __init__(self) -> None:
        self.says = b""
        self._socket = socket.create_server(("127.0.0.1", 0))
        self.port = self._socket.getsockname()[1]
        threading.Thread(target=self._serve, daemon=True).start()

    def _serve(self) -> None:
        while True:
            try:
                connection, _ = self._socket.accept()
            except OSError:
                return
            with connection, contextlib.suppress(OSError):
                self._answer(connection)

    def _answer(self, connection: socket.socket) -> None:
        connection.settimeout(1)
        connection.recv(4096)
        connection.sendall(self.says)
        connection.shutdown(socket.SHUT_WR)
        while connection.recv(4096):
            pass

    def close(self) -> None:
        self._socket.close()


@pytest.fixture(scope="module")
def server():
    odd = OddServer()
    yield odd
    odd.close()


def message(kind: bytes, body: bytes) -> bytes:
    return kind + struct.pack("!I", len(body) + 4) + body


LOGGED_IN = (
    message(b"R", struct.pack("!I", 0))
    + message(b"S", b"server_version\x0015.1\x00")
    + message(b"S", b"client_encoding\x00UTF8\x00")
    + message(b"K", struct.pack("!II", 1, 2))
    + message(b"Z", b"I")
)
MESSAGES = st.builds(
    message, st.sampled_from([bytes([c]) for c in b"RSKZETDC12nNtXv"]), st.binary(max_size=30)
)
ODD = st.binary(max_size=60) | st.lists(MESSAGES, max_size=4).map(b"".join)


@BOUNDED
@given(ODD)
@example(b"HTTP/1.1 400 Bad Request\r\n\r\n")
@example(b"R\xff\xff\xff\xff")
@example(message(b"E", b"SFATAL\x00C\xff\xff\xff\x00M\xff\x00\x00"))
def test_what_is_no_postgresql_on_the_port_is_a_look_that_failed(server, said):
    server.says = said

    async def looked():
        address = SqlAddress("127.0.0.1", server.port, "u", "d", lambda: "x", "disable")
        async with asyncio.timeout(10):
            return await connect(address, monotonic, 2.0)

    look, session = asyncio.run(looked())
    assert session is None
    assert not look.ok
    assert math.isfinite(look.ended_at)
    assert dumps(look)


@BOUNDED
@given(ODD)
@example(b"")
@example(message(b"E", b"SERROR\x00CXXXXX\x00Mno\x00\x00"))
def test_a_server_that_loses_its_mind_after_the_login_promotes_and_confirms_nothing(server, said):
    server.says = LOGGED_IN + said

    async def done():
        asked = world(OddHost({}, 0), server.port)
        effects = (Promote(PG2, PROOF, AT, EPOCH), Confirm(PG2, ONE))
        async with asyncio.timeout(20):
            return [await perform(effect, asked) for effect in effects]

    for result in asyncio.run(done()):
        assert type(result).__name__ in ("EffectFailed", "StillAlive")
        assert dumps(result)
