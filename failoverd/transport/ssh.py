"""A host over SSH: one warm connection, each call bounded, host keys always verified.

A command whose connection dies has no exit status and raises nothing; that is unknown,
never done. After a time-out the next call makes a new connection, since an sshd that
hangs would swallow it, too; calls that are under way keep the old one until they end.
"""

from __future__ import annotations

import asyncio
import contextlib
import secrets
import shlex
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

import asyncssh

from failoverd.core.model import NodeName
from failoverd.core.survey import Login
from failoverd.host_program.program import program
from failoverd.transport.host import Call, HostAnswer
from failoverd.transport.outcome import ssh_outcome
from failoverd.transport.postgres import Monotonic
from failoverd.transport.ssh_lines import SshLines
from failoverd.transport.stream import Take, into, out_of, shell_words

SESSIONS_AT_ONCE = 6
"""OpenSSH allows ten a connection by default (MaxSessions)."""
CLOSE_GRACE_S = 1.0
_Exchange = Callable[["asyncssh.SSHClientProcess[bytes]"], Awaitable[str]]


@dataclass(frozen=True, slots=True)
class SshAddress:
    """Where and as whom to log in. Raises ValueError without `known_hosts`."""

    host: str
    port: int
    user: str
    key_file: Path
    known_hosts: Path
    connect_timeout_s: float = 5.0
    become: tuple[str, ...] = ()
    """Words before whatever is run there, such as `sudo -n -u postgres`."""

    def __post_init__(self) -> None:
        files: tuple[object, ...] = (self.key_file, self.known_hosts)
        if not all(isinstance(file, Path) for file in files):
            # To asyncssh no known_hosts means: verify nothing.
            raise ValueError("SSH needs a key file and a file of known host keys")


def login_of(user: str, key_file: Path, known_hosts: Path) -> Login:
    """With the public half of the key, for whoever must let it in."""
    try:
        key = asyncssh.read_private_key(str(key_file))
        public_key = key.export_public_key().decode().strip()
    except (OSError, ValueError, asyncssh.Error):
        public_key = ""  # the login itself tells what is wrong with it
    return Login(user, str(known_hosts), public_key)


@dataclass(slots=True, eq=False)
class _Line:
    """A connection, and how many calls are using it."""

    connection: asyncssh.SSHClientConnection
    calls: int = 0
    dropped: bool = False

    @property
    def usable(self) -> bool:
        return not self.dropped and not self.connection.is_closed()


