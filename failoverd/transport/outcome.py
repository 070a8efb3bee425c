"""From failures to outcomes: the one table, for SQL, SSH and local processes.

Any well-formed PostgreSQL answer is a proof of life, except those with which a server
dies (53100, 58xxx, XX, and 42501 while connecting, which is how EROFS arrives). A file,
a certificate or a name that we cannot read is our own fault, and so are our descriptors
and our network. `TimeoutError` is an `OSError`, so it is sorted first.
Source: PostgreSQL documentation, "PostgreSQL Error Codes".
"""

from __future__ import annotations

import errno
import re
import socket
import ssl

import asyncpg
import asyncssh

from failoverd.core.model import Outcome

_BY_SQLSTATE: tuple[tuple[str, Outcome], ...] = (
    ("53300", Outcome.TOO_MANY_CONNECTIONS),
    ("57P01", Outcome.SHUTTING_DOWN),
    ("57P02", Outcome.SHUTTING_DOWN),
    ("28", Outcome.MISCONFIGURED),
    ("3D000", Outcome.MISCONFIGURED),
    ("42", Outcome.MISCONFIGURED),
    ("55000", Outcome.MISCONFIGURED),
    ("53100", Outcome.FAILING),
    ("58", Outcome.FAILING),
    ("XX", Outcome.FAILING),
)

_BY_ERRNO: dict[int, Outcome] = {
    errno.ECONNREFUSED: Outcome.REFUSED,
    errno.ENOENT: Outcome.REFUSED,  # no such Unix socket
    errno.ECONNRESET: Outcome.LOST,
    errno.ECONNABORTED: Outcome.LOST,
    errno.EPIPE: Outcome.LOST,
    errno.ENOTCONN: Outcome.LOST,
    errno.EHOSTUNREACH: Outcome.HOST_UNREACHABLE,
    errno.EHOSTDOWN: Outcome.HOST_UNREACHABLE,
    errno.ETIMEDOUT: Outcome.TIMED_OUT,
    errno.ENETUNREACH: Outcome.OUR_FAULT,
    errno.ENETDOWN: Outcome.OUR_FAULT,
    errno.EADDRNOTAVAIL: Outcome.OUR_FAULT,
    errno.EAGAIN: Outcome.OUR_FAULT,
    errno.EMFILE: Outcome.OUR_FAULT,
    errno.ENFILE: Outcome.OUR_FAULT,
    errno.ENOMEM: Outcome.OUR_FAULT,
    errno.ENOBUFS: Outcome.OUR_FAULT,
    errno.EACCES: Outcome.OUR_FAULT,
    errno.EPERM: Outcome.OUR_FAULT,
}

_STRONGEST_FIRST = (
    Outcome.REFUSED,
    Outcome.LOST,
    Outcome.TIMED_OUT,
    Outcome.HOST_UNREACHABLE,
    Outcome.UNKNOWN,
    Outcome.OUR_FAULT,
)
"""Of a name with several addresses: one that refused says more than one we have no route to."""

_SSH_MISCONFIGURED = (
    asyncssh.PermissionDenied,
    asyncssh.KeyExchangeFailed,
    asyncssh.IllegalUserName,
    asyncssh.ProtocolNotSupported,
    asyncssh.KeyImportError,
)


def sql_outcome(error: BaseException, *, connecting: bool) -> tuple[Outcome, str]:
    """What a failed connect or statement means, and the words that were heard."""
    match error:
        case asyncpg.PostgresError():
            return _answered(error, connecting=connecting), _words(error)
        case TimeoutError():
            return Outcome.TIMED_OUT, "no answer within the time limit"
        case asyncpg.exceptions.ClientConfigurationError():
            return Outcome.OUR_FAULT, _words(error)
        case asyncpg.exceptions.UnsupportedServerFeatureError():
            return Outcome.MISCONFIGURED, _words(error)
        case asyncpg.InterfaceError() | asyncpg.InternalClientError():
            return Outcome.LOST, _words(error)
        case _:
            return os_outcome(error), _words(error)


