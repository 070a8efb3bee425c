"""Bytes beside an answer: out of one host's program, or into another's, block by block.

The program still arrives on standard input; what follows it there is data, which it finds
on descriptor 3. On standard output data comes after a line `data=COUNT`. Whoever is slow
slows the other side down: nothing is kept but the block that is under way.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Protocol

BLOCK = 256 * 1024
LINES_LIMIT = 64 * 1024
"""What a program says beside its data."""

Take = Callable[[bytes], Awaitable[None]]


class Reader(Protocol):
    async def read(self, n: int = -1, /) -> bytes: ...

    async def readline(self) -> bytes: ...


class Writer(Protocol):
    def write(self, data: bytes, /) -> None: ...

    async def drain(self) -> None: ...

    def write_eof(self) -> None: ...


def shell_words(program: bytes, limit_s: int) -> tuple[str, ...]:
    """A shell that reads its program, and no byte more, from standard input."""
    read_it = f'exec 3<&0; eval "$(head -c {len(program)})"'
    return ("timeout", "-k", "2", str(limit_s), "sh", "-c", read_it)


async def out_of(program: bytes, stdin: Writer, stdout: Reader, take: Take) -> str:
    """What it says; its data is handed on, each block when the one before was taken."""
    stdin.write(program)
    await stdin.drain()
    stdin.write_eof()
    said: list[bytes] = []
    while line := await stdout.readline():
        said.append(line)
        if sum(map(len, said)) > LINES_LIMIT:
            break
        if line.startswith(b"data="):
            await _forward(int(line.removeprefix(b"data=")), stdout, take)
    return b"".join(said).decode(errors="replace")


async def _forward(count: int, stdout: Reader, take: Take) -> None:
    while count:
        block = await stdout.read(min(BLOCK, count))
        if not block:
            return
        count -= len(block)
        await take(block)


async def into(program: bytes, stdin: Writer, stdout: Reader, blocks: AsyncIterator[bytes]) -> str:
    """What it says to the blocks that follow it."""
    try:
        stdin.write(program)
        await stdin.drain()
        async for block in blocks:
            stdin.write(block)
            await stdin.drain()
        stdin.write_eof()
    except (BrokenPipeError, ConnectionResetError):
        pass  # it has said why already
    said = b""
    while len(said) <= LINES_LIMIT and (more := await stdout.read(BLOCK)):
        said += more
    return said.decode(errors="replace")
