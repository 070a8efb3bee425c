"""What holds for one node: the cluster's keys, with those that the node writes over them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TypeVar

from failoverd.config.models import (
    Agent,
    Cluster,
    DeadMan,
    Node,
    OwnCommand,
    Postgres,
    Rung,
    Sql,
)
from failoverd.config.section import Section, Ssh

AnySection = TypeVar("AnySection", bound=Section)

_INSTEAD = {"password": "password_file", "password_file": "password"}
"""Of these a node's own takes the place of the other, too."""


@dataclass(frozen=True, slots=True)
class NodeSettings:
    cluster: str
    name: str
    host: str
    transport: str
    postgres: Postgres
    sql: Sql
    ssh: Ssh
    ladder: tuple[Agent | OwnCommand | DeadMan | None, ...]
    """None is the rung `stop`."""


def node_settings(cluster_name: str, cluster: Cluster, name: str) -> NodeSettings:
    """The merged view of one node. Raises KeyError where there is no such node."""
    node = cluster.nodes[name]
    return NodeSettings(
        cluster=cluster_name,
        name=name,
        host=node.host,
        transport=node.transport or cluster.transport,
        postgres=merged(cluster.postgres, node.postgres),
        sql=merged(cluster.sql, node.sql),
        ssh=merged(cluster.ssh, node.ssh),
        ladder=tuple(_rung(rung, node) for rung in cluster.fencing.ladder),
    )


def _rung(rung: Rung, node: Node) -> Agent | OwnCommand | DeadMan | None:
    """An agent with what it is told of this node alone."""
    if rung.agent is None:
        return rung.command or rung.dead_man
    over = node.agent
    told = {
        "options": {**rung.agent.options, **over.options},
        "secrets": {**rung.agent.secrets, **over.secrets},
    }
    return rung.agent.model_copy(update=told)


def merged(section: AnySection, over: AnySection) -> AnySection:
    written = {key: getattr(over, key) for key in over.model_fields_set}
    replaced = {_INSTEAD[key] for key in written if key in _INSTEAD} - written.keys()
    return section.model_copy(update={**dict.fromkeys(replaced), **written})
