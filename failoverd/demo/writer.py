"""An application: commits numbered rows to whichever server takes them, and keeps its own account.

Its own process (`python -m failoverd.demo.writer`). Each acknowledgement is one line
`NUMBER INSTANT SERVER` in a file, with the instant of this machine's monotonic clock. It knows
nothing of failoverd: it tries the other server when one fails, as a driver with two hosts in
its connection string does. It ends when its standard input is closed.
"""

from __future__ import annotations

import argparse
import enum
import os
import select
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import TextIO

from failoverd.demo.postgres import clean_environment

TABLE = "demo_entry"
_TRUSTED_ANSWER_S = 1.0
"""How long a server that has acknowledged before may take for one commit."""
_UNTRUSTED_ANSWER_S = 0.2
_LOGIN_S = 10.0
"""A busy machine needs long for it; what hangs holds up nobody meanwhile."""
_BACK_OFF_S = 0.5
"""Pause before a server that gave no answer at all is tried again."""
_LOGGED_IN = "logged in"
_PACE_S = 0.002


class Answer(enum.Enum):
    ACKNOWLEDGED = enum.auto()
    REFUSED = enum.auto()
    """An error from the server: this row is certainly not there."""
    UNKNOWN = enum.auto()
    """No answer: the row may be there or not, and its number is not used again."""
    NOT_ASKED = enum.auto()
    """There is no session yet: this row is certainly not there, either."""


@dataclass(frozen=True, slots=True)
class Acknowledgement:
    number: int
    at_s: float
    """Monotonic seconds of this machine."""
    server: str


@dataclass(frozen=True, slots=True)
class Outage:
    """The longest pause between two acknowledgements around an instant."""

    last_before: Acknowledgement
    first_after: Acknowledgement

    @property
    def milliseconds(self) -> float:
        return (self.first_after.at_s - self.last_before.at_s) * 1000


def acknowledgements(file: Path) -> tuple[Acknowledgement, ...]:
    """What the writer was told is committed, in order. A torn last line is left out."""
    lines = file.read_text().split("\n")[:-1] if file.exists() else []
    parts = (line.split(" ", 2) for line in lines)
    return tuple(Acknowledgement(int(n), float(at), server) for n, at, server in parts)


def outage(acknowledged: tuple[Acknowledgement, ...], fault_at_s: float) -> Outage | None:
    """From the last acknowledgement of the server that failed to the first of another one.

    None while no other server than the one before the fault has acknowledged anything.
    """
    before = [each for each in acknowledged if each.at_s <= fault_at_s]
    if not before:
        return None
    failed = before[-1].server
    after = next((a for a in acknowledged if a.at_s > fault_at_s and a.server != failed), None)
    if after is None:
        return None
    last = max(
        (a for a in acknowledged if a.server == failed and a.at_s < after.at_s),
        key=lambda a: a.at_s,
    )
    return Outage(last, after)


