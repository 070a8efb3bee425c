"""`failoverd check` without a daemon: each node is asked from here. Changes nothing."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from typing import Any

from failoverd.config.means import means_of
from failoverd.config.models import Configuration
from failoverd.config.policy import to_policy
from failoverd.core.memory import Memory, observe
from failoverd.core.model import ClusterView, NodeName, NodeReport
from failoverd.core.policy import Policy, TargetName
from failoverd.core.readiness import readiness
from failoverd.core.situation import Machine
from failoverd.core.target import TargetReport
from failoverd.core.writers import sole_writable
from failoverd.daemon import clock
from failoverd.daemon.coordination import seen_in_etcd
from failoverd.daemon.nodes import nodes_of
from failoverd.daemon.survey import Findings, survey_of
from failoverd.daemon.targets import close_ways, ways_of
from failoverd.effect.redirect.target import look_at
from failoverd.effect.world import Node, World
from failoverd.observability.readiness import readiness_document
from failoverd.probe.node import Attention, NodeProbe

NODES_S = 3.0


def preflight(name: str, configuration: Configuration) -> dict[str, Any]:
    """The readiness of a cluster, as the daemon would tell it."""
    return asyncio.run(_document(name, configuration))


async def _document(name: str, configuration: Configuration) -> dict[str, Any]:
    cluster = configuration.clusters[name]
    policy, means = to_policy(name, cluster), means_of(cluster)
    nodes, ways = nodes_of(name, cluster), ways_of(cluster)
    found = Findings()
    try:
        async with asyncio.TaskGroup() as group:
            looks = [group.create_task(_look(one, node)) for one, node in nodes.items()]
            for node in nodes.values():
                group.create_task(found.look(node))
            state_dir = configuration.daemon.state_dir
            group.create_task(found.look_at_ourselves(state_dir, in_daemon=False))
        machine = _seen({look.result().name: look.result() for look in looks}, policy)
        world = World(
            nodes=nodes, memory=machine.memory, view=machine.view, limits=policy.limits,
            monotonic=clock.monotonic, boottime=clock.boottime, poll_timeout_s=policy.timeout_s,
            targets=ways, cluster=name,
        )  # fmt: skip
        async with asyncio.TaskGroup() as group:
            for node in nodes.values():
                group.create_task(found.try_rungs(node))
            targets = [group.create_task(look_at(one, world)) for one in ways]
    finally:
        await asyncio.gather(*(node.host.close() for node in nodes.values()), close_ways(ways))
    reports = [report for target in targets if (report := target.result()) is not None]
    seen: dict[TargetName, TargetReport] = {report.name: report for report in reports}
    machine = replace(machine, targets_seen=seen)
    shared = await seen_in_etcd(configuration.daemon, name)
    survey = survey_of(found, machine, clock.now(), policy, means)
    survey = replace(survey, dead_man=None, shared=shared)
    return readiness_document(readiness(survey), survey.objectives, 0.0)


def _seen(reports: dict[NodeName, NodeReport], policy: Policy) -> Machine:
    """As a daemon would remember it after two rounds that found the same."""
    view = ClusterView(reports)
    memory = Memory(primary=sole_writable(view, Memory()))
    # The daemon tries a write in its second round; a check changes nothing.
    policy = replace(policy, write_check=False)
    memory = observe(observe(memory, view, policy), view, policy)
    return Machine(memory=memory, view=view)


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
        return await probe.round(look, lambda: None, lambda _: 0.0)
    finally:
        await probe.close()
