"""The one table from failures to outcomes: made-up errors, and real ones where they come easily."""

import asyncio
import errno
import socket
import ssl
import time

import asyncpg
import asyncssh
import pytest

from failoverd.core.model import SILENT, SPOKE, Instant, Outcome
from failoverd.transport.outcome import os_outcome, sql_outcome, ssh_outcome
from failoverd.transport.postgres import SqlAddress, connect


def said(sqlstate, message="words", **told):
    """An error as a server sends it."""
    return asyncpg.PostgresError.new({"S": "FATAL", "C": sqlstate, "M": message, **told})


def dropped(cause=None):
    """An error as asyncpg makes it when a session ends under a statement."""
    error = asyncpg.ConnectionDoesNotExistError("connection was closed in the middle of operation")
    error.__cause__ = cause
    return error


@pytest.mark.parametrize(
    ("sqlstate", "message", "outcome"),
    [
        ("57P03", "the database system is starting up", Outcome.STARTING_UP),
        ("57P03", "the database system is in recovery mode", Outcome.STARTING_UP),
        ("57P03", "the database system is not yet accepting connections", Outcome.STARTING_UP),
        ("57P03", "das Datenbanksystem startet", Outcome.STARTING_UP),
        ("57P03", "the database system is shutting down", Outcome.SHUTTING_DOWN),
        ("57P01", "terminating connection due to administrator command", Outcome.SHUTTING_DOWN),
        ("57P02", "terminating connection because of crash", Outcome.SHUTTING_DOWN),
        ("53300", "sorry, too many clients already", Outcome.TOO_MANY_CONNECTIONS),
        ("28P01", "password authentication failed", Outcome.MISCONFIGURED),
        ("28000", "no pg_hba.conf entry", Outcome.MISCONFIGURED),
        ("3D000", 'database "x" does not exist', Outcome.MISCONFIGURED),
        ("55000", "database is not accepting connections", Outcome.MISCONFIGURED),
        ("53100", "could not write to file: No space left on device", Outcome.FAILING),
        ("58030", "could not read file", Outcome.FAILING),
        ("58P01", "could not open file", Outcome.FAILING),
        ("XX000", "internal error", Outcome.FAILING),
        ("XX001", "invalid page", Outcome.FAILING),
        ("25006", "cannot execute in a read-only transaction", Outcome.REJECTED),
        ("57014", "canceling statement due to statement timeout", Outcome.REJECTED),
        ("53200", "out of memory", Outcome.REJECTED),
        ("08P01", "unsupported frontend protocol", Outcome.REJECTED),
        ("ZZ999", "of a class that nobody knows", Outcome.REJECTED),
    ],
)
@pytest.mark.parametrize("connecting", [True, False])
def test_what_a_server_answers_is_sorted_by_its_sqlstate(sqlstate, message, outcome, connecting):
    found, words = sql_outcome(said(sqlstate, message), connecting=connecting)
    assert found is outcome
    assert words == f"{message} ({sqlstate})"
    assert found in SPOKE or found is Outcome.FAILING


def test_a_permission_that_is_missing_while_connecting_is_a_file_system_that_is_dying():
    assert sql_outcome(said("42501"), connecting=True)[0] is Outcome.FAILING
    assert sql_outcome(said("42501"), connecting=False)[0] is Outcome.MISCONFIGURED
    read_only = said("42501", 'could not open file "base/5/1": Read-only file system')
    assert sql_outcome(read_only, connecting=False)[0] is Outcome.FAILING


@pytest.mark.parametrize(
    ("error", "outcome"),
    [
        (dropped(), Outcome.LOST),
        (dropped(ConnectionResetError(errno.ECONNRESET, "reset")), Outcome.LOST),
        (dropped(said("57P01", "due to administrator command")), Outcome.SHUTTING_DOWN),
        (dropped(said("57P01", "due to unexpected postmaster exit")), Outcome.LOST),
        (dropped(said("57P01", "wegen ...", F="be-secure.c")), Outcome.LOST),
        (dropped(said("57P01", "aufgrund ...", F="postgres.c")), Outcome.SHUTTING_DOWN),
        (said("57P01", "due to unexpected postmaster exit"), Outcome.LOST),
        (dropped(said("53100")), Outcome.FAILING),
    ],
)
def test_of_a_dropped_session_the_last_words_count(error, outcome):
    assert sql_outcome(error, connecting=False)[0] is outcome


