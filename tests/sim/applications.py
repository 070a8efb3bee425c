"""Applications that write all the time, wherever somebody takes writes."""

from __future__ import annotations

from failoverd.core.model import NodeName, Outcome
from tests.sim.kernel import Steps
from tests.sim.reach import connect_outcome
from tests.sim.ways import Way
from tests.sim.world import APPLICATIONS, World


def writes(world: World, client: str, every_s: float, until: float) -> Steps:
    """One application with every address in its connection string, as libpq tries them."""
    order = list(world.hosts)
    life: tuple[NodeName, int] | None = None
    while world.now < until:
        yield every_s * world.random.uniform(0.7, 1.3)
        if life is not None and _goes_on(world, *life):
            name = life[0]
        else:
            life = None
            for name in order:
                outcome = connect_outcome(world, APPLICATIONS, name)
                if outcome is Outcome.TIMED_OUT:
                    yield 0.3
                if outcome is Outcome.OK and not world.server(name).recovery:
                    life = (name, world.server(name).life)
                    break
            if life is None:
                continue
            name = life[0]
            order.sort(key=lambda one, first=name: one != first)  # type: ignore[misc]
        server, host = world.server(name), world.hosts[name]
        yield world.delay(APPLICATIONS, name)
        if not _goes_on(world, *life) or host.disk_full:
            continue
        if any(one.client == client for one in server.waiting):
            continue
        world.commit(server, client)
        world.kernel.after(0.002, world.release, server)


def writes_by(world: World, way: Way, client: str, every_s: float, until: float) -> Steps:
    """One that knows the way alone, and writes wherever that leads."""
    while world.now < until:
        yield every_s * world.random.uniform(0.7, 1.3)
        name = way.leads_to
        if name is None or connect_outcome(world, APPLICATIONS, name) is not Outcome.OK:
            continue
        server, life = world.server(name), world.server(name).life
        yield world.delay(APPLICATIONS, name)
        writable = way.leads_to == name and _goes_on(world, name, life)
        busy = any(one.client == client for one in server.waiting)
        if not writable or busy or world.hosts[name].disk_full:
            continue
        world.commit(server, client)
        world.kernel.after(0.002, world.release, server)


def _goes_on(world: World, name: NodeName, life: int) -> bool:
    """A session of that life can still commit; an orphaned one, too."""
    server, host = world.server(name), world.hosts[name]
    return (
        server.life == life
        and server.processes
        and not server.stopped
        and not server.recovery
        and world.now >= server.ready_at
        and host.runs
        and world.both_ways(APPLICATIONS, name)
    )
