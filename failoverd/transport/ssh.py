"""A host over SSH: one warm connection, each call bounded, host keys always verified.

A command whose connection dies has no exit status and raises nothing; that is unknown,
never done. After a time-out the connection is dropped, since an sshd that hangs would
swallow the next call, too.
"""

from __future__ import annotations

import asyncio
import secrets
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import asyncssh

from failoverd.core.model import NodeName, Outcome
from failoverd.host_program.program import program
from failoverd.transport.host import Call, HostAnswer
from failoverd.transport.outcome import ssh_outcome
from failoverd.transport.postgres import Monotonic

SESSIONS_AT_ONCE = 6
"""OpenSSH allows ten a connection by default (MaxSessions)."""


@dataclass(frozen=True, slots=True)
class SshAddress:
    """Where and as whom to log in. Without `known_hosts` there is no connection."""

    host: str
    port: int
    user: str
    key_file: Path
    known_hosts: Path
    connect_timeout_s: float = 5.0


class SshHost:
    """Connects when first asked, and again when the connection was lost."""

    def __init__(self, node: NodeName, address: SshAddress, monotonic: Monotonic) -> None:
        self._node = node
        self._address = address
        self._monotonic = monotonic
        self._connection: asyncssh.SSHClientConnection | None = None
        self._connecting = asyncio.Lock()
        self._sessions = asyncio.Semaphore(SESSIONS_AT_ONCE)

    @property
    def node(self) -> NodeName:
        return self._node

    async def call(
        self, verb: str, arguments: Mapping[str, str], *, timeout_s: float
    ) -> HostAnswer:
        call = Call(self._node, verb, arguments, secrets.token_hex(16))
        began = self._monotonic()
        connection: asyncssh.SSHClientConnection | None = None
        try:
            async with asyncio.timeout(timeout_s), self._sessions:
                connection = await self._connected()
                exit_status, output = await _run(connection, program(call.sent), timeout_s)
        except (OSError, asyncssh.Error) as error:
            outcome, words = ssh_outcome(error)
            self._drop(connection)
            return call.failed(outcome, words, self._monotonic() - began)
        answer = call.answer(exit_status, output, self._monotonic() - began)
        if answer.outcome is not Outcome.OK:
            self._drop(connection)
        return answer

    async def _connected(self) -> asyncssh.SSHClientConnection:
        async with self._connecting:
            if self._connection is not None and not self._connection.is_closed():
                return self._connection
            address = self._address
            self._connection = await asyncssh.connect(
                address.host,
                address.port,
                username=address.user,
                client_keys=[str(address.key_file)],
                known_hosts=str(address.known_hosts),
                config=None,
                agent_path=None,
                connect_timeout=address.connect_timeout_s,
                login_timeout=address.connect_timeout_s,
                keepalive_interval=5,
                keepalive_count_max=2,
            )
            return self._connection

    def _drop(self, connection: asyncssh.SSHClientConnection | None) -> None:
        """Only the connection that failed: another call may have made a new one already."""
        if connection is not None and connection is self._connection:
            self._connection = None
            connection.abort()

    async def close(self) -> None:
        connection, self._connection = self._connection, None
        if connection is not None:
            connection.abort()


async def _run(
    connection: asyncssh.SSHClientConnection, text: bytes, timeout_s: float
) -> tuple[int | None, str]:
    limit = max(1, round(timeout_s + 1))
    finished = await connection.run(
        f"timeout -k 2 {limit} sh -s", input=text, encoding=None, stderr=asyncssh.DEVNULL
    )
    output = finished.stdout
    said = output.decode(errors="replace") if isinstance(output, bytes) else ""
    return finished.exit_status, said
