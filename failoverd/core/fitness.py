"""Whether a standby could go on from where it stands as this cluster; else why it cannot.

A user's pause of the replay does not refuse: the promotion itself ends it. A standby whose
settings are below the primary's is paused, or will be, by PostgreSQL, and a promotion would
stop it. Source: PostgreSQL documentation, "Administrator's Overview" (Hot Standby).
"""

from __future__ import annotations

from collections.abc import Mapping

from failoverd.core.lsn import Lsn
from failoverd.core.memory import Memory
from failoverd.core.model import Frozen, NodeName, NodeReport, Outcome, ServerFacts

STANDS_STILL_S = 2.0
"""Replay that has not moved for so long has come to the end of what its own disk holds."""


def fit(
    report: NodeReport,
    memory: Memory,
    frozen: Mapping[NodeName, Frozen] | None,
    *,
    salvaged: bool = False,
) -> Lsn | str:
    """Where it stands, or why it may not take over. `frozen` None: a trial, on what is seen.

    `salvaged`: how much it holds is found out by salvage, and need not be known now.
    """
    server = report.server or (report.last_server if frozen is not None else None)
    if server is None:
        return f"does not answer ({report.fresh.outcome})"
    unfit = _unfit(server, report, memory)
    if unfit is None and not salvaged:
        unfit = _unknown(server, report, memory)
    if unfit is not None:
        return unfit
    if frozen is None:
        return server.received_lsn or "its WAL position is unknown"
    found = frozen.get(report.name)
    if found is None:
        return "could not be frozen"
    if found.timeline and found.timeline != memory.timeline:
        return f"stands on timeline {found.timeline}, not {memory.timeline}"
    return found.position


SUSPENDED = frozenset("Tt")
"""By SIGSTOP, or by a debugger: it goes on only when it is told to. Source: proc_pid_stat(5)."""


def postmaster_suspended(report: NodeReport) -> str | None:
    """The session that is held answers: no reload and no promotion gets past its postmaster.

    Source: src/backend/postmaster/postmaster.c; SIGHUP and the promotion's SIGUSR1 go to it.
    """
    facts = report.host.facts if report.host_of_now else None
    if facts is None or report.fresh.outcome is not Outcome.TIMED_OUT:
        return None
    if dict(facts.processes).get(facts.postmaster_pid or 0) not in SUSPENDED:
        return None
    return "its postmaster is suspended (SIGSTOP): it can be neither frozen nor promoted"


def _unfit(server: ServerFacts, report: NodeReport, memory: Memory) -> str | None:
    if not server.in_recovery:
        return "is not in recovery"
    if server.system_identifier != memory.system_identifier:
        return f"belongs to another cluster ({server.system_identifier})"
    if server.version // 10000 != memory.version // 10000:
        return f"runs another major version ({server.version // 10000})"
    timeline = memory.standby_timelines.get(report.name)
    if timeline is None:
        return "was never seen streaming from this cluster"
    if timeline != memory.timeline:
        return f"follows timeline {timeline}, not {memory.timeline}"
    return _would_stop(server, memory)


def _would_stop(server: ServerFacts, memory: Memory) -> str | None:
    """Below the primary's settings, its replay stops there, and a promotion ends the server.

    So does one before its recovery target. Source: src/backend/access/transam/xlogrecovery.c,
    "recovery ended before configured recovery target was reached".
    """
    if server.recovery_target:
        return "a recovery target is set, and promoting it would stop it: ALTER SYSTEM RESET it"
    required = dict(memory.required)
    below = [
        f"{name} is {value}, and the primary's {required[name]}"
        for name, value in server.limits
        if value < required.get(name, value)
    ]
    if below:
        return f"its settings are insufficient, and promoting it would stop it: {below[0]}"
    if server.replay_paused and not (required and server.limits):
        return "its replay is paused, and whether by a user or for its settings is not known"
    return None


def _unknown(server: ServerFacts, report: NodeReport, memory: Memory) -> str | None:
    """Restarted with WAL that it has not replayed yet, it says less than it holds."""
    if not server.position_unknown or server.replay_paused or server.apply_delay_ms:
        return None
    stands = memory.replay_stands.get(report.name)
    if stands is not None and server.seen_at - stands.since >= STANDS_STILL_S:
        return None
    return "was restarted, and replays what its own disk holds: where that ends is not known yet"