def _answered(error: asyncpg.PostgresError, *, connecting: bool) -> Outcome:
    state = error.sqlstate or ""
    if state in ("08000", "08001", "08003", "08006"):
        return _dropped(error, connecting=connecting)
    if state == "57P01" and _postmaster_died(error):
        return Outcome.LOST
    if state == "57P03":
        shutting_down = "shutting down" in str(error)
        return Outcome.SHUTTING_DOWN if shutting_down else Outcome.STARTING_UP
    if state == "42501" and (connecting or "Read-only file system" in str(error)):
        return Outcome.FAILING
    found = (outcome for prefix, outcome in _BY_SQLSTATE if state.startswith(prefix))
    return next(found, Outcome.REJECTED)


def _dropped(error: asyncpg.PostgresError, *, connecting: bool) -> Outcome:
    """Asyncpg itself says 08003; the server's last words, if it had any, are the cause."""
    cause = error.__cause__
    if isinstance(cause, asyncpg.PostgresError) and cause is not error:
        return _answered(cause, connecting=connecting)
    return Outcome.LOST


def _postmaster_died(error: asyncpg.PostgresError) -> bool:
    """A session that outlives its postmaster ends with 57P01, too: a crash, nobody's command.

    By the source file, since words are translated. Source: src/backend/libpq/be-secure.c.
    """
    told = getattr(error, "server_source_filename", None)
    return told == "be-secure.c" or "postmaster exit" in str(error)


def os_outcome(error: BaseException) -> Outcome:
    """What the operating system, or a library on top of it, said."""
    match error:
        case TimeoutError():
            return Outcome.TIMED_OUT
        case socket.gaierror():
            return Outcome.OUR_FAULT
        case ssl.SSLCertVerificationError():
            return Outcome.MISCONFIGURED
        case ssl.SSLEOFError() | ssl.SSLZeroReturnError() | ssl.SSLSyscallError():
            return Outcome.LOST
        case ssl.SSLError():
            alert = "ALERT" in (getattr(error, "reason", None) or "")
            return Outcome.MISCONFIGURED if alert else Outcome.OUR_FAULT
        case OSError(filename=str() | bytes()):
            return Outcome.OUR_FAULT  # a file of ours: connecting names none
        case OSError(errno=int(number)):
            return _BY_ERRNO.get(number, Outcome.UNKNOWN)
        case ConnectionError():
            return Outcome.MISCONFIGURED if "SSL" in str(error) else Outcome.LOST
        case OSError():
            return _of_several(error)
        case _:
            return Outcome.UNKNOWN


def _of_several(error: OSError) -> Outcome:
    """Of a name with several addresses asyncio names each failure in the text alone."""
    numbers = re.findall(r"\[Errno (\d+)\]", str(error))
    found = {_BY_ERRNO.get(int(number), Outcome.UNKNOWN) for number in numbers}
    return next((outcome for outcome in _STRONGEST_FIRST if outcome in found), Outcome.UNKNOWN)


def ssh_outcome(error: BaseException) -> tuple[Outcome, str]:
    """What a failed SSH connection or command means. None of it is ever "done"."""
    match error:
        case asyncssh.HostKeyNotVerifiable():
            return Outcome.MISCONFIGURED, f"host key not verifiable: {_words(error)}"
        case _ if isinstance(error, _SSH_MISCONFIGURED):
            return Outcome.MISCONFIGURED, f"no login: {_words(error)}"
        case asyncssh.ConnectionLost() | asyncssh.ChannelOpenError():
            return Outcome.LOST, _words(error)
        case asyncssh.Error():
            return Outcome.UNKNOWN, _words(error)
        case TimeoutError():
            return Outcome.TIMED_OUT, "no answer within the time limit"
        case _:
            return os_outcome(error), _words(error)


def _words(error: BaseException) -> str:
    said = str(error).strip().splitlines()
    state = getattr(error, "sqlstate", None)
    name = type(error).__name__
    words = said[0] if said else name
    return f"{words} ({state})" if state else words
