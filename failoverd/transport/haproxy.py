"""HAProxy's runtime API: a line of commands there, all of their output back.

Source: HAProxy, "Management Guide", 9.3 (Unix socket commands).
"""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

LONGEST_ANSWER = 1 << 20


@dataclass(frozen=True, slots=True)
class RuntimeApi:
    """A `stats socket` of level admin: a Unix socket, or an address with a port."""

    socket: Path | None = None
    host: str = ""
    port: int = 0

    def __str__(self) -> str:
        return str(self.socket) if self.socket is not None else f"{self.host}:{self.port}"


async def ask(api: RuntimeApi, commands: Sequence[str], timeout_s: float) -> str:
    """What HAProxy says to the commands, in order. Raises OSError, TimeoutError among them."""
    async with asyncio.timeout(timeout_s):
        if api.socket is not None:
            reader, writer = await asyncio.open_unix_connection(str(api.socket))
        else:
            reader, writer = await asyncio.open_connection(api.host, api.port)
        try:
            writer.write((";".join(commands) + "\n").encode())
            await writer.drain()
            answer = await reader.read(LONGEST_ANSWER)
            while len(answer) < LONGEST_ANSWER and (more := await reader.read(LONGEST_ANSWER)):
                answer += more
        finally:
            # Never waits: what a peer that hangs does not read would be waited for without end.
            writer.transport.abort()
    return answer.decode(errors="replace")
