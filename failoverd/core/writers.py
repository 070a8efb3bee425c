"""Who was seen taking writes."""

from __future__ import annotations

from failoverd.core.memory import Memory
from failoverd.core.model import ClusterView, NodeName, NodeReport


def sole_writable(view: ClusterView, memory: Memory) -> NodeName | None:
    """The one writable node that may be believed, or None.

    No node below the highest confirmed timeline is ever adopted.
    """
    writable = [
        report.name
        for report in _writable(view, memory)
        if report.server is not None and report.server.timeline >= memory.timeline
    ]
    return writable[0] if len(writable) == 1 else None


def overtaken(view: ClusterView, memory: Memory) -> str | None:
    """Where no timeline is remembered: the one that writes is on an older one than another node.

    Whoever wrote on that one is out of sight, and may be the primary.
    """
    name = sole_writable(view, memory)
    server = None if name is None else view.report(name).server
    if name is None or server is None or memory.timeline:
        return None
    for other in view.others(name):
        facts = other.host.facts
        if facts is None or facts.system_identifier != server.system_identifier:
            continue
        if facts.control_timeline > server.timeline:
            return (
                f"{name} takes writes on timeline {server.timeline}, and {other.name} has seen"
                f" timeline {facts.control_timeline}: a later primary is out of sight"
            )
    return None


def writers(view: ClusterView, memory: Memory) -> list[NodeName]:
    """Every node that was seen taking writes at the last look at it."""
    return sorted(report.name for report in _writable(view, memory))


def at_once(view: ClusterView, memory: Memory) -> bool:
    """Two of them at one moment: each was seen writing after the other had begun to.

    The looks of one round are a second apart: whoever was stopped meanwhile, and whoever was
    promoted then, both look writable and are no two.
    """
    seen = [
        (since, report.server.seen_at)
        for report in _writable(view, memory)
        if report.server is not None
        and (since := memory.writable_since.get(report.name)) is not None
    ]
    return any(
        one is not other and one[1] >= other[0] and other[1] >= one[0]
        for one in seen
        for other in seen
    )


def two_writable(view: ClusterView, memory: Memory) -> str | None:
    """Two that look so; enough to hold back, and not yet a split brain."""
    names = sorted(report.name for report in _writable(view, memory))
    return f"{' and '.join(names)} take writes" if len(names) > 1 else None


def strangers(view: ClusterView, memory: Memory) -> list[NodeName]:
    """Other nodes than the primary that were seen taking writes."""
    return sorted(r.name for r in _writable(view, memory) if r.name != memory.primary)


def others_write(view: ClusterView, memory: Memory) -> bool:
    """Another node than the primary was seen taking writes: nothing is started beside it."""
    return bool(strangers(view, memory))


def _writable(view: ClusterView, memory: Memory) -> list[NodeReport]:
    """Of this cluster, or of any where none is known yet."""
    return [
        report
        for report in view.nodes.values()
        if report.writable
        and report.server is not None
        and memory.system_identifier in (None, report.server.system_identifier)
    ]
