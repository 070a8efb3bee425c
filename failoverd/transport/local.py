"""A host that is this machine: the host program runs as a child process."""

from __future__ import annotations

import asyncio
import contextlib
import os
import secrets
import signal
from collections.abc import Mapping
from pathlib import Path

from failoverd.core.model import NodeName, Outcome
from failoverd.host_program.program import program
from failoverd.transport.host import Call, HostAnswer
from failoverd.transport.postgres import Monotonic

KILL_GRACE_S = 1.0


class LocalHost:
    """For a daemon on the database host itself. Needs no SSH, and runs as the daemon's user."""

    def __init__(self, node: NodeName, monotonic: Monotonic) -> None:
        self._node = node
        self._monotonic = monotonic

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
            async with asyncio.timeout(timeout_s):
                exit_status, output = await _run(text, timeout_s)
        except TimeoutError:
            return call.failed(Outcome.TIMED_OUT, "no answer in time", self._monotonic() - began)
        except OSError as error:
            # No process, no descriptor, no sh: whatever it is, it is this machine's fault.
            return call.failed(Outcome.OUR_FAULT, str(error), self._monotonic() - began)
        return call.answer(exit_status, output, self._monotonic() - began)

    async def close(self) -> None:
        """Nothing is held open."""


async def _run(text: bytes, timeout_s: float) -> tuple[int | None, str]:
    process = await asyncio.create_subprocess_exec(
        "timeout",
        "-k",
        "2",
        str(max(1, round(timeout_s + 1))),
        "sh",
        "-s",
        stdin=asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.DEVNULL,
        start_new_session=True,
    )
    try:
        output, _ = await process.communicate(text)
    finally:
        if process.returncode is None:
            await _end(process)
    return process.returncode, output.decode(errors="replace")


async def _end(process: asyncio.subprocess.Process) -> None:
    """Out of time, or cancelled: nothing of it may go on, and nothing may be left to reap."""
    for pid in _session(process.pid):
        with contextlib.suppress(ProcessLookupError, PermissionError):
            os.kill(pid, signal.SIGKILL)
    with contextlib.suppress(TimeoutError):
        async with asyncio.timeout(KILL_GRACE_S):
            await process.wait()
    # What ran as another user may have outlived that, with our pipes in its hands.
    process._transport.close()  # type: ignore[attr-defined]  # noqa: SLF001


def _session(leader: int) -> list[int]:
    """All of it: each timeout(1) has a process group of its own. Source: proc(5), stat."""
    found = [leader]
    for entry in Path("/proc").iterdir():
        with contextlib.suppress(OSError, ValueError, IndexError):
            pid = int(entry.name)
            if int((entry / "stat").read_text().rpartition(") ")[2].split()[3]) == leader:
                found.append(pid)
    return found
