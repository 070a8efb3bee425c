"""From the written configuration to what decides how long a failover takes."""

from __future__ import annotations

from failoverd.config.models import Agent, Cluster, DeadMan, OwnCommand
from failoverd.config.models import Rung as RungSection
from failoverd.core.objectives import Means, RungMeans


def means_of(cluster: Cluster) -> Means:
    sections = [target.kinds().values() for target in cluster.redirect]
    limits = [getattr(one, "timeout", 0.0) for kinds in sections for one in kinds if one]
    return Means(
        rungs=tuple(_rung(rung) for rung in cluster.fencing.ladder),
        stop_fast_s=cluster.limits.stop_fast,
        stop_immediate_s=cluster.limits.stop_immediate,
        ways_s=max(limits, default=0.0),
        rto_s=cluster.failover.rto,
    )


def _rung(rung: RungSection) -> RungMeans:
    match rung.agent or rung.command or rung.dead_man:
        case Agent(timeout=limit_s):
            return RungMeans("agent", limit_s)
        case OwnCommand(timeout=limit_s):
            return RungMeans("command", limit_s)
        case DeadMan(ttl=ttl_s):
            return RungMeans("dead_man", ttl_s)
        case None:
            return RungMeans("stop")
