"""What a database host, and our own, tell for readiness."""

from __future__ import annotations

import asyncio
import os
from collections.abc import Callable, Mapping
from pathlib import Path

from failoverd.core.model import Look, Outcome, WallTime
from failoverd.core.survey import HostStanding, OwnStanding
from failoverd.transport.host import Host, HostAnswer
from failoverd.transport.postgres import Monotonic

CENTISECONDS = 100.0


async def host_standing(
    host: Host,
    arguments: Mapping[str, str],
    monotonic: Monotonic,
    wall: Callable[[], WallTime],
    timeout_s: float,
) -> tuple[Look, HostStanding | None]:
    """One round trip of the verb `readiness`."""
    began, began_at = monotonic(), wall()
    answer = await host.call("readiness", arguments, timeout_s=timeout_s)
    ended, ended_at = monotonic(), wall()
    if not answer.done:
        rejected = answer.outcome is Outcome.OK
        outcome = Outcome.REJECTED if rejected else answer.outcome
        said = answer.field("reason") or answer.run.output[:200]
        return Look(outcome, began, ended, said), None
    try:
        found = standing_of(answer, ended - began, began_at, ended_at)
    except ValueError:
        return Look(Outcome.UNKNOWN, began, ended, "the answer was not understood"), None
    return Look(Outcome.OK, began, ended), found


def standing_of(
    answer: HostAnswer, round_trip_s: float, asked_at: WallTime, answered_at: WallTime
) -> HostStanding:
    """Raises ValueError where the answer is not what the verb says."""
    owns = answer.field("owns_data") == "yes"
    return HostStanding(
        user=answer.field("user"),
        owns_data=owns,
        major=int(answer.field("major")) if owns else 0,
        tools={
            name.removeprefix("tool_"): told[0]
            for name, told in answer.fields.items()
            if name.startswith("tool_")
        },
        data_free_bytes=_number(answer.field("data_free")),
        wal_free_bytes=_number(answer.field("wal_free")),
        local_sql=answer.field("local_sql"),
        epoch_kept=answer.field("epoch_kept"),
        unit=answer.field("unit"),
        unit_loaded=answer.field("unit_load") in ("", "loaded"),
        restart=answer.field("unit_restart"),
        sudo={"yes": True, "no": False}.get(answer.field("sudo")),
        address_secondary=answer.field("address") == "secondary",
        login_s=max(0.0, round_trip_s - int(answer.field("took")) / CENTISECONDS),
        clock_ahead_s=_ahead(int(answer.field("clock")), asked_at, answered_at),
    )


def _number(text: str) -> int | None:
    return int(text) if text else None


def _ahead(theirs: int, asked_at: WallTime, answered_at: WallTime) -> float:
    """Whole seconds were told, some time between the question and the answer."""
    if theirs + 1 < asked_at:
        return theirs + 1 - asked_at
    return max(0.0, theirs - answered_at)


async def own_standing(state_dir: Path, *, in_daemon: bool) -> OwnStanding:
    """Of the host that failoverd runs on."""
    return await asyncio.to_thread(_own, state_dir, in_daemon=in_daemon)


def _own(state_dir: Path, *, in_daemon: bool) -> OwnStanding:
    told = str(state_dir)
    try:
        disk = os.statvfs(state_dir)
    except OSError as error:
        return OwnStanding(in_daemon, told, error.strerror or str(error))
    fault = "" if os.access(state_dir, os.W_OK | os.X_OK) else "permission denied"
    return OwnStanding(in_daemon, told, fault, disk.f_bavail * disk.f_frsize)
