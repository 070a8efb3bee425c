"""From the written configuration to the policy that the core decides by."""

from __future__ import annotations

from failoverd.config.models import Cluster
from failoverd.config.nodes import node_settings
from failoverd.config.redirect import Target
from failoverd.core.model import NodeName
from failoverd.core.policy import (
    DeadManPolicy,
    NodePolicy,
    Policy,
    StepLimits,
    TargetName,
    TargetPolicy,
)


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
        on_split_brain=failover.on_split_brain,
        mode=failover.mode,
        max_data_loss_bytes=failover.max_data_loss,
        cooldown_s=failover.cooldown,
        max_per_day=failover.max_per_day,
        salvage=failover.salvage,
        disk_first=cluster.fencing.ladder[0].stop is not None,
        synchronous_managed=cluster.synchronous == "managed",
        synchronous_count=cluster.synchronous_count,
        dead_man=_dead_man(cluster),
        rejoin=cluster.rejoin,
        rejoin_delay_s=cluster.rejoin_delay,
        can_rejoin=bool(cluster.replication.user),
        switchover_max_lag_bytes=cluster.switchover.max_lag,
        limits=StepLimits(
            checkpoint_s=cluster.switchover.checkpoint,
            rejoin_s=cluster.limits.rejoin,
            fence_s=cluster.limits.fence,
            freeze_s=cluster.limits.freeze,
            promote_s=cluster.limits.promote,
            start_s=cluster.limits.start,
            confirm_s=cluster.limits.confirm,
            salvage_s=cluster.limits.salvage,
            salvage_bytes_s=failover.salvage_rate,
            redirect_s=cluster.limits.redirect,
        ),
        targets={TargetName(one.called): _target(one) for one in cluster.redirect},
    )


def _target(target: Target) -> TargetPolicy:
    return TargetPolicy(closes=target.haproxy is not None, pauses=target.pgbouncer is not None)


def _dead_man(cluster: Cluster) -> DeadManPolicy | None:
    rung = cluster.fencing.dead_man
    if rung is None:
        return None
    named = None if rung.standbys is None else frozenset(NodeName(one) for one in rung.standbys)
    return DeadManPolicy(rung.ttl, named)


def _node(cluster_name: str, cluster: Cluster, name: str) -> NodePolicy:
    settings = node_settings(cluster_name, cluster, name)
    priority = cluster.nodes[name].priority
    return NodePolicy(
        host=settings.host,
        port=settings.postgres.port,
        priority=0 if priority == "never" else priority,
        never=priority == "never",
        has_service=bool(settings.postgres.service or settings.postgres.debian_cluster),
    )
