"""What a failover lost, by the old primary's disk, once that can be read again."""

from __future__ import annotations

from failoverd.core.effects import MeasureLoss
from failoverd.core.events import EffectFailed
from failoverd.core.measuring import GONE
from failoverd.core.model import WalLoss
from failoverd.core.salvage import measured
from failoverd.core.wal_answers import LossMeasured
from failoverd.effect.wal import wal_on_disk
from failoverd.effect.world import Runs, World, why

LIMIT_S = 30.0
ANOTHER_TIMELINE = "was begun there"


async def measure(effect: MeasureLoss, world: World) -> LossMeasured | EffectFailed:
    """Reads, and changes nothing."""
    runs = Runs()
    node = world.nodes[effect.node]
    more = {
        "start": str(effect.switch_point),
        "timeline": str(effect.timeline),
        "seconds": str(round(LIMIT_S)),
    }
    answer = await node.host.call("wal_end", {**world.arguments(node), **more}, timeout_s=LIMIT_S)
    runs.add(answer)
    found = wal_on_disk(answer, effect.incident)
    if found is None:
        said = why(answer)
        reason = GONE if answer.done or ANOTHER_TIMELINE in said else "unread"
        return EffectFailed(reason, runs.evidence(f"the WAL of {node.name} was not read: {said}"))
    loss = measured(WalLoss(0, True, "nothing"), found.end, effect.switch_point)
    return LossMeasured(
        loss, runs.evidence(f"{node.name}'s disk was read: lost were {loss.sentence}")
    )
