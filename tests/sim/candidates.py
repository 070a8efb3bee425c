"""Who is asked to promote, by what is true of it: fit, frozen, the furthest."""

from __future__ import annotations

from collections.abc import Set as AbstractSet

from failoverd.core.effects import Promote
from failoverd.core.leadership import frozen_slot
from failoverd.core.model import Epoch, NodeName
from failoverd.core.states import Promoting
from tests.sim.daemon import Daemon
from tests.sim.postgres import Server, lsn
from tests.sim.world import World

Stood = AbstractSet[tuple[Epoch, NodeName]]


def fits(world: World, server: Server, effect: Promote, d: Daemon, stood: Stood) -> str | None:
    """What speaks against asking that server to promote; None: nothing.

    `stood`: whom the daemon has heard to be frozen, in which incident.
    """
    if d.policy.nodes[server.name].never:
        return f"{server.name} is never to be a candidate, and is asked to promote"
    heard = server.name in d.machine.frozen or _stands(server, effect, d, stood)
    if not heard and not d.restarts:
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
    return _elsewhere(world, server, d) or _further(world, server, effect, d)


def _stands(server: Server, effect: Promote, d: Daemon, stood: Stood) -> bool:
    """Frozen in this incident, and asked once more after it refused, just started: it still is."""
    state = d.machine.state
    before = isinstance(state, Promoting) and state.asked_before
    marked = server.slot == frozen_slot(effect.epoch, d.owner)
    return before and marked and (effect.epoch, server.name) in stood


def _elsewhere(world: World, server: Server, d: Daemon) -> str | None:
    """Whom an operator named is the only one, until it was asked in vain and proved stopped."""
    incident = d.machine.incident
    if incident is None or incident.wanted in (None, server.name):
        return None
    named = world.server(incident.wanted)
    if incident.wanted not in incident.given_up:
        return f"{named.name} was asked for, {server.name} is asked to promote"
    if named.promote_at is not None and named.postmaster:
        return f"{named.name} is being promoted, {server.name} is asked to promote"
    return None


def _further(world: World, server: Server, effect: Promote, d: Daemon) -> str | None:
    """The furthest of those that can take over; of another, what it has more was carried over."""
    incident, primary = d.machine.incident, d.machine.memory.primary
    if incident is not None and incident.wanted == server.name:
        return None
    needed = 0 if primary is None else world.server(primary).connections
    for name, frozen in d.machine.frozen.items():
        other = world.server(name)
        fit = other.timeline == server.timeline and other.recovery
        able = not d.policy.nodes[name].never and name not in d.machine.asked
        # Nobody may be promoted whose settings would stop it: salvage brings over what it has.
        holds = lsn(len(server.wal)) if other.connections < needed else effect.position
        if fit and able and frozen.position > holds:
            return f"{server.name} is asked to promote, and {name} holds more"
    return None
