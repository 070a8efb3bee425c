"""Who follows whom: what a standby must do for its new upstream, and when that is done.

A standby that was told is believed only once it streams on the primary's timeline and its
upstream says that it sends to it. `waiting` on an older timeline, long after it was told, is
a standby that is ahead of where the new timeline forked off: it has diverged.
Source: PostgreSQL documentation, "pg_stat_wal_receiver"; src/backend/replication/walreceiver.c.
"""

from __future__ import annotations

from failoverd.core.memory import Memory, direct
from failoverd.core.model import (
    FROZEN_SLOT,
    ClusterView,
    Guard,
    NodeName,
    NodeReport,
    ServerFacts,
)
from failoverd.core.policy import Policy

WAITING = "waiting"
CASCADE_ATTEMPTS = 2
"""How often a standby is led to another standby, before it is led to the primary."""


def upstream_for(node: NodeName, view: ClusterView, memory: Memory, attempt: int) -> NodeName:
    """The primary; for a standby of another standby that one, unless that led to nothing."""
    assert memory.primary is not None
    own = memory.upstreams.get(node)
    server = None if own is None else view.report(own).server
    cascades = server is not None and server.in_recovery and attempt < CASCADE_ATTEMPTS
    return own if own is not None and cascades else memory.primary


def follows(report: NodeReport, view: ClusterView, memory: Memory, policy: Policy) -> bool:
    """It streams on the primary's timeline, and its upstream sends to it."""
    server = report.server
    if server is None or memory.primary is None or not streams_on(server, memory):
        return False
    assert server.receiver is not None
    upstream: NodeName | None = memory.primary
    if not direct(server.receiver, memory.primary, policy):
        upstream = node_at(server.receiver.sender_host, server.receiver.sender_port, policy)
    sender = None if upstream is None else view.report(upstream).server
    return sender is not None and sends_to(sender, report.name, memory, policy)


def streams_on(server: ServerFacts, memory: Memory) -> bool:
    return (
        server.in_recovery
        and server.system_identifier == memory.system_identifier
        and server.timeline == memory.timeline
        and server.receiver is not None
        and server.receiver.streams
    )


def sends_to(sender: ServerFacts, node: NodeName, memory: Memory, policy: Policy) -> bool:
    """By the name that the standby gives itself, by its address, or as the one left over."""
    known = {n: _names(n, memory) for n in policy.nodes}
    addresses = {policy.nodes[n].host: n for n in policy.nodes}
    for row in sender.senders:
        if not row.streams:
            continue
        by_name = {n for n, names in known.items() if row.application_name.lower() in names}
        found = by_name or {addresses.get(row.client_address, node)}
        if node in found:
            return True
    return False


def _names(node: NodeName, memory: Memory) -> set[str]:
    return {node.lower(), memory.application_names.get(node, node).lower()}


def node_at(host: str, port: int, policy: Policy) -> NodeName | None:
    """The node of that address, where one has it."""
    found = [n for n, node in policy.nodes.items() if (node.host, node.port) == (host, port)]
    return found[0] if len(found) == 1 else None


def diverged(report: NodeReport, memory: Memory) -> bool:
    """It reached an upstream, and cannot go on from where it stands."""
    server = report.server
    return (
        server is not None
        and server.in_recovery
        and server.receiver is not None
        and server.receiver.status == WAITING
        and server.timeline < memory.timeline
    )


def under_our_guard(report: NodeReport) -> bool:
    """Our marker lay beside its standby.signal when its host was last looked at."""
    facts = report.host.facts
    return facts is not None and facts.guard is Guard.OURS


def late(report: NodeReport, view: ClusterView, memory: Memory, policy: Policy) -> bool:
    """A standby whose settings lead to a node that is nobody's upstream any more.

    It was away during the failover, or somebody put old settings back. Whoever is frozen by
    another daemon, guarded, or led elsewhere than to our nodes, is left alone.
    """
    server = report.server
    if server is None or not server.in_recovery or under_our_guard(report):
        return False
    if server.system_identifier != memory.system_identifier or report.name == memory.primary:
        return False
    if server.primary_slot_name.startswith(FROZEN_SLOT):
        return False
    if server.receiver is not None and server.receiver.streams:
        return False
    led_to = node_at(server.upstream_host, server.upstream_port, policy)
    if led_to is None or led_to in (memory.primary, report.name):
        return False
    there = view.report(led_to).server
    return there is None or not streams_on(there, memory)
