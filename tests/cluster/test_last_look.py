"""A fence in doubt asks the server once more after it has waited for the host."""

from __future__ import annotations

from failoverd.core.effects import Fence, StopMode
from failoverd.core.model import Epoch, NodeName
from failoverd.demo import postgres
from failoverd.effect.fence.stop import stop
from failoverd.effect.fence.verdict import Alive
from failoverd.effect.world import Runs
from tests.cluster import servers
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