class SshHost:
    """Connects when first asked, and again when the connection was lost."""

    def __init__(
        self,
        node: NodeName,
        address: SshAddress,
        monotonic: Monotonic,
        lines: SshLines | None = None,
    ) -> None:
        self._lines = lines or SshLines(monotonic)
        self._node = node
        self._address = address
        self._monotonic = monotonic
        self._line: _Line | None = None
        self._attempt: asyncio.Task[_Line] | None = None
        self._sessions = asyncio.Semaphore(SESSIONS_AT_ONCE)

    @property
    def node(self) -> NodeName:
        return self._node

    async def call(
        self, verb: str, arguments: Mapping[str, str], *, timeout_s: float
    ) -> HostAnswer:
        call = Call(self._node, verb, arguments, secrets.token_hex(16))
        text = program(call.sent)
        began = self._monotonic()
        try:
            async with asyncio.timeout(timeout_s), self._sessions, self._connected() as line:
                become = self._address.become
                exit_status, output = await _run(line.connection, text, timeout_s, become)
                line.dropped = line.dropped or exit_status is None
        except (OSError, ValueError, asyncssh.Error) as error:
            outcome, words = ssh_outcome(error)
            return call.failed(outcome, words, self._monotonic() - began)
        duration_s = self._monotonic() - began
        return call.answer(exit_status, output, duration_s, become=bool(become))

    async def fetch(
        self, verb: str, arguments: Mapping[str, str], take: Take, *, timeout_s: float
    ) -> HostAnswer:
        call = Call(self._node, verb, arguments, secrets.token_hex(16))
        text = program(call.sent)
        return await self._stream(
            call, text, timeout_s, lambda p: out_of(text, p.stdin, p.stdout, take)
        )

    async def feed(
        self,
        verb: str,
        arguments: Mapping[str, str],
        blocks: AsyncIterator[bytes],
        *,
        timeout_s: float,
    ) -> HostAnswer:
        call = Call(self._node, verb, arguments, secrets.token_hex(16))
        text = program(call.sent)
        return await self._stream(
            call, text, timeout_s, lambda p: into(text, p.stdin, p.stdout, blocks)
        )

    async def _stream(
        self, call: Call, text: bytes, timeout_s: float, exchange: _Exchange
    ) -> HostAnswer:
        began = self._monotonic()
        limit_s = max(1, round(timeout_s + 1))
        words = shlex.join((*self._address.become, *shell_words(text, limit_s)))
        try:
            async with asyncio.timeout(timeout_s), self._sessions, self._connected() as line:
                process = await line.connection.create_process(
                    words, encoding=None, stderr=asyncssh.DEVNULL
                )
                try:
                    output = await exchange(process)
                    await process.wait_closed()
                finally:
                    process.close()
                line.dropped = line.dropped or process.exit_status is None
        except (OSError, ValueError, asyncssh.Error) as error:
            outcome, words = ssh_outcome(error)
            return call.failed(outcome, words, self._monotonic() - began)
        return call.answer(process.exit_status, output, self._monotonic() - began)

    @contextlib.asynccontextmanager
    async def _connected(self) -> AsyncIterator[_Line]:
        """The warm connection, or a new one. Whatever fails on it is its end for later calls."""
        if self._line is None or not self._line.usable:
            self._lines.make_room()
            self._line = await self._new_line()
        line = self._line
        line.calls += 1
        self._lines.use(self)
        try:
            yield line
        except BaseException:
            line.dropped = True
            raise
        finally:
            line.calls -= 1
            if line.dropped and not line.calls:
                line.connection.abort()
                if line is self._line:
                    self._lines.gone(self)

    @property
    def in_use(self) -> bool:
        return self._attempt is not None or (self._line is not None and self._line.calls > 0)

    def hang_up(self) -> None:
        """The next call opens another connection."""
        line, self._line = self._line, None
        if line is not None:
            line.dropped = True
            line.connection.close()

    async def _new_line(self) -> _Line:
        """One attempt at a time, which all who wait share, and which outlives those who give up.

        It is bounded by the connect time limit: a host that is slow to log in to would never
        be reached if each short look began anew.
        """
        if self._attempt is None:
            self._attempt = asyncio.create_task(self._connect(), name=f"ssh {self._node}")
            self._attempt.add_done_callback(self._attempted)
        return await asyncio.shield(self._attempt)

    def _attempted(self, attempt: asyncio.Task[_Line]) -> None:
        self._attempt = None
        if not attempt.cancelled() and attempt.exception() is None:
            self._line = attempt.result()

    async def _connect(self) -> _Line:
        address = self._address
        async with asyncio.timeout(address.connect_timeout_s):
            return _Line(
                await asyncssh.connect(
                    address.host,
                    address.port,
                    username=address.user,
                    client_keys=[str(address.key_file)],
                    known_hosts=str(address.known_hosts),
                    config=None,
                    agent_path=None,
                    preferred_auth="publickey",
                    connect_timeout=address.connect_timeout_s,
                    login_timeout=address.connect_timeout_s,
                    keepalive_interval=5,
                    keepalive_count_max=2,
                )
            )

    async def close(self) -> None:
        """Everything of it is gone within a second or two."""
        attempt = self._attempt
        if attempt is not None:
            attempt.cancel()
            await asyncio.wait([attempt], timeout=CLOSE_GRACE_S)
        line, self._line = self._line, None
        self._lines.gone(self)
        if line is not None:
            line.dropped = True
            line.connection.abort()
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(CLOSE_GRACE_S):
                    await line.connection.wait_closed()


async def _run(
    connection: asyncssh.SSHClientConnection,
    text: bytes,
    timeout_s: float,
    become: tuple[str, ...],
) -> tuple[int | None, str]:
    # The limit comes after `become`: whom sudo runs the SSH user may not signal.
    words = (*become, "timeout", "-k", "2", str(max(1, round(timeout_s + 1))), "sh", "-s")
    finished = await connection.run(
        shlex.join(words),
        input=text,
        encoding=None,
        stderr=asyncssh.STDOUT if become else asyncssh.DEVNULL,
    )
    output = finished.stdout
    said = output.decode(errors="replace") if isinstance(output, bytes) else ""
    return finished.exit_status, said
