"""From the written configuration to the policy that the core decides by."""

from __future__ import annotations

from failoverd.config.models import Cluster
from failoverd.config.nodes import node_settings
from failoverd.core.model import NodeName
from failoverd.core.policy import NodePolicy, Policy, StepLimits


def to_policy(name: str, cluster: Cluster) -> Policy:
    """Plain values; durations in seconds, sizes in bytes."""
    detection, failover = cluster.detection, cluster.failover
    return Policy(
        nodes={NodeName(node): _node(name, cluster, node) for node in cluster.nodes},
        interval_s=detection.interval,
        fresh_interval_s=detection.fresh_interval,
        timeout_s=detection.timeout,
        failures=detection.failures,
        fast_path=detection.fast_path,
        write_check=detection.write_check,
        write_check_interval_s=detection.write_check_interval,
        busy_limit_s=detection.busy_limit,
        recovery_limit_s=detection.recovery_limit,
        half_hung_after_s=detection.half_hung_after,
        on_half_hung=failover.on_half_hung,
        on_unwritable=failover.on_unwritable,
        on_clean_stop=failover.on_clean_stop,
        mode=failover.mode,
        max_data_loss_bytes=failover.max_data_loss,
        cooldown_s=failover.cooldown,
        max_per_day=failover.max_per_day,
        salvage=failover.salvage,
        require_proof=cluster.fencing.require == "proof",
        limits=StepLimits(
            fence_s=cluster.limits.fence,
            freeze_s=cluster.limits.freeze,
            promote_s=cluster.limits.promote,
            confirm_s=cluster.limits.confirm,
        ),
    )


def _node(cluster_name: str, cluster: Cluster, name: str) -> NodePolicy:
    settings = node_settings(cluster_name, cluster, name)
    priority = cluster.nodes[name].priority
    return NodePolicy(
        host=settings.host,
        port=settings.postgres.port,
        priority=0 if priority == "never" else priority,
        never=priority == "never",
    )
