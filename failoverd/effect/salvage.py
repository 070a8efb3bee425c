"""Bring WAL that the candidate lacks from another disk, and see that it ends there, too.

From the source through this daemon to the candidate, a chunk at a time: each is checked and
renamed there before the next, so that what has arrived stays, and whoever is killed in the
middle goes on behind it. Nothing is taken for done before the candidate's own WAL has been
read to the same end by the same verb.
"""

from __future__ import annotations

import asyncio
import contextlib
import hashlib
from collections.abc import AsyncIterator
from dataclasses import dataclass

from failoverd.core.effects import Salvage
from failoverd.core.events import NotConfigured
from failoverd.core.lsn import Lsn
from failoverd.core.model import CommandRun, Evidence, WalEnd, WalLoss
from failoverd.core.wal_answers import NotSalvaged, Salvaged
from failoverd.effect.wal import INLINE_BYTES, WalOnDisk, wal_on_disk
from failoverd.effect.world import Node, Runs, World, clock_in, entitled, look, note_clock, why
from failoverd.transport.host import HostAnswer
from failoverd.transport.stream import BLOCK

CHUNK = 16 * 1024 * 1024
EXIT_NO_SEGMENT = 19
CHECKED_S = 10.0
"""Of the time limit, at most so much for the last look at the candidate."""
TOLD_EVERY_S = 1.0
ENOUGH_RUNS = 12
"""Calls that are shown in full; of the rest of many chunks, their sum."""


async def salvage(effect: Salvage, world: World) -> Salvaged | NotSalvaged | NotConfigured:
    """All of it, or what is known of what is missing. Repeating it does no harm."""
    if effect.source is None or effect.position is None:
        return NotConfigured(Evidence("salvage: there is no disk to read from"))
    return await _Carrying(effect, effect.position, world, Runs()).run()


@dataclass(slots=True)
class _Failed:
    why: str
    may_retry: bool = False


