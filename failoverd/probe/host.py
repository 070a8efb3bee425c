"""How a node's host sees it, and how it sees the primary."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping

from failoverd.core.model import NOT_TRIED, HostReport, Instant, Look, Outcome
from failoverd.transport.host import Host, HostAnswer, host_facts
from failoverd.transport.postgres import Monotonic

ROUND_TRIP_S = 1.0
"""What the way there and back may add."""
SILENT_HOST_S = 0.1
"""So long a host that has not answered the one look is still waited for with the other."""


async def look_at_host(
    host: Host,
    arguments: Mapping[str, str],
    monotonic: Monotonic,
    timeout_s: float,
    *,
    socket_s: float | None,
) -> HostReport:
    """Processes, control file and guard; in doubt also an attempt on the Unix socket.

    `socket_s`: the seconds that attempt may take; None: it is not made.
    """
    status = _status(host, arguments, monotonic, timeout_s)
    if socket_s is None:
        return await status
    began = monotonic()
    socket = asyncio.create_task(reach(host, {**arguments, "host": ""}, monotonic, socket_s))
    try:
        report = await status
        if not report.look.ok:
            # A host that is gone must not make each round of looks twice as long.
            await asyncio.wait({socket}, timeout=SILENT_HOST_S)
            if not socket.done():
                untold = Look(NOT_TRIED.outcome, began, monotonic(), "its host tells nothing")
                return HostReport(report.look, None, untold)
        return HostReport(report.look, report.facts, await socket)
    finally:
        socket.cancel()


async def _status(
    host: Host, arguments: Mapping[str, str], monotonic: Monotonic, timeout_s: float
) -> HostReport:
    began = monotonic()
    answer = await host.call("status", arguments, timeout_s=timeout_s)
    ended = monotonic()
    if not answer.done:
        return HostReport(_failed(answer, began, ended))
    facts = host_facts(answer, began)
    if facts is None:
        return HostReport(Look(Outcome.UNKNOWN, began, ended, "the answer was not understood"))
    return HostReport(Look(Outcome.OK, began, ended), facts)


async def reach(
    host: Host, arguments: Mapping[str, str], monotonic: Monotonic, timeout_s: float
) -> Look:
    """From this host: does a server answer there? Source: pg_isready(1)."""
    began = monotonic()
    asked = {**arguments, "seconds": f"{timeout_s:.1f}"}
    answer = await host.call("reach", asked, timeout_s=timeout_s + ROUND_TRIP_S)
    ended = monotonic()
    if not answer.done:
        # This vantage point could not try: that says nothing about the primary.
        return Look(NOT_TRIED.outcome, began, ended, answer.field("reason") or answer.outcome)
    word = answer.field("answer")
    return Look(_REACH.get(word, Outcome.NOT_TRIED), began, ended, word)


_REACH = {
    "accepting": Outcome.OK,
    "rejecting": Outcome.REJECTED,
    "nobody": Outcome.REFUSED,
    "no_response": Outcome.TIMED_OUT,
}


def _failed(answer: HostAnswer, began: Instant, ended: Instant) -> Look:
    if answer.outcome is Outcome.OK:
        reason = answer.field("reason") or f"exit status {answer.exit_status}"
        return Look(Outcome.REJECTED, began, ended, reason)
    return Look(answer.outcome, began, ended, answer.run.output[:200])
