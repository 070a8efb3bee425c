"""From failures to outcomes: the one table, for SQL, SSH and local processes.

Any well-formed PostgreSQL answer is a proof of life, except those with which a server
dies (53100, 58xxx, XX, and 42501 while connecting, which is how EROFS arrives).
`TimeoutError` is an `OSError`, so it is sorted first.
"""

from __future__ import annotations

import errno
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
    errno.EHOSTUNREACH: Outcome.HOST_UNREACHABLE,
    errno.EHOSTDOWN: Outcome.HOST_UNREACHABLE,
    errno.ETIMEDOUT: Outcome.TIMED_OUT,
    errno.ENETUNREACH: Outcome.OUR_FAULT,
    errno.ENETDOWN: Outcome.OUR_FAULT,
    errno.EADDRNOTAVAIL: Outcome.OUR_FAULT,
    errno.EMFILE: Outcome.OUR_FAULT,
    errno.ENFILE: Outcome.OUR_FAULT,
    errno.ENOMEM: Outcome.OUR_FAULT,
    errno.ENOBUFS: Outcome.OUR_FAULT,
    errno.EACCES: Outcome.OUR_FAULT,
    errno.EPERM: Outcome.OUR_FAULT,
}


def sql_outcome(error: BaseException, *, connecting: bool) -> tuple[Outcome, str]:
    """What a failed connect or statement means, and the words that were heard."""
    if isinstance(error, asyncpg.PostgresError):
        return _answered(error, connecting=connecting), _words(error)
    if isinstance(error, TimeoutError):
        return Outcome.TIMED_OUT, "no answer within the time limit"
    if isinstance(error, (asyncpg.InterfaceError, asyncpg.InternalClientError)):
        return Outcome.LOST, _words(error)
    return os_outcome(error), _words(error)


def _answered(error: asyncpg.PostgresError, *, connecting: bool) -> Outcome:
    state = error.sqlstate or ""
    if state.startswith("08"):
        cause = error.__cause__
        if isinstance(cause, asyncpg.PostgresError) and cause is not error:
            said = _answered(cause, connecting=connecting)
            # A crash ends sessions with 57P01, too; a shutdown says "administrator command".
            by_administrator = "administrator command" in str(cause)
            return said if said is not Outcome.SHUTTING_DOWN or by_administrator else Outcome.LOST
        return Outcome.LOST
    if state == "57P03":
        shutting_down = "shutting down" in str(error)
        return Outcome.SHUTTING_DOWN if shutting_down else Outcome.STARTING_UP
    if state == "42501" and connecting:
        return Outcome.FAILING
    found = (outcome for prefix, outcome in _BY_SQLSTATE if state.startswith(prefix))
    return next(found, Outcome.REJECTED)


def os_outcome(error: BaseException) -> Outcome:
    """What the operating system, or a library on top of it, said."""
    match error:
        case TimeoutError():
            return Outcome.TIMED_OUT
        case socket.gaierror():
            return Outcome.OUR_FAULT
        case ssl.SSLCertVerificationError():
            return Outcome.MISCONFIGURED
        case ssl.SSLError():
            return Outcome.LOST
        case OSError(errno=int(number)):
            return _BY_ERRNO.get(number, Outcome.UNKNOWN)
        case ConnectionError():
            return Outcome.MISCONFIGURED if "SSL" in str(error) else Outcome.LOST
        case OSError():
            return Outcome.UNKNOWN
        case _:
            return Outcome.UNKNOWN


def ssh_outcome(error: BaseException) -> tuple[Outcome, str]:
    """What a failed SSH connection or command means. None of it is ever "done"."""
    match error:
        case asyncssh.HostKeyNotVerifiable():
            return Outcome.MISCONFIGURED, f"host key not verifiable: {_words(error)}"
        case asyncssh.PermissionDenied():
            return Outcome.MISCONFIGURED, f"login refused: {_words(error)}"
        case asyncssh.ConnectionLost() | asyncssh.ChannelOpenError():
            return Outcome.LOST, _words(error)
        case asyncssh.Error():
            return Outcome.UNKNOWN, _words(error)
        case _:
            return os_outcome(error), _words(error)


def _words(error: BaseException) -> str:
    said = str(error).strip().splitlines()
    state = getattr(error, "sqlstate", None)
    name = type(error).__name__
    words = said[0] if said else name
    return f"{words} ({state})" if state else words
