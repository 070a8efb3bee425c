"""`failoverd check` without a daemon: each node is asked from here. Changes nothing."""

from __future__ import annotations

import asyncio

from failoverd.cli.readiness import Finding
from failoverd.config.models import Configuration
from failoverd.config.policy import to_policy
from failoverd.core.memory import Memory, observe
from failoverd.core.model import ClusterView, NodeName, NodeReport, Outcome
from failoverd.daemon import clock
from failoverd.daemon.nodes import nodes_of
from failoverd.effect.world import Node
from failoverd.probe.node import Attention, NodeProbe

NODES_S = 3.0
OURS = "nothing was asked: put that right here first (or start the daemon, and check again)"


def preflight(name: str, configuration: Configuration) -> list[Finding]:
    """Asks all nodes of a cluster at once."""
    return asyncio.run(_findings(name, configuration))


async def _findings(name: str, configuration: Configuration) -> list[Finding]:
    cluster = configuration.clusters[name]
    nodes = nodes_of(name, cluster)
    found = await asyncio.gather(*(_look(node_name, node) for node_name, node in nodes.items()))
    reports = dict(zip(nodes, found, strict=True))
    memory = observe(Memory(), ClusterView(reports), to_policy(name, cluster))
    each = [one for report in found for one in _of_node(report, memory)]
    return [*each, _of_cluster(reports)]


async def _look(name: NodeName, node: Node) -> NodeReport:
    probe = NodeProbe(name, node.address, node.host, node.arguments, clock.monotonic, lambda: None)
    look = Attention(
        is_primary=False,
        in_doubt=False,
        host=True,
        fresh=True,
        write_check=False,
        primary_address=None,
        timeout_s=NODES_S,
    )
    try:
        return await probe.round(look, lambda: None, lambda _: False)
    finally:
        await probe.close()
        await node.host.close()


def _of_node(report: NodeReport, memory: Memory) -> list[Finding]:
    name = report.name
    sql = report.fresh if not report.fresh.ok else report.held
    found = [
        Finding(name, report.server is not None, f"SQL: {sql.outcome} {sql.detail}".rstrip(),
                OURS if sql.outcome is Outcome.OUR_FAULT else
                "see that the role exists: failoverd grants, and pg_hba.conf on that node"),
        Finding(name, report.host.look.ok,
                f"host: {report.host.look.outcome} {report.host.look.detail}".rstrip(),
                OURS if report.host.look.outcome is Outcome.OUR_FAULT else
                "see that the SSH key logs in, and that bin_dir and data_dir are right"),
    ]  # fmt: skip
    if report.server is None or not report.host.look.ok:
        return found
    calibrated = name in memory.calibrations
    found.append(
        Finding(name, calibrated, "its host sees the server that SQL sees" if calibrated else
                "its host does not see the server that SQL sees: a fence could not be proved",
                "data_dir must be this server's, and the SSH user must own it")
    )  # fmt: skip
    readable = bool(report.server.data_directory) and report.server.receiver_readable
    found.append(
        Finding(name, readable, "the role reads the replication views" if readable else
                "the role lacks pg_monitor", "grant pg_monitor to the role")
    )  # fmt: skip
    return found


def _of_cluster(reports: dict[NodeName, NodeReport]) -> Finding:
    writable = sorted(report.name for report in reports.values() if report.writable)
    text = f"{' and '.join(writable) or 'no node'} takes writes"
    return Finding("cluster", len(writable) == 1, text, "exactly one node must be the primary")
