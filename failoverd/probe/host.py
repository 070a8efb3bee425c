"""How a node's host sees it, and how it sees the primary."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping

from failoverd.core.model import NOT_TRIED, HostReport, Instant, Look, Outcome
from failoverd.transport.host import Host, HostAnswer, host_facts
from failoverd.transport.postgres import Monotonic

ROUND_TRIP_S = 1.0
"""What the way there and back may add."""


async def look_at_host(
    host: Host,
    arguments: Mapping[str, str],
    monotonic: Monotonic,
    timeout_s: float,
    *,
    local_socket: bool,
) -> HostReport:
    """Processes, control file and guard; in doubt also an attempt on the Unix socket."""
    status = _status(host, arguments, monotonic, timeout_s)
    if not local_socket:
        return await status
    report, socket = await asyncio.gather(
        status, reach(host, {**arguments, "host": ""}, monotonic, timeout_s)
    )
    return HostReport(report.look, report.facts, socket)


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
    "no_response": Outcome.TIMED_OUT,
}


def _failed(answer: HostAnswer, began: Instant, ended: Instant) -> Look:
    if answer.outcome is Outcome.OK:
        reason = answer.field("reason") or f"exit status {answer.exit_status}"
        return Look(Outcome.REJECTED, began, ended, reason)
    return Look(answer.outcome, began, ended, answer.run.output[:200])