@dataclass(slots=True)
class Session:
    """One psql, held open, that takes a statement a line; opened again when it breaks."""

    name: str
    command: tuple[str, ...]
    acknowledged_before: bool = False
    silent_until: float = 0.0
    _psql: subprocess.Popen[bytes] | None = field(default=None, repr=False)
    _heard: bytes = field(default=b"", repr=False)
    _logged_in: bool = field(default=False, repr=False)
    _opened_at: float = field(default=0.0, repr=False)

    def commit(self, number: int) -> Answer:
        """Insert this number; the answer is in within the time limit, or it is UNKNOWN."""
        if not self._logged_in and not self._log_in():
            return Answer.NOT_ASKED
        limit = _TRUSTED_ANSWER_S if self.acknowledged_before else _UNTRUSTED_ANSWER_S
        statement = f"INSERT INTO {TABLE} (n) VALUES ({number}) RETURNING n;\n"
        answer = Answer.UNKNOWN
        if self._send(statement.encode()):
            for line in self._lines(time.monotonic() + limit):
                if line == str(number):
                    answer = Answer.ACKNOWLEDGED
                    break
                if line.startswith("ERROR:"):
                    answer = Answer.REFUSED
                    break
        self.acknowledged_before = answer is Answer.ACKNOWLEDGED
        if answer is Answer.UNKNOWN:
            self.close()
        return answer

    def _log_in(self) -> bool:
        """Begin to, or see whether it has come to that; where it takes too long, from anew."""
        now = time.monotonic()
        if self._psql is None:
            self._open()
            self._opened_at = now
            self._send(f"\\echo {_LOGGED_IN}\n".encode())
        if self._psql is not None:
            until = now + _UNTRUSTED_ANSWER_S
            self._logged_in = any(line == _LOGGED_IN for line in self._lines(until))
            ended = time.monotonic() < until
            if not self._logged_in and (ended or now > self._opened_at + _LOGIN_S):
                self.close()
        return self._logged_in

    def _open(self) -> None:
        self._heard = b""
        self._psql = subprocess.Popen(
            self.command,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            bufsize=0,
            env=clean_environment()
            | {"PGCONNECT_TIMEOUT": "10", "PGPASSFILE": os.environ.get("PGPASSFILE", "")},
        )

    def _send(self, data: bytes) -> bool:
        assert self._psql is not None
        try:
            assert self._psql.stdin is not None
            self._psql.stdin.write(data)
        except OSError:
            self.close()
            return False
        return True

    def _lines(self, deadline: float) -> Iterator[str]:
        """Lines as psql prints them; ends at the deadline or when psql does."""
        assert self._psql is not None
        assert self._psql.stdout is not None
        output = self._psql.stdout.fileno()
        while True:
            line, newline, rest = self._heard.partition(b"\n")
            if newline:
                self._heard = rest
                yield line.decode(errors="replace").strip()
                continue
            left = deadline - time.monotonic()
            if left <= 0 or not select.select([output], [], [], left)[0]:
                return
            data = os.read(output, 65536)
            if not data:
                return
            self._heard += data

    def close(self) -> None:
        if self._psql is None:
            return
        self._psql.kill()
        self._psql.wait()
        for pipe in (self._psql.stdin, self._psql.stdout):
            if pipe is not None:
                pipe.close()
        self._psql = None
        self._logged_in = False


def write(sessions: tuple[Session, Session], account: TextIO) -> None:
    """Commit until standard input ends: one server while it works, else by turns."""
    number, turn = 1, 0
    while not select.select([sys.stdin], [], [], _PACE_S)[0]:
        session = sessions[turn]
        if session.silent_until > time.monotonic():
            turn = 1 - turn
            continue
        answer = session.commit(number)
        now = time.monotonic()
        if answer is Answer.ACKNOWLEDGED:
            account.write(f"{number} {now:.6f} {session.name}\n")
            account.flush()
        else:
            turn = 1 - turn
        if answer in (Answer.UNKNOWN, Answer.NOT_ASKED):
            session.silent_until = now + _BACK_OFF_S
        if answer in (Answer.UNKNOWN, Answer.ACKNOWLEDGED):
            number += 1


def command_line(
    psql: Path, servers: tuple[tuple[str, int], tuple[str, int]], user: str, account: Path
) -> list[str]:
    """How to start the writer as a process of its own; PGPASSFILE must be in its environment."""
    return [
        *(sys.executable, "-m", "failoverd.demo.writer"),
        *("--psql", str(psql), "--user", user, "--account", str(account)),
        *(word for name, port in servers for word in ("--server", f"{name}={port}")),
    ]


def main() -> None:
    options = argparse.ArgumentParser()
    options.add_argument("--psql", required=True)
    options.add_argument("--user", required=True)
    options.add_argument("--account", type=Path, required=True)
    options.add_argument("--server", action="append", required=True, help="NAME=PORT")
    given = options.parse_args()
    names = [server.partition("=")[::2] for server in given.server]
    first, second = (
        Session(
            name,
            (
                *(given.psql, "-X", "-q", "-A", "-t", "-v", "VERBOSITY=sqlstate"),
                *("-h", "127.0.0.1", "-p", port, "-U", given.user, "-d", "postgres"),
            ),
        )
        for name, port in names
    )
    try:
        with given.account.open("a") as account:
            write((first, second), account)
    except KeyboardInterrupt:
        pass
    finally:
        first.close()
        second.close()


if __name__ == "__main__":
    main()
