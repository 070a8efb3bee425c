"""How one server looks by SQL: a held session and a fresh connection, side by side."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import dataclass, replace

from failoverd.core.model import NOT_TRIED, Instant, Look, Outcome, ServerFacts
from failoverd.probe.statement import STATUS, WRITE_CHECK, server_facts
from failoverd.transport.postgres import Monotonic, SqlAddress, SqlSession, connect


@dataclass(frozen=True, slots=True)
class SqlRound:
    held: Look
    fresh: Look
    write: Look
    server: ServerFacts | None


class SqlProbe:
    """The standing session of one node, and what each round of looks finds."""

    def __init__(
        self, address: SqlAddress, monotonic: Monotonic, on_death: Callable[[], None]
    ) -> None:
        self._address = address
        self._monotonic = monotonic
        self._on_death = on_death
        self._held: SqlSession | None = None
        self._last_fresh = NOT_TRIED

    @property
    def held(self) -> SqlSession | None:
        """The standing session, where it has not ended."""
        return self._held if self._held is not None and self._held.usable else None

    async def round(self, timeout_s: float, *, write_check: bool, fresh_due: bool) -> SqlRound:
        """Both looks at once, so that neither delays the other. Bounded by `timeout_s` each.

        Where no fresh connection is due, the last one stands if the held session answers.
        """
        if not fresh_due and self._last_fresh.ok and self._held is not None:
            held, server = await self._ask_held(timeout_s)
            if held.ok:
                write = await self._write(server, timeout_s) if write_check else NOT_TRIED
                return SqlRound(held, self._last_fresh, write, server)
        found = await self._both(timeout_s, write_check=write_check)
        self._last_fresh = found.fresh
        return found

    async def _both(self, timeout_s: float, *, write_check: bool) -> SqlRound:
        (held, server), (fresh, session) = await asyncio.gather(
            self._ask_held(timeout_s), connect(self._address, self._monotonic, timeout_s)
        )
        if session is not None and (server is None or not held.ok):
            fresh, server = await _ask(session, self._monotonic, timeout_s)
            if fresh.ok:
                self._hold(session)
                session = None
                held = replace(fresh, detail=f"held session renewed ({held.detail or 'none yet'})")
        if session is not None:
            await session.close()
        write = await self._write(server, timeout_s) if write_check else NOT_TRIED
        return SqlRound(held, fresh, write, server)

    async def _ask_held(self, timeout_s: float) -> tuple[Look, ServerFacts | None]:
        held = self._held
        if held is None:
            return NOT_TRIED, None
        if not held.usable:
            moment = self._monotonic()
            return Look(Outcome.LOST, moment, moment, "the held session has ended"), None
        return await _ask(held, self._monotonic, timeout_s)

    async def _write(self, server: ServerFacts | None, timeout_s: float) -> Look:
        if server is None or server.in_recovery or self._held is None:
            return NOT_TRIED
        answer = await self._held.run(WRITE_CHECK, timeout_s=timeout_s)
        if not answer.ok and self._held.usable:
            await self._held.run("rollback", timeout_s=timeout_s)
        return answer.look

    def _hold(self, session: SqlSession) -> None:
        if self._held is not None:
            self._held.terminate()
        self._held = session
        session.on_death(self._on_death)

    async def close(self) -> None:
        held, self._held = self._held, None
        if held is not None:
            await held.close()


async def _ask(
    session: SqlSession, monotonic: Monotonic, timeout_s: float
) -> tuple[Look, ServerFacts | None]:
    sent_at: Instant = monotonic()
    answer = await session.again(STATUS, timeout_s=timeout_s)
    if not answer.ok:
        return answer.look, None
    return answer.look, server_facts(answer.row, sent_at)
