"""A program on this machine, with a deadline that holds and nothing left over."""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
from collections.abc import AsyncIterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

KILL_GRACE_S = 1.0
OUTPUT_LIMIT = 4096


@dataclass(frozen=True, slots=True)
class Finished:
    """How a program ended; `exit_status` is negative where a signal ended it."""

    exit_status: int | None
    output: str


async def run_program(
    argv: Sequence[str],
    *,
    stdin: bytes = b"",
    environment: Mapping[str, str] | None = None,
    with_errors: bool = False,
) -> Finished:
    """Its standard output, and its end. Cancelled or timed out, its whole session is killed.

    Raises OSError where it cannot be started.
    """
    async with started(argv, environment=environment, with_errors=with_errors) as process:
        output, _ = await process.communicate(stdin)
    return Finished(process.returncode, output.decode(errors="replace"))


@contextlib.asynccontextmanager
async def started(
    argv: Sequence[str],
    *,
    environment: Mapping[str, str] | None = None,
    with_errors: bool = False,
) -> AsyncIterator[asyncio.subprocess.Process]:
    """With pipes to it. Whatever of it still runs at the end is killed."""
    errors = asyncio.subprocess.STDOUT if with_errors else asyncio.subprocess.DEVNULL
    process = await asyncio.create_subprocess_exec(
        *argv,
        stdin=asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.PIPE,
        stderr=errors,
        start_new_session=True,
        env=environment,
    )
    try:
        yield process
    finally:
        try:
            if process.returncode is None:
                await _end(process)
        finally:
            # What ran as another user may outlive that, with our pipes in its hands.
            process._transport.close()  # type: ignore[attr-defined]  # noqa: SLF001


async def _end(process: asyncio.subprocess.Process) -> None:
    """Out of time, or cancelled: nothing of it may go on, and nothing may be left to reap."""
    for pid in _session(process.pid):
        with contextlib.suppress(ProcessLookupError, PermissionError):
            os.kill(pid, signal.SIGKILL)
    with contextlib.suppress(TimeoutError):
        async with asyncio.timeout(KILL_GRACE_S):
            await process.wait()


def _session(leader: int) -> list[int]:
    """All of it: each timeout(1) has a process group of its own. Source: proc(5), stat."""
    found = [leader]
    for entry in Path("/proc").iterdir():
        with contextlib.suppress(OSError, ValueError, IndexError):
            pid = int(entry.name)
            if int((entry / "stat").read_text().rpartition(") ")[2].split()[3]) == leader:
                found.append(pid)
    return found
