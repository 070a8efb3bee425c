"""Who does not hold the leadership does nothing, at whichever step it has lost it."""

from __future__ import annotations

from dataclasses import replace

import pytest

from failoverd.core.effects import Fence, Freeze, Promote, StopMode
from failoverd.core.events import EffectFailed, FrozenAt, Promoted
from failoverd.core.model import (
    ControlState,
    Epoch,
    Evidence,
    FenceProof,
    Lsn,
    NodeName,
    ProofKind,
    SavedSettings,
)
from failoverd.demo import postgres
from failoverd.effect.perform import perform
from failoverd.effect.promote import EXPIRES, GUARDED
from failoverd.transport.postgres import connect
from tests.cluster import servers
from tests.cluster.servers import monotonic
from tests.cluster.worlds import world_of

EPOCH, OWNER = Epoch(7), "test.9"
PATIENCE_S = 20.0


class Leadership:
    """Lost after having been asked for so often."""

    def __init__(self, asked_for):
        self.left = asked_for
        self.asked = 0

    def __call__(self):
        self.asked += 1
        return self.asked <= self.left


@pytest.fixture
def pair_of_servers(grounds):
    """A pair, of which the first is to be fenced."""
    with servers.cluster(grounds(servers.binaries_by_major()[0]), "pg2") as cluster:
        yield cluster.pg1, cluster["pg2"]


async def promotion(primary, standby, world):
    """Of the standby, with the primary stopped and itself frozen."""
    postgres.stop(primary)
    proof = FenceProof(
        ProofKind.STOPPED, NodeName(primary.name), EPOCH, monotonic(), ControlState.SHUT_DOWN,
        None, Evidence("stopped"),
    )  # fmt: skip
    frozen = await perform(Freeze(NodeName(standby.name), EPOCH, SavedSettings(())), world)
    assert isinstance(frozen, FrozenAt), frozen
    return Promote(NodeName(standby.name), proof, frozen.frozen.position, EPOCH)


async def test_a_promotion_goes_no_step_further_than_the_leadership(pair_of_servers):
    primary, standby = pair_of_servers
    world = replace(world_of(primary, standby), owner=OWNER)
    promote = await promotion(primary, standby, world)
    # Asked before it begins, and again right before the statement that promotes.
    for lost_after in (0, 1):
        result = await perform(promote, replace(world, may_act=Leadership(lost_after)))
        assert isinstance(result, EffectFailed)
        assert result.reason == "not_leading"
        assert postgres.sql(standby, "select pg_is_in_recovery();") == "t", lost_after
    held = Leadership(10**6)
    assert isinstance(await perform(promote, replace(world, may_act=held)), Promoted)
    assert held.asked >= 2


async def test_a_fence_that_has_lost_the_leadership_stops_nothing(pair_of_servers):
    primary, standby = pair_of_servers
    world = replace(world_of(primary, standby), owner=OWNER)
    fence = Fence(NodeName(primary.name), StopMode.FAST, EPOCH)
    for lost_after in (0, 1):
        result = await perform(fence, replace(world, may_act=Leadership(lost_after)))
        assert isinstance(result, EffectFailed)
        assert postgres.processes(primary)
        assert not (primary.data_dir / "standby.signal").exists()


async def test_a_promotion_that_was_held_up_on_its_way_expires_by_the_servers_own_clock(
    pair_of_servers,
):
    primary, standby = pair_of_servers
    world = replace(world_of(primary, standby), owner=OWNER)
    promote = await promotion(primary, standby, world)
    _, session = await connect(world.nodes[promote.candidate].address, monotonic, PATIENCE_S)
    assert session is not None
    asked = (world.memory.system_identifier, str(Lsn(1)), "failoverd_frozen_7_9")
    expires = await session.row(EXPIRES, timeout_s=PATIENCE_S)
    late = await session.row(GUARDED, *asked, expires.row["at"] - 2.5, timeout_s=PATIENCE_S)
    assert (late.row["in_recovery"], late.row["asked"], late.row["late"]) == (True, None, True)
    earlier = (*asked[:2], "failoverd_frozen_7_8")  # whoever led before
    refused = await session.row(GUARDED, *earlier, expires.row["at"] + 60, timeout_s=PATIENCE_S)
    assert refused.row["asked"] is None
    assert postgres.sql(standby, "select pg_is_in_recovery();") == "t"
    done = await session.row(GUARDED, *asked, expires.row["at"] + 60, timeout_s=PATIENCE_S)
    assert done.row["asked"] is not None
    await session.close()
