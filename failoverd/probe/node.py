"""One round of looks at one node: by SQL always, through its host when due or in doubt."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping
from dataclasses import dataclass

from failoverd.core.model import (
    NOT_TRIED,
    Cause,
    HostReport,
    Instant,
    Look,
    NodeName,
    NodeReport,
    Outcome,
    ServerFacts,
)
from failoverd.probe.host import look_at_host, reach
from failoverd.probe.sql import SqlProbe, SqlRound
from failoverd.transport.host import Host
from failoverd.transport.postgres import Monotonic, SqlAddress, SqlSession

HESITATION_S = 0.2
"""A primary that has said nothing for so long is asked about, before its time-out."""
OUR_LAG_S = HESITATION_S / 2
"""A loop that was late by more cannot tell who hesitates: whoever has answered is not heard yet,
and to ask more would make it later still."""
LagSince = Callable[[Instant], float]
"""What the worst lag of our own loop has been since then, in seconds."""
LEAST_S = 0.3
"""An attempt on a Unix socket is given at least so long."""


@dataclass(frozen=True, slots=True)
class Attention:
    """What a round should look at, beside SQL."""

    is_primary: bool
    in_doubt: bool
    host: bool
    fresh: bool
    write_check: bool
    primary_address: tuple[str, int] | None
    timeout_s: float


class _Hesitation:
    """Tells once, when nothing was heard for so long that was no lag of ours.

    Not a function within the round: one that begins itself anew refers to itself, and to look for
    such garbage would take longer than all rounds.
    """

    def __init__(self, monotonic: Monotonic, lag_since: LagSince, tell: Callable[[], None]) -> None:
        self._monotonic = monotonic
        self._lag_since = lag_since
        self._tell = tell
        self._wait()

    def _wait(self) -> None:
        call_later = asyncio.get_running_loop().call_later
        self._timer = call_later(HESITATION_S, self._over, self._monotonic())

    def _over(self, since: Instant) -> None:
        if self._lag_since(since) > OUR_LAG_S:
            self._wait()
        else:
            self._tell()

    def cancel(self) -> None:
        self._timer.cancel()


class NodeProbe:
    """The standing session of a node and its rounds."""

    def __init__(
        self,
        name: NodeName,
        address: SqlAddress,
        host: Host,
        arguments: Mapping[str, str],
        monotonic: Monotonic,
        on_death: Callable[[], None],
    ) -> None:
        self.name = name
        self._host = host
        self._arguments = arguments
        self._monotonic = monotonic
        self._sql = SqlProbe(address, monotonic, on_death)
        self._round = 0
        self._last_server: ServerFacts | None = None
        self._last_host = HostReport()
        self._last_write = NOT_TRIED

    @property
    def held(self) -> SqlSession | None:
        return self._sql.held

    async def round(
        self,
        attention: Attention,
        raise_doubt: Callable[[], None],
        lag_since: LagSince,
        cause: Cause = Cause.BEAT,
    ) -> NodeReport:
        """Bounded by about twice the poll's time-out; whatever fails is a fact in the report."""
        began = self._monotonic()
        self._round += 1
        reached = NOT_TRIED
        if attention.in_doubt or attention.host:
            found, host, reached = await self._closely(attention, raise_doubt, lag_since)
        else:
            found, host = await self._calmly(attention, raise_doubt, lag_since)
        if found.server is not None:
            self._last_server = found.server
        if found.write.outcome is not Outcome.NOT_TRIED:
            self._last_write = found.write
        if host is not None:
            self._last_host = host
        return NodeReport(
            name=self.name,
            round=self._round,
            began_at=began,
            held=found.held,
            fresh=found.fresh,
            server=found.server,
            last_server=self._last_server,
            write=self._last_write,
            host=self._last_host,
            reach_primary=reached,
            cause=cause,
            ours=_is_ours(attention, lag_since(began)) or found.fresh.outcome is Outcome.OUR_FAULT,
        )

    async def _calmly(
        self, attention: Attention, raise_doubt: Callable[[], None], lag_since: LagSince
    ) -> tuple[SqlRound, HostReport | None]:
        """By SQL alone and without a task, as long as a primary does not hesitate."""
        if not attention.is_primary:
            return await self._by_sql(attention), None
        asked: list[asyncio.Task[HostReport]] = []
        began = self._monotonic()

        def ask() -> None:
            raise_doubt()
            late_s = self._monotonic() - began
            look = self._host_report(attention, local_socket=True, late_s=late_s)
            asked.append(group.create_task(look))

        async with asyncio.TaskGroup() as group:
            hesitation = _Hesitation(self._monotonic, lag_since, ask)
            try:
                found = await self._by_sql(attention)
            finally:
                hesitation.cancel()
            if not (asked or _answers(found) or _is_ours(attention, lag_since(began))):
                ask()
        return found, asked[0].result() if asked else None

    async def _closely(
        self, attention: Attention, raise_doubt: Callable[[], None], lag_since: LagSince
    ) -> tuple[SqlRound, HostReport | None, Look]:
        """In every way that is asked for, side by side."""
        async with asyncio.TaskGroup() as group:
            sql = group.create_task(self._by_sql(attention))
            reached = group.create_task(self._reach_primary(attention))
            host = await self._look_at_host(attention, sql, raise_doubt, lag_since)
        return sql.result(), host, reached.result()

    async def _by_sql(self, attention: Attention) -> SqlRound:
        return await self._sql.round(
            attention.timeout_s,
            write_check=attention.write_check,
            fresh_due=attention.fresh or attention.in_doubt,
        )

    async def _look_at_host(
        self,
        attention: Attention,
        sql: asyncio.Task[SqlRound],
        raise_doubt: Callable[[], None],
        lag_since: LagSince,
    ) -> HostReport | None:
        if attention.in_doubt and attention.is_primary:
            return await self._host_report(attention, local_socket=True)
        began = since = self._monotonic()
        await asyncio.wait({sql}, timeout=HESITATION_S)
        while not sql.done() and lag_since(since) > OUR_LAG_S:
            since = self._monotonic()
            await asyncio.wait({sql}, timeout=HESITATION_S)
        hesitates = not sql.done()
        failed = not (hesitates or _answers(sql.result()) or _is_ours(attention, lag_since(began)))
        if attention.is_primary and (hesitates or failed):
            raise_doubt()
            late_s = self._monotonic() - began if hesitates else 0.0
            return await self._host_report(attention, local_socket=True, late_s=late_s)
        if attention.host:
            return await self._host_report(attention, local_socket=False)
        return None

    async def _host_report(
        self, attention: Attention, *, local_socket: bool, late_s: float = 0.0
    ) -> HostReport:
        """The attempt on the socket ends with the round's other looks, not after them."""
        socket_s = (attention.timeout_s - late_s) * 0.9
        return await look_at_host(
            self._host,
            self._arguments,
            self._monotonic,
            max(attention.timeout_s, 1.0),
            socket_s=max(LEAST_S, socket_s) if local_socket else None,
        )

    async def _reach_primary(self, attention: Attention) -> Look:
        if attention.is_primary or not attention.in_doubt or attention.primary_address is None:
            return NOT_TRIED
        host, port = attention.primary_address
        arguments = {**self._arguments, "host": host, "port": str(port)}
        return await reach(self._host, arguments, self._monotonic, attention.timeout_s)

    async def close(self) -> None:
        await self._sql.close()


def _is_ours(attention: Attention, lag_s: float) -> bool:
    """A round in which our own loop was so late is no evidence."""
    return lag_s > attention.timeout_s / 4


def _answers(found: SqlRound) -> bool:
    return found.held.ok and found.fresh.ok
