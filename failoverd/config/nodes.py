"""What holds for one node: the cluster's keys, with those that the node writes over them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TypeVar

from failoverd.config.models import Cluster, Postgres, Section, Sql, Ssh

OVERRIDABLE = ("postgres", "sql", "ssh")

AnySection = TypeVar("AnySection", bound=Section)


@dataclass(frozen=True, slots=True)
class NodeSettings:
    cluster: str
    name: str
    host: str
    transport: str
    postgres: Postgres
    sql: Sql
    ssh: Ssh


def node_settings(cluster_name: str, cluster: Cluster, name: str) -> NodeSettings:
    """Raises pydantic's ValidationError where an override is not of its section's form."""
    node = cluster.nodes[name]
    return NodeSettings(
        cluster=cluster_name,
        name=name,
        host=node.host,
        transport=cluster.transport,
        postgres=_merged(cluster.postgres, node.postgres),
        sql=_merged(cluster.sql, node.sql),
        ssh=_merged(cluster.ssh, node.ssh),
    )


def _merged(section: AnySection, over: dict[str, object]) -> AnySection:
    if not over:
        return section
    written = type(section).model_validate(over)
    return section.model_copy(update={key: getattr(written, key) for key in over})
