"""What each vantage point said, and how long before the decision: the report's evidence."""

from __future__ import annotations

from failoverd.core.model import (
    Cause,
    ClusterView,
    DaemonReport,
    HostReport,
    Instant,
    Look,
    NodeReport,
    Outcome,
    ServerFacts,
)


def seen(view: ClusterView, at: Instant) -> tuple[str, ...]:
    """One line for each look at each node, with its age in seconds at the instant `at`."""
    nodes = [
        f"{name}: {line}" for name, report in sorted(view.nodes.items()) for line in _of(report, at)
    ]
    return (*nodes, *(_told(one, at) for _, one in sorted(view.daemons.items())))


def _told(daemon: DaemonReport, at: Instant) -> str:
    reaches = "reaches" if daemon.heard else "does not reach"
    return f"the daemon {daemon.name} {reaches} {daemon.primary}, {_age(daemon.looked_at, at)}"


def _of(report: NodeReport, at: Instant) -> list[str]:
    looks = [
        ("the held session", report.held),
        ("a fresh connection", report.fresh),
        ("the write check", report.write),
        ("its own Unix socket", report.host.local_socket),
        ("from its host to the primary", report.reach_primary),
    ]
    lines = [_look(what, look, at) for what, look in looks if look.outcome is not _UNTRIED]
    if report.server is not None:
        lines.append(f"{_server(report.server)}, {_age(report.server.seen_at, at)}")
    lines += _host(report.host, at)
    if report.cause is not Cause.BEAT:
        lines.append(f"was looked at because {report.cause}")
    return [*lines, "our own loop was late: this round proves nothing"] if report.ours else lines


_UNTRIED = Outcome.NOT_TRIED


def _look(what: str, look: Look, at: Instant) -> str:
    detail = " ".join(look.detail.split())
    said = f" ({detail})" if detail and not look.ok else ""
    return f"{what}: {look.outcome}{said}, {_age(look.ended_at, at)}"


def _age(seen_at: Instant, at: Instant) -> str:
    return f"{max(0.0, at - seen_at):.2f} s before"


def _server(server: ServerFacts) -> str:
    if not server.in_recovery:
        return f"takes writes on timeline {server.timeline}, at {server.written_lsn}"
    upstream = "receives from nobody"
    if server.receiver is not None:
        receiver = server.receiver
        upstream = f"{receiver.status} from {receiver.sender_host}:{receiver.sender_port}"
    elif not server.receiver_readable:
        upstream = "does not say from whom it receives (our role lacks pg_monitor)"
    return f"a standby that has received {server.received_lsn}, {upstream}"


def _host(host: HostReport, at: Instant) -> list[str]:
    if host.look.outcome is _UNTRIED:
        return []
    facts = host.facts
    if facts is None:
        return [_look("its host", host.look, at)]
    running = f"{len(facts.processes)} processes" if facts.processes else "no process"
    listening = "listens" if facts.listener else "does not listen"
    control = f"the control file says {facts.control_state.value!r}"
    if facts.recovering:
        control += f", recovering {facts.recovering}"
    age = _age(facts.seen_at, at)
    return [f"its host: {running} of the data directory, {listening}, {control}, {age}"]