@pytest.mark.parametrize(
    ("error", "outcome"),
    [
        (TimeoutError(), Outcome.TIMED_OUT),
        (TimeoutError(errno.ETIMEDOUT, "timed out"), Outcome.TIMED_OUT),
        (asyncpg.InterfaceError("connection is closed"), Outcome.LOST),
        (asyncpg.InternalClientError("cannot switch to state 12"), Outcome.LOST),
        (asyncpg.exceptions.ClientConfigurationError("bad sslmode"), Outcome.OUR_FAULT),
        (asyncpg.exceptions.UnsupportedServerFeatureError("GSSAPI"), Outcome.MISCONFIGURED),
        (ConnectionRefusedError(errno.ECONNREFUSED, "refused"), Outcome.REFUSED),
        (OSError(errno.EHOSTUNREACH, "no route to host"), Outcome.HOST_UNREACHABLE),
        (OSError(errno.ENETUNREACH, "network is unreachable"), Outcome.OUR_FAULT),
        (OSError(errno.EMFILE, "too many open files"), Outcome.OUR_FAULT),
        (socket.gaierror(socket.EAI_NONAME, "unknown name"), Outcome.OUR_FAULT),
        (ConnectionResetError(errno.ECONNRESET, "reset"), Outcome.LOST),
        (BrokenPipeError(errno.EPIPE, "broken pipe"), Outcome.LOST),
        (ConnectionError("PostgreSQL server at x rejected SSL upgrade"), Outcome.MISCONFIGURED),
        (ConnectionError("unexpected connection_lost() call"), Outcome.LOST),
        (ssl.SSLCertVerificationError(1, "certificate verify failed"), Outcome.MISCONFIGURED),
        (ssl.SSLEOFError(8, "EOF occurred in violation of protocol"), Outcome.LOST),
        (ssl.SSLError(1, "[X509] no certificate found"), Outcome.OUR_FAULT),
        (FileNotFoundError(errno.ENOENT, "no such file", "/etc/password"), Outcome.OUR_FAULT),
        (PermissionError(errno.EACCES, "permission denied"), Outcome.OUR_FAULT),
        (OSError("of no number"), Outcome.UNKNOWN),
        (RuntimeError("of no kind"), Outcome.UNKNOWN),
    ],
)
def test_what_is_not_an_answer_is_silence_or_our_own_fault(error, outcome):
    assert sql_outcome(error, connecting=True)[0] is outcome


@pytest.mark.parametrize(
    ("numbers", "outcome"),
    [
        ((111, 111), Outcome.REFUSED),
        ((101, 111), Outcome.REFUSED),
        ((113, 101), Outcome.HOST_UNREACHABLE),
        ((101, 101), Outcome.OUR_FAULT),
    ],
)
def test_of_a_name_with_several_addresses_the_strongest_word_counts(numbers, outcome):
    failures = ", ".join(f"[Errno {number}] Connect call failed ('x', 1)" for number in numbers)
    assert os_outcome(OSError(f"Multiple exceptions: {failures}")) is outcome


def test_no_failure_of_ours_counts_as_silence_of_a_server():
    assert Outcome.OUR_FAULT not in SILENT | SPOKE


@pytest.mark.parametrize(
    ("error", "outcome"),
    [
        (asyncssh.HostKeyNotVerifiable("untrusted"), Outcome.MISCONFIGURED),
        (asyncssh.PermissionDenied("no"), Outcome.MISCONFIGURED),
        (asyncssh.KeyExchangeFailed("no common algorithm"), Outcome.MISCONFIGURED),
        (asyncssh.KeyImportError("not a key"), Outcome.MISCONFIGURED),
        (asyncssh.ConnectionLost("gone"), Outcome.LOST),
        (asyncssh.ChannelOpenError(1, "too many sessions"), Outcome.LOST),
        (asyncssh.ProtocolError("what?"), Outcome.UNKNOWN),
        (TimeoutError(), Outcome.TIMED_OUT),
        (ConnectionRefusedError(errno.ECONNREFUSED, "refused"), Outcome.REFUSED),
        (OSError(errno.EHOSTUNREACH, "no route to host"), Outcome.HOST_UNREACHABLE),
        (FileNotFoundError(errno.ENOENT, "no such file", "/etc/key"), Outcome.OUR_FAULT),
    ],
)
def test_ssh_failures_are_sorted_and_none_is_done(error, outcome):
    found, words = ssh_outcome(error)
    assert found is outcome
    assert words


def address(host, port):
    return SqlAddress(host, port, "failoverd", "postgres", lambda: "secret", sslmode="disable")


async def outcome_of(host, port, timeout_s=5.0):
    look, session = await connect(address(host, port), lambda: Instant(time.monotonic()), timeout_s)
    assert session is None
    return look.outcome


async def test_a_closed_port_refuses():
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        assert await outcome_of("127.0.0.1", taken.getsockname()[1]) is Outcome.REFUSED


async def test_a_name_with_two_addresses_that_both_refuse_refuses(monkeypatch):
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        port = taken.getsockname()[1]
        loop = asyncio.get_running_loop()

        async def two_addresses(*_arguments, **_options):
            kind = (socket.AF_INET, socket.SOCK_STREAM, socket.IPPROTO_TCP, "")
            return [(*kind, (f"127.0.0.{n}", port)) for n in (1, 2)]

        monkeypatch.setattr(loop, "getaddrinfo", two_addresses)
        assert await outcome_of("db.example", port) is Outcome.REFUSED


async def test_no_socket_file_refuses(tmp_path):
    assert await outcome_of(str(tmp_path), 5432) is Outcome.REFUSED


@pytest.mark.parametrize("name", ["a" * 64, "no..name"])
async def test_a_name_that_cannot_be_one_is_an_outcome_and_no_traceback(name):
    assert await outcome_of(name, 5432) is not Outcome.OK


async def test_a_port_behind_which_nobody_answers_times_out():
    with socket.socket() as silent:
        silent.bind(("127.0.0.1", 0))
        silent.listen()
        assert await outcome_of(*silent.getsockname(), timeout_s=0.2) is Outcome.TIMED_OUT


async def test_a_server_that_hangs_up_is_lost():
    server = await asyncio.start_server(lambda _, writer: writer.close(), "127.0.0.1", 0)
    async with server:
        assert await outcome_of(*server.sockets[0].getsockname()) is Outcome.LOST


async def test_a_password_file_that_is_missing_is_our_fault(tmp_path):
    missing = SqlAddress("127.0.0.1", 1, "failoverd", "postgres", (tmp_path / "password").read_text)
    look, _ = await connect(missing, lambda: Instant(time.monotonic()), 5.0)
    assert look.outcome is Outcome.OUR_FAULT
