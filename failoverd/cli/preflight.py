"""`failoverd check` beside the configuration: would a failover work now? Changes nothing."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass

import click

from failoverd.config.models import Configuration
from failoverd.config.policy import to_policy
from failoverd.core.memory import Memory, observe
from failoverd.core.model import ClusterView, NodeName, NodeReport
from failoverd.daemon import clock
from failoverd.daemon.nodes import nodes_of
from failoverd.probe.node import Attention, NodeProbe

NODES_S = 3.0


@dataclass(frozen=True, slots=True)
class Finding:
    node: str
    passed: bool
    sentence: str
    fix: str = ""


def preflight(configuration: Configuration) -> int:
    """Print every finding; 0 where all passed, else 1."""
    failed = 0
    for name in configuration.clusters:
        for finding in asyncio.run(_findings(name, configuration)):
            word = "pass" if finding.passed else "FAIL"
            click.echo(f"{word}  {name}/{finding.node}: {finding.sentence}")
            if not finding.passed:
                failed += 1
                if finding.fix:
                    click.echo(f"      {finding.fix}")
    return 1 if failed else 0


async def _findings(name: str, configuration: Configuration) -> list[Finding]:
    cluster = configuration.clusters[name]
    nodes = nodes_of(name, cluster)
    reports: dict[NodeName, NodeReport] = {}
    for node_name, node in nodes.items():
        probe = NodeProbe(
            node_name, node.address, node.host, node.arguments, clock.monotonic, lambda: None
        )
        look = Attention(
            is_primary=False,
            in_doubt=False,
            host=True,
            fresh=True,
            write_check=False,
            primary_address=None,
            timeout_s=NODES_S,
        )
        reports[node_name] = await probe.round(look, lambda: None, lambda _: False)
        await probe.close()
        await node.host.close()
    memory = observe(Memory(), ClusterView(reports), to_policy(name, cluster))
    found = [one for report in reports.values() for one in _of_node(report, memory)]
    return [*found, _of_cluster(reports)]


def _of_node(report: NodeReport, memory: Memory) -> list[Finding]:
    name = report.name
    sql = report.fresh if not report.fresh.ok else report.held
    found = [
        Finding(name, report.server is not None, f"SQL: {sql.outcome} {sql.detail}".rstrip(),
                "see that the role exists: failoverd grants, and pg_hba.conf on that node"),
        Finding(name, report.host.look.ok,
                f"host: {report.host.look.outcome} {report.host.look.detail}".rstrip(),
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
