"""Who is asked to promote, by what is true of it: fit, frozen, the furthest."""

from __future__ import annotations

from failoverd.core.effects import Promote
from tests.sim.daemon import Daemon
from tests.sim.postgres import Server
from tests.sim.world import World


def fits(world: World, server: Server, effect: Promote, d: Daemon) -> str | None:
    """What speaks against asking that server to promote; None: nothing."""
    if d.policy.nodes[server.name].never:
        return f"{server.name} is never to be a candidate, and is asked to promote"
    if server.name not in d.machine.frozen and not d.restarts:
        return f"{server.name} was not frozen, and is asked to promote"
    primary = d.machine.memory.primary
    if primary is not None and primary != server.name:
        timeline = world.server(primary).timeline
        if server.timeline < timeline and not world.hands:
            return f"{server.name} on timeline {server.timeline} is asked to follow {timeline}"
    if primary is not None and server.connections < world.server(primary).connections:
        return f"{server.name} is asked to promote, and its settings would stop it"
    if server.system != d.machine.memory.system_identifier:
        return f"{server.name} of another cluster is asked to promote"
    incident = d.machine.incident
    if incident is not None and incident.wanted not in (None, server.name):
        return f"{incident.wanted} was asked for, {server.name} is asked to promote"
    if incident is None or incident.wanted is None:
        for name, frozen in d.machine.frozen.items():
            other = world.server(name)
            fit = other.timeline == server.timeline and other.recovery
            able = not d.policy.nodes[name].never
            if fit and able and frozen.position > effect.position and name not in d.machine.asked:
                return f"{server.name} is asked to promote, and {name} holds more"
    return None
