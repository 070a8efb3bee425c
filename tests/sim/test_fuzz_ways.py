"""Whatever a pooler, a balancer or a name server answers: where it leads is told, or why it is not.

What nobody expected ends the daemon, and what never ends holds up all of it.
"""

from __future__ import annotations

import asyncio
import socket
import struct
from dataclasses import replace

import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from failoverd.core.effects import CloseTarget, Redirect
from failoverd.core.events import EffectFailed, Redirected, Replied, TargetClosed
from failoverd.core.model import Epoch, NodeName
from failoverd.effect.redirect.target import close_target, look_at, redirect
from failoverd.effect.way import DnsName, Haproxy, PgBouncer
from failoverd.record.codec import dumps
from failoverd.transport.dns import DnsZone
from failoverd.transport.haproxy import RuntimeApi
from failoverd.transport.postgres import SqlAddress
from tests.sim.test_fuzz_answers import LOGGED_IN, ODD, OddHost, OddServer, message
from tests.unit.vocabulary import PG1, PG2
from tests.unit.ways import COLUMNS, HOSTS, WAY, world

pytestmark = pytest.mark.filterwarnings(
    "ignore::pytest.PytestUnraisableExceptionWarning"  # asyncpg's, of connections half made
)
BOUNDED = settings(
    max_examples=120, deadline=None, suppress_health_check=list(HealthCheck), derandomize=True
)
PLACES = {name: (host, 5432) for name, host in HOSTS.items()}
LIMIT_S = 0.5
LONGER_THAN_ANY_S = 15.0


@pytest.fixture(scope="module")
def server():
    odd = OddServer()
    yield odd
    odd.close()


def comes_to_an_end(way):
    """Each thing that is asked of a way, within a time, with a result that can be journaled."""

    async def asked():
        around = world(way)
        async with asyncio.timeout(LONGER_THAN_ANY_S):
            report = await look_at(WAY, around)
            done = [
                (one, await act(one, around))
                for one, act in (
                    (Redirect(PG2, WAY, Epoch(3), 1), redirect),
                    (CloseTarget(PG1, WAY, Epoch(3)), close_target),
                )
            ]
        return report, done

    report, done = asyncio.run(asked())
    assert report is not None
    assert report.sentence
    for effect, result in done:
        assert isinstance(result, EffectFailed | Redirected | TargetClosed)
        assert result.evidence.sentence
        assert dumps(Replied(1, effect, result))
    return report


# PgBouncer.


def row_description(*names: str) -> bytes:
    columns = b"".join(name.encode() + b"\0" + bytes(18) for name in names)
    return message(b"T", struct.pack("!h", len(names)) + columns)


def data_row(*values: str) -> bytes:
    cells = b"".join(struct.pack("!i", len(v.encode())) + v.encode() for v in values)
    return message(b"D", struct.pack("!h", len(values)) + cells)


READY = message(b"Z", b"I")
NAMES = ("name", "host", "port", "paused")
SHOWN = row_description(*NAMES) + data_row("app", HOSTS[PG2], "5432", "0") + READY


class OddConsole(OddServer):
    """Lets in whoever asks, and answers each command with the bytes that it was given."""

    def _answer(self, connection: socket.socket) -> None:
        connection.settimeout(5)
        connection.recv(4096)
        connection.sendall(LOGGED_IN)
        while connection.recv(4096):
            connection.sendall(self.says)
            if not self.says:
                return


@pytest.fixture(scope="module")
def console():
    odd = OddConsole()
    yield odd
    odd.close()


def pooler(port: int) -> PgBouncer:
    return PgBouncer(
        admin=SqlAddress("127.0.0.1", port, "u", "pgbouncer", lambda: None, "disable"),
        host=OddHost({}, 0),
        file="/etc/pgbouncer/databases.ini",
        databases={"app": ""},
        addresses=PLACES,
        pause_timeout_s=0.05,
        timeout_s=0.1,
    )


@settings(BOUNDED, max_examples=40)
@given(said=ODD)
@example(said=SHOWN)
@example(said=b"")
@example(said=b"T\x00\x00\x00\x00")  # a length in which it does not find room itself
@example(said=b"T\xff\xff\xff\xff")
@example(said=b"D\x80\x00\x00\x00")
@example(said=b"T\x7f\xff\xff\xff" + bytes(2000))
@example(said=message(b"T", b""))
@example(said=message(b"T", b"\x00\x09name"))
@example(said=message(b"T", b"\x00\x01\xff\xff\x00" + bytes(18)))
@example(said=row_description("name") + data_row("app") + READY)
@example(said=row_description(*NAMES) + message(b"D", b"\x00\x02\x7f\xff\xff\xff") + READY)
@example(said=row_description(*NAMES) + message(b"D", b"") + READY)
@example(said=message(b"E", b"\xff\xff") + READY)
def test_a_pooler_that_answers_anything_is_told_of_in_words(console, said):
    console.says = said
    report = comes_to_an_end(pooler(console.port))
    assert said == SHOWN or not report.points_at


def test_a_pooler_that_answers_as_it_should_is_believed(console):
    console.says = SHOWN
    assert comes_to_an_end(replace(pooler(console.port), timeout_s=5.0)).points_at == {PG2}


# HAProxy.

FIELDS = st.sampled_from(["pg1", "pg2", "0", "2", "-1", "nan", "9" * 5000, "²", "-", "postgres"])
LINES = st.lists(FIELDS, max_size=26).map(" ".join)


@BOUNDED
@given(
    said=st.binary(max_size=80)
    | st.lists(LINES | st.just(COLUMNS), max_size=5).map(lambda found: "\n".join(found).encode())
)
@example(said=b"\xff" * 100)
def test_a_balancer_that_answers_anything_is_told_of_in_words(server, said):
    server.says = said
    api = RuntimeApi(None, "127.0.0.1", server.port)
    names = {PG1: "pg1", PG2: "pg2"}
    comes_to_an_end(Haproxy(api, "postgres", names, "", PLACES, LIMIT_S))
    comes_to_an_end(Haproxy(api, "postgres", {}, "pg1", PLACES, LIMIT_S))


# A name server.


def zone(port: int) -> DnsZone:
    return DnsZone("127.0.0.1", port, "example", "key", "hmac-sha256", lambda: "c2VjcmV0")


@BOUNDED
@given(body=st.binary(max_size=60), length=st.none() | st.integers(0, 65535))
@example(body=b"", length=None)
@example(body=b"\x00", length=40)
@example(body=bytes(12), length=None)
def test_a_name_server_that_answers_anything_is_told_of_in_words(server, body, length):
    server.says = struct.pack("!H", len(body) if length is None else length) + body
    way = DnsName(zone(server.port), "db", 5, dict(HOSTS), LIMIT_S)
    report = comes_to_an_end(way)
    assert not report.points_at
    assert NodeName("pg1") in way.addresses
