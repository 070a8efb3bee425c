"""What the API, the page and `failoverd status` show of one cluster. Holds no secret."""

from __future__ import annotations

from typing import Any

from failoverd.core.decision import cooldown_remaining_s
from failoverd.core.diagnosis import ROW_OF, diagnose
from failoverd.core.events import Now
from failoverd.core.model import Lsn, NodeName, NodeReport, ServerFacts
from failoverd.core.outlook import outlook
from failoverd.core.policy import Policy
from failoverd.core.sentences import state_sentence
from failoverd.core.situation import Machine
from failoverd.core.states import Blocked, name_of


def status_document(name: str, m: Machine, now: Now, policy: Policy) -> dict[str, Any]:
    """JSON-able; times are seconds, positions as PostgreSQL writes them."""
    diagnosis = diagnose(m.view, m.memory, policy) if m.looked_at else None
    view = outlook(m, now, policy)
    return {
        "cluster": name,
        "state": str(name_of(m.state)),
        "sentence": state_sentence(m),
        "since_s": round(max(0.0, now.monotonic - m.entered_at), 3),
        "diagnosis": str(diagnosis) if diagnosis is not None else None,
        "diagnosis_sentence": ROW_OF[diagnosis].sentence if diagnosis is not None else None,
        "primary": m.memory.primary,
        "timeline": m.memory.timeline,
        "system_identifier": m.memory.system_identifier,
        "epoch": m.epoch,
        "mode": str(policy.mode),
        "consecutive_failures": m.memory.failed_rounds,
        "paused_by": m.paused_by,
        "cooldown_remaining_s": round(cooldown_remaining_s(m, now, policy), 1),
        "blocked": _blocked(m, now),
        "incident": _incident(m),
        "outlook": {"would": view.would, "why": view.why, "obstacles": list(view.obstacles)},
        "nodes": {n: _node(n, m, now) for n in sorted(policy.nodes)},
    }


def _blocked(m: Machine, now: Now) -> dict[str, Any] | None:
    match m.state:
        case Blocked(reason=reason, why=why, advice=advice, retry_at=retry_at):
            retry = round(max(0.0, retry_at - now.monotonic), 1)
            return {"reason": str(reason), "why": why, "advice": advice, "retry_in_s": retry}
        case _:
            return None


def _incident(m: Machine) -> dict[str, Any] | None:
    if m.incident is None:
        return None
    return {
        "epoch": m.incident.epoch,
        "trigger": str(m.incident.trigger),
        "diagnosis": str(m.incident.diagnosis),
        "by": m.incident.by,
    }


def _node(name: NodeName, m: Machine, now: Now) -> dict[str, Any]:
    report = m.view.report(name)
    server = report.server
    job = m.jobs.get(name)
    return {
        "up": report.heard,
        "role": _role(report),
        "expected_primary": name == m.memory.primary,
        "held": str(report.held.outcome),
        "fresh": str(report.fresh.outcome),
        "detail": report.fresh.detail or report.held.detail,
        "timeline": server.timeline if server is not None else None,
        "lsn": _text(_position(server)),
        "lag_bytes": lag_bytes(report, m),
        "receiver": server.receiver.status if server is not None and server.receiver else None,
        "slots": [
            {
                "name": slot.name,
                "active": slot.active,
                "wal_status": slot.wal_status,
                "retained_bytes": slot.retained_bytes,
            }
            for slot in (server.slots if server is not None else ())
        ],
        "seen_s_ago": round(now.monotonic - report.began_at, 3) if report.round else None,
        "host": str(report.host.look.outcome),
        "host_detail": report.host.look.detail,
        "calibrated": name in m.memory.calibrations,
        "guard": str(report.host.facts.guard) if report.host.facts is not None else None,
        "job": str(job.job) if job is not None else "ok",
    }


def _role(report: NodeReport) -> str:
    if report.server is None:
        return "unknown"
    return "standby" if report.server.in_recovery else "primary"


def _position(server: ServerFacts | None) -> Lsn | None:
    if server is None:
        return None
    return server.received_lsn if server.in_recovery else server.written_lsn


def _text(lsn: Lsn | None) -> str | None:
    return str(lsn) if lsn is not None else None


def lag_bytes(report: NodeReport, m: Machine) -> int | None:
    """Behind the primary's last known position; None for the primary and where unknown."""
    server = report.server
    if server is None or not server.in_recovery or server.received_lsn is None:
        return None
    if m.memory.primary_lsn is None:
        return None
    return max(0, m.memory.primary_lsn - server.received_lsn)
