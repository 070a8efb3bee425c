"""What the API, the page and `failoverd status` show of one cluster. Holds no secret."""

from __future__ import annotations

from typing import Any

from failoverd.core.arming import why_not
from failoverd.core.dead_man import Phase
from failoverd.core.decision import cooldown_remaining_s
from failoverd.core.diagnosis import ROW_OF, Diagnosis, diagnose
from failoverd.core.events import Now
from failoverd.core.model import Lsn, NodeName, NodeReport, ServerFacts
from failoverd.core.operator import mode_of
from failoverd.core.outlook import outlook
from failoverd.core.policy import Policy, TargetName
from failoverd.core.replaying import backlog_bytes, backlog_sentence
from failoverd.core.sentences import state_sentence, words
from failoverd.core.situation import Machine
from failoverd.core.states import Blocked, Suspect, name_of
from failoverd.core.switchover import obstacles


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
        "diagnosis_detail": _detail(m, now, policy),
        "journal_failing": m.view.journal_failing,
        "would": m.state.would if isinstance(m.state, Suspect) else "",
        "primary": m.memory.primary,
        "timeline": m.memory.timeline,
        "system_identifier": m.memory.system_identifier,
        "epoch": m.epoch,
        "mode": str(mode_of(m, policy)),
        "consecutive_failures": m.memory.failed_rounds,
        "paused_by": m.paused_by,
        "cooldown_remaining_s": round(cooldown_remaining_s(m, now, policy), 1),
        "blocked": _blocked(m, now),
        "incident": _incident(m),
        "split_brain": m.split or None,
        "scheduled": _scheduled(m, now),
        "plan_ended": m.plan_ended,
        "switchover_obstacles": list(obstacles(m, None, policy)),
        "outlook": {"would": view.would, "why": view.why, "obstacles": list(view.obstacles)},
        "dead_man": _dead_man(m, now, policy),
        "nodes": {n: _node(n, m, now, policy) for n in sorted(policy.nodes)},
        "targets": {n: _target(n, m, now) for n in sorted(m.targets)},
    }


def _detail(m: Machine, now: Now, policy: Policy) -> str:
    """The words that were heard, and how long a primary that takes its time has been at it."""
    if not m.looked_at:
        return ""
    limits = {
        Diagnosis.RECOVERING: ("recovery_limit", policy.recovery_limit_s),
        Diagnosis.BUSY: ("busy_limit", policy.busy_limit_s),
        Diagnosis.HALF_HUNG: ("half_hung_after", policy.half_hung_after_s),
    }
    match m.state:
        case Suspect(diagnosis=diagnosis, since=since) if diagnosis in limits:
            key, limit_s = limits[diagnosis]
            lasted = f" for {now.monotonic - since:.0f} s ({key} is {limit_s:.0f} s)"
        case _:
            lasted = ""
    return f"{words(m).strip()}{lasted}".strip()


def _dead_man(m: Machine, now: Now, policy: Policy) -> dict[str, Any] | None:
    """None where the ladder has none."""
    armed = m.dead_man
    if policy.dead_man is None and armed is None:
        return None
    return {
        "armed": armed is not None and armed.phase is Phase.ARMED,
        "why": why_not(m, now, policy),
        "phase": str(armed.phase) if armed is not None else None,
        "node": armed.node if armed is not None else None,
        "standbys": sorted(armed.standbys) if armed is not None else [],
    }


def _blocked(m: Machine, now: Now) -> dict[str, Any] | None:
    match m.state:
        case Blocked(reason=reason, why=why, advice=advice, retry_at=retry_at):
            retry = round(max(0.0, retry_at - now.monotonic), 1)
            return {"reason": str(reason), "why": why, "advice": advice, "retry_in_s": retry}
        case _:
            return None


def _scheduled(m: Machine, now: Now) -> dict[str, Any] | None:
    plan = m.scheduled
    if plan is None:
        return None
    kind = "switchover" if plan.home is None else "drill"
    return {
        "kind": kind,
        "by": plan.by,
        "to": plan.to,
        "at": plan.at,
        "in_s": round(plan.at - now.wall, 1),
        "home": plan.home,
    }


def _incident(m: Machine) -> dict[str, Any] | None:
    if m.incident is None:
        return None
    return {
        "epoch": m.incident.epoch,
        "trigger": str(m.incident.trigger),
        "diagnosis": str(m.incident.diagnosis),
        "by": m.incident.by,
    }


def _target(name: TargetName, m: Machine, now: Now) -> dict[str, Any]:
    """One of the applications' ways: where it was last seen to lead, and whether that is right."""
    job, report = m.targets[name], m.targets_seen.get(name)
    seen = report is not None and report.look.began_at > job.since
    points_at = report.points_at if report is not None and seen else {job.points_at} - {None}
    waits = None if job.retry_at is None else round(max(0.0, job.retry_at - now.monotonic), 1)
    return {
        "leads_to": sorted(str(node) for node in points_at),
        "owed": job.points_at is None or job.points_at != m.memory.primary,
        "reached": report.look.ok if report is not None else None,
        "sentence": report.sentence if report is not None else "",
        "seen_s_ago": None if report is None else round(now.monotonic - report.look.began_at, 3),
        "failures": job.failures,
        "retry_in_s": waits,
    }


def _node(name: NodeName, m: Machine, now: Now, policy: Policy) -> dict[str, Any]:
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
        "replay_backlog_bytes": backlog_bytes(server),
        "replay": backlog_sentence(server, m.memory.replay_stands.get(name)),
        "replay_paused": server is not None and server.replay_paused,
        "follows": _follows(server, policy),
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
        "recovering": report.host.facts.recovering if report.host.facts is not None else "",
        "guard": str(report.host.facts.guard) if report.host.facts is not None else None,
        "other_manager": m.memory.other_managers.get(name, ""),
        "job": str(job.job) if job is not None else "ok",
        "job_detail": job.said if job is not None else "",
        "divergence": _divergence(m, name),
    }


def _follows(server: ServerFacts | None, policy: Policy) -> str | None:
    """The node that it streams from, or the address where that is none of them."""
    receiver = server.receiver if server is not None else None
    if receiver is None or not receiver.sender_host:
        return None
    where = (receiver.sender_host, receiver.sender_port)
    named = (name for name, node in policy.nodes.items() if (node.host, node.port) == where)
    return next(named, f"{where[0]}:{where[1]}")


def _divergence(m: Machine, node: NodeName) -> dict[str, Any] | None:
    """What only this node has written, as far as it was counted."""
    known = m.divergences.get(node)
    if known is None or known.divergence is None:
        return None
    found = known.divergence
    return {
        "against": found.against,
        "fork": str(found.fork),
        "timeline": found.timeline,
        "commits": found.commits,
        "wal_bytes": found.wal_bytes,
        "complete": found.complete,
        "running": found.running,
        "commands": list(found.commands),
        "sentence": found.sentence,
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
