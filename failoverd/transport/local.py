"""A host that is this machine: the host program runs as a child process."""

from __future__ import annotations

import asyncio
import secrets
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping

from failoverd.core.model import NodeName, Outcome
from failoverd.host_program.program import program
from failoverd.transport.host import Call, HostAnswer
from failoverd.transport.postgres import Monotonic
from failoverd.transport.process import run_program, started
from failoverd.transport.stream import Reader, Take, Writer, into, out_of, shell_words

_Exchange = Callable[[Writer, Reader], Awaitable[str]]


class LocalHost:
    """For a daemon on the database host itself. Needs no SSH, and runs as the daemon's user."""

    def __init__(self, node: NodeName, monotonic: Monotonic, become: tuple[str, ...] = ()) -> None:
        self._node = node
        self._monotonic = monotonic
        self._become = become

    @property
    def node(self) -> NodeName:
        return self._node

    async def call(
        self, verb: str, arguments: Mapping[str, str], *, timeout_s: float
    ) -> HostAnswer:
        call = Call(self._node, verb, arguments, secrets.token_hex(16))
        text = program(call.sent)
        began = self._monotonic()
        limit = str(max(1, round(timeout_s + 1)))
        # The limit comes after `become`: whom sudo runs we may not signal.
        argv = (*self._become, "timeout", "-k", "2", limit, "sh", "-s")
        become = bool(self._become)
        try:
            async with asyncio.timeout(timeout_s):
                finished = await run_program(argv, stdin=text, with_errors=become)
        except TimeoutError:
            return call.failed(Outcome.TIMED_OUT, "no answer in time", self._monotonic() - began)
        except OSError as error:
            # No process, no descriptor, no sh: whatever it is, it is this machine's fault.
            return call.failed(Outcome.OUR_FAULT, str(error), self._monotonic() - began)
        duration_s = self._monotonic() - began
        return call.answer(finished.exit_status, finished.output, duration_s, become=become)

    async def fetch(
        self, verb: str, arguments: Mapping[str, str], take: Take, *, timeout_s: float
    ) -> HostAnswer:
        call = Call(self._node, verb, arguments, secrets.token_hex(16))
        text = program(call.sent)
        return await self._stream(call, text, timeout_s, lambda i, o: out_of(text, i, o, take))

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
        return await self._stream(call, text, timeout_s, lambda i, o: into(text, i, o, blocks))

    async def _stream(
        self, call: Call, text: bytes, timeout_s: float, exchange: _Exchange
    ) -> HostAnswer:
        began = self._monotonic()
        argv = (*self._become, *shell_words(text, max(1, round(timeout_s + 1))))
        try:
            async with asyncio.timeout(timeout_s), started(argv) as process:
                assert process.stdin is not None
                assert process.stdout is not None
                output = await exchange(process.stdin, process.stdout)
                exit_status = await process.wait()
        except TimeoutError:
            return call.failed(Outcome.TIMED_OUT, "no answer in time", self._monotonic() - began)
        except OSError as error:
            return call.failed(Outcome.OUR_FAULT, str(error), self._monotonic() - began)
        except ValueError as error:
            return call.failed(Outcome.UNKNOWN, str(error), self._monotonic() - began)
        return call.answer(exit_status, output, self._monotonic() - began)

    async def close(self) -> None:
        """Nothing is held open."""
