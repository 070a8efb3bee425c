"""Whose silence is evidence: a host's look that has seen this very server alive (rule 3)."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from failoverd.core.model import NodeName, NodeReport


@dataclass(frozen=True, slots=True)
class Calibration:
    """In this boot, as this user, the host's look has seen this very server alive."""

    boot_id: str
    user: str
    directory_identity: str
    postmaster_pid: int
    postmaster_started: str


def calibrating(
    known: Mapping[NodeName, Calibration], report: NodeReport
) -> Mapping[NodeName, Calibration]:
    """With what one report adds: its host saw the server that SQL saw; or takes away.

    Started anew, perhaps on another data directory: that look has not seen this server yet.
    """
    server, before = report.server, known.get(report.name)
    if server is None:
        return known
    found = before if _as_before(report, before) else _seen(report) or before
    if found is None or not same_start(server.postmaster_started, found.postmaster_started):
        return {n: one for n, one in known.items() if n != report.name} if before else known
    return known if found == before else {**known, report.name: found}


def _as_before(report: NodeReport, before: Calibration | None) -> bool:
    """There is nothing in this report that a look at its processes could add."""
    facts = report.host.facts
    return before is not None and (
        facts is None
        or (
            facts.postmaster_pid == before.postmaster_pid
            and facts.postmaster_started == before.postmaster_started
            and facts.boot_id == before.boot_id
            and facts.user == before.user
            and facts.directory_identity == before.directory_identity
        )
    )


def _seen(report: NodeReport) -> Calibration | None:
    server, facts = report.server, report.host.facts
    if server is None or facts is None:
        return None
    pids = {pid for pid, _ in facts.processes}
    if (
        server.system_identifier != facts.system_identifier
        or server.backend_pid not in pids
        or facts.postmaster_pid is None
        or facts.postmaster_pid not in pids
        or not facts.listener
        or not same_start(server.postmaster_started, facts.postmaster_started)
    ):
        return None
    return Calibration(
        boot_id=facts.boot_id,
        user=facts.user,
        directory_identity=facts.directory_identity,
        postmaster_pid=facts.postmaster_pid,
        postmaster_started=facts.postmaster_started,
    )


def same_start(by_sql: str, by_host: str) -> bool:
    """Both are seconds of the same host's clock; postmaster.pid is written up to 1 s apart."""
    if by_sql == by_host:
        return by_sql.isdigit()
    try:
        return abs(int(by_sql) - int(by_host)) <= 1
    except ValueError:
        return False
