"""Ask PgBouncer to make its clients wait, as a switchover does, and say what came of it.

Run on the monitor's host as a program of its own; the configuration is the daemon's.
"""

from __future__ import annotations

import asyncio
import sys
from pathlib import Path

from failoverd.config.load import load
from failoverd.core.effects import CloseTarget, Redirect
from failoverd.core.memory import Memory
from failoverd.core.model import ClusterView, Epoch, NodeName, SystemIdentifier
from failoverd.core.policy import StepLimits, TargetName
from failoverd.daemon.clock import monotonic
from failoverd.daemon.nodes import nodes_of
from failoverd.daemon.targets import close_ways, ways_of
from failoverd.effect.redirect.target import close_target, redirect
from failoverd.effect.world import World


async def main(file: str, action: str) -> None:
    cluster = load(Path(file)).clusters["main"]
    ways = ways_of(cluster)
    world = World(
        nodes=nodes_of("main", cluster),
        memory=Memory(primary=NodeName("pg1"), system_identifier=SystemIdentifier("7")),
        view=ClusterView({}),
        limits=StepLimits(),
        monotonic=monotonic,
        boottime=monotonic,
        poll_timeout_s=1.0,
        targets=ways,
    )
    name, primary = TargetName("pgbouncer"), NodeName("pg1")
    if action == "close":
        result = await close_target(CloseTarget(primary, name, Epoch(0)), world)
    else:
        result = await redirect(Redirect(primary, name), world)
    await close_ways(ways)
    sys.stdout.write(f"{type(result).__name__} {result.evidence.sentence}\n")


if __name__ == "__main__":
    asyncio.run(main(*sys.argv[1:]))
