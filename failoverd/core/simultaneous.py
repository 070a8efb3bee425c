"""Who takes writes at one moment, from looks that are a second apart."""

from __future__ import annotations

from collections.abc import Mapping

from failoverd.core.model import ClusterView, Instant, NodeName


def writing_since(
    before: Mapping[NodeName, Instant], view: ClusterView
) -> Mapping[NodeName, Instant]:
    """Since which look each node was seen taking writes at every one."""
    return {
        report.name: before.get(report.name, report.server.seen_at)
        for report in view.nodes.values()
        if report.server is not None and report.writable
    }
