"""A fence in doubt asks the server once more after it has waited for the host."""

from __future__ import annotations

from dataclasses import replace

from failoverd.core.effects import Fence, StopMode
from failoverd.core.model import Epoch, NodeName
from failoverd.demo import postgres
from failoverd.effect.fence.stop import stop
from failoverd.effect.fence.verdict import Alive
from failoverd.effect.last_look import serves
from failoverd.effect.world import Runs
from failoverd.transport.postgres import connect
from tests.cluster import servers
from tests.cluster.servers import monotonic
from tests.cluster.worlds import world_of


async def test_a_server_that_answers_by_the_time_its_host_does_is_left_alone(grounds):
    with servers.cluster(grounds(servers.binaries_by_major()[0]), "pg2") as cluster:
        primary = cluster.pg1
        world, name = world_of(primary, cluster["pg2"]), NodeName(primary.name)
        fence = Fence(name, StopMode.IMMEDIATE, Epoch(7))
        found = await stop(fence, world, world.nodes[name], Runs())
        assert isinstance(found, Alive), found
        assert postgres.processes(primary)
        assert not (primary.data_dir / "standby.signal").exists()


async def test_a_primary_that_lets_nobody_in_is_seen_to_serve_in_the_session_that_is_held(grounds):
    """Applications that hold all its slots are whom it serves."""
    with servers.cluster(grounds(servers.binaries_by_major()[0]), "pg2") as cluster:
        primary = cluster.pg1
        postgres.sql(primary, "create role watcher login connection limit 1")
        _ = postgres.sql(primary, "alter role watcher password 'x'")
        world, name = world_of(primary, cluster["pg2"]), NodeName(primary.name)
        node = world.nodes[name]
        narrow = replace(node.address, user="watcher", password=lambda: "x")
        _, held = await connect(narrow, monotonic, 5.0)
        assert held is not None
        narrowed = replace(world, nodes={**world.nodes, name: replace(node, address=narrow)})
        assert not await serves(narrowed, narrowed.nodes[name], Runs())
        watched = replace(narrowed, held=lambda _: held)
        for _ in range(2):  # and is left open
            assert await serves(watched, watched.nodes[name], Runs())
        await held.close()
