"""Applications that write all the time, wherever somebody takes writes."""

from __future__ import annotations

from failoverd.core.model import NodeName, Outcome
from tests.sim.kernel import Steps
from tests.sim.reach import connect_outcome
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
        world.kernel.after(0.002, lambda s=server: world.release(s))  # type: ignore[misc]


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