class _Carrying:
    """One salvage."""

    def __init__(self, effect: Salvage, position: Lsn, world: World, runs: Runs) -> None:
        assert effect.source is not None
        self._effect = effect
        self._position = position
        self._world = world
        self._runs = runs
        self._source = world.nodes[effect.source]
        self._candidate = world.nodes[effect.candidate]
        self._began = world.monotonic()
        self._carried = 0
        self._told_at = self._began

    async def run(self) -> Salvaged | NotSalvaged:
        source = self._known() or await self._read(self._source, self._left_s)
        if isinstance(source, _Failed):
            return self._not(f"the WAL of {self._source.name} could not be read: {source.why}")
        end = source.end
        if self._position >= end.end:
            return self._whole(end)
        failed = await self._bring(source)
        if failed is not None:
            lacks = f"{self._candidate.name} lacks WAL up to {end.end}: {failed.why}"
            return self._not(lacks, end, may_retry=failed.may_retry and self._left_s > 1)
        there = await self._read(self._candidate, CHECKED_S)
        if isinstance(there, _Failed):
            return self._not(f"what arrived could not be read: {there.why}", end, may_retry=True)
        if there.end.end < end.end:
            short = f"{self._candidate.name}'s WAL ends at {there.end.end}, not at {end.end}"
            return self._not(short, end, may_retry=True)
        return self._whole(end)

    @property
    def _left_s(self) -> float:
        return self._world.limits.salvage_s - (self._world.monotonic() - self._began)

    def _known(self) -> WalOnDisk | None:
        found = self._world.wal.get(self._source.name)
        if found is None or found.epoch != self._effect.epoch:
            return None
        return found if found.end == self._effect.known_end else None

    async def _read(self, node: Node, limit_s: float) -> WalOnDisk | _Failed:
        more = {
            "start": str(self._position),
            "timeline": str(self._effect.timeline),
            "seconds": str(max(1, round(limit_s))),
        }
        arguments = {**self._world.arguments(node), **more}
        answer = await node.host.call("wal_end", arguments, timeout_s=max(1.0, limit_s))
        self._runs.add(answer)
        found = wal_on_disk(answer, self._effect.epoch)
        return _Failed(why(answer), not answer.done) if found is None else found

    async def _bring(self, source: WalOnDisk) -> _Failed | None:
        begin = source.page_of(self._position)
        held = source.held(begin)
        if held is not None:
            answer = await self._receive(begin, len(held), _whole(held))
            if answer.exit_status != EXIT_NO_SEGMENT:
                self._carried = len(held)
                return _failure(answer)
        elif source.stop - begin > INLINE_BYTES:
            there = await self._read(self._candidate, CHECKED_S)
            if isinstance(there, WalOnDisk):  # what an earlier attempt has brought
                begin = max(begin, source.page_of(there.end.end))
        return await self._bring_chunks(source, begin)

    async def _bring_chunks(self, source: WalOnDisk, begin: int) -> _Failed | None:
        size = max(CHUNK, source.segment_bytes)
        at, of = begin, source.stop - begin
        while at < source.stop:
            until = min(source.stop, (at // size + 1) * size)
            if self._left_s <= 0:
                return _Failed(f"not within {self._world.limits.salvage_s:.0f} s")
            failed = await self._bring_chunk(at, until - at)
            if isinstance(failed, int):
                segment = at // source.segment_bytes * source.segment_bytes
                if failed != EXIT_NO_SEGMENT or segment == at:
                    return _Failed("it takes no whole segment")
                at = segment
                continue
            if failed is not None:
                return failed
            self._carried += until - at
            at = until
            self._tell(of)
        return None

    def _tell(self, of: int) -> None:
        """What is quick needs no telling."""
        now = self._world.monotonic()
        if now - self._told_at >= TOLD_EVERY_S:
            self._told_at = now
            self._world.progress(self._carried, of)

    async def _bring_chunk(self, at: int, count: int) -> _Failed | int | None:
        blocks: asyncio.Queue[bytes] = asyncio.Queue(maxsize=2)
        sending = asyncio.create_task(self._send(at, count, blocks))
        try:
            answer = await self._receive(at, count, self._received(blocks, sending))
            if answer.done:
                return None
            if answer.exit_status == EXIT_NO_SEGMENT:
                return EXIT_NO_SEGMENT
            return _source_failure(sending) or _failure(answer)
        finally:
            sending.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await sending

    async def _send(self, at: int, count: int, blocks: asyncio.Queue[bytes]) -> HostAnswer:
        more = {"start": str(Lsn(at)), "count": str(count), "timeline": str(self._effect.timeline)}
        arguments = {**self._world.arguments(self._source), **more}
        answer = await self._source.host.fetch(
            "wal_send", arguments, blocks.put, timeout_s=max(1.0, self._left_s)
        )
        await blocks.put(b"")
        self._note(answer)
        return answer

    async def _received(
        self, blocks: asyncio.Queue[bytes], sending: asyncio.Task[HostAnswer]
    ) -> AsyncIterator[bytes]:
        """The data, no faster than it may go, and behind it the checksum that the source told."""
        began, passed = self._world.monotonic(), 0
        while block := await blocks.get():
            yield block
            passed += len(block)
            rate = self._world.limits.salvage_bytes_s
            if rate:
                ahead_s = passed / rate - (self._world.monotonic() - began)
                await asyncio.sleep(max(0.0, ahead_s))
        answer = await sending
        if answer.done:
            yield answer.field("sha256").encode()

    async def _receive(self, at: int, count: int, blocks: AsyncIterator[bytes]) -> HostAnswer:
        world, node = self._world, self._candidate
        clock = world.clock_of(node.name)
        if clock is None:
            answer, facts = await look(world, node, self._runs)
            if facts is None:
                return answer
            clock = clock_in(facts)
        more = {"start": str(Lsn(at)), "count": str(count), "timeline": str(self._effect.timeline)}
        arguments = entitled(world, node, clock, self._effect.epoch, more)
        asked_at = world.monotonic()
        answer = await node.host.feed(
            "wal_receive", arguments, blocks, timeout_s=max(1.0, self._left_s)
        )
        note_clock(world, node, answer, asked_at)
        self._note(answer)
        return answer

    def _note(self, answer: HostAnswer) -> None:
        if len(self._runs.done) < ENOUGH_RUNS or not answer.done:
            self._runs.add(answer)

    def _took(self) -> str:
        seconds = self._world.monotonic() - self._began
        return f"{self._carried} bytes brought over from {self._source.name} in {seconds:.2f} s"

    def _whole(self, end: WalEnd) -> Salvaged:
        ends = (
            f"the WAL of {self._candidate.name} reaches {end.end}, where {self._source.name}'s ends"
        )
        sentence = f"{self._took()}: {ends}" if self._carried else f"nothing is missing: {ends}"
        loss = WalLoss(0, True, f"nothing: {ends}")
        if self._carried:
            self._runs.done.append(
                CommandRun(
                    self._candidate.name, "salvage", sentence, self._world.monotonic() - self._began
                )
            )
        return Salvaged(loss, self._runs.evidence(sentence), end, self._carried)

    def _not(
        self, sentence: str, end: WalEnd | None = None, *, may_retry: bool = False
    ) -> NotSalvaged:
        told = f"{sentence} ({self._took()})" if self._carried else sentence
        return NotSalvaged(self._runs.evidence(told), end, may_retry)


async def _whole(held: bytes) -> AsyncIterator[bytes]:
    """What came with the fence's answer, in blocks, and its checksum."""
    for at in range(0, len(held), BLOCK):
        yield held[at : at + BLOCK]
    yield hashlib.sha256(held).hexdigest().encode()


def _failure(answer: HostAnswer) -> _Failed | None:
    return None if answer.done else _Failed(why(answer), may_retry=True)


def _source_failure(sending: asyncio.Task[HostAnswer]) -> _Failed | None:
    """What the source said is the reason, where the candidate only saw too little arrive."""
    if not sending.done() or sending.cancelled() or sending.exception() is not None:
        return None
    answer = sending.result()
    return None if answer.done else _Failed(f"the source: {why(answer)}", may_retry=True)
