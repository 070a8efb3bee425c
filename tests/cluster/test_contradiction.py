"""Who hears a node that is said to be off."""

from __future__ import annotations

from dataclasses import replace

from failoverd.core.model import NodeName
from failoverd.demo import postgres
from failoverd.effect.fence.contradiction import contradiction
from failoverd.effect.held_host import held_back
from failoverd.effect.world import Runs
from tests.cluster import servers
from tests.cluster.worlds import world_of


def out_of_our_reach(world, name):
    """Nothing answers us at the address by which it is configured."""
    node = world.nodes[name]
    (nobody,) = postgres.free_ports(1)
    node = replace(node, address=replace(node.address, port=nobody))
    return replace(world, nodes={**world.nodes, name: node})


async def test_a_standby_that_receives_from_it_under_another_name_speaks_against_it(
    ground, room, running
):
    primary = running(servers.start_primary(ground, room))
    standby = running(servers.start_standby(ground, room, primary))
    world = out_of_our_reach(world_of(primary, standby), NodeName("pg1"))
    with servers.keeps_committing(primary) as client:
        heard = await contradiction(world, world.nodes[NodeName("pg1")], Runs(), off=False)
        client.kill()
    assert heard == "pg2 still receives from it"


async def test_a_host_that_is_not_asked_for_want_of_the_leadership_is_not_taken_for_silent(primary):
    world = out_of_our_reach(world_of(primary), NodeName("pg1"))
    world = held_back(replace(world, may_act=lambda: False))
    found = await contradiction(world, world.nodes[NodeName("pg1")], Runs(), off=True)
    assert found is not None
    assert "was not asked" in found
