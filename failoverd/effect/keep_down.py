"""Keep an old primary down: after the promotion, since none of it may delay one."""

from __future__ import annotations

from failoverd.core.effects import KeepDown
from failoverd.core.events import EffectFailed, KeptDown
from failoverd.effect.world import Runs, World, act, clock_in, look, why

TELLING_S = 30.0
"""For up to three calls of systemctl, beside the stop itself."""


async def keep_down(effect: KeepDown, world: World) -> KeptDown | EffectFailed:
    """Stopped under our guard. Where its service may not be told, the guard alone holds it."""
    runs = Runs()
    node = world.nodes[effect.node]
    answer, facts = await look(world, node, runs)
    if facts is None:
        return EffectFailed("not_kept_down", runs.evidence(f"its host: {why(answer)}"))
    limit_s = world.limits.fence_s + TELLING_S
    answer = runs.add(
        await act(world, node, "keep_down", clock_in(facts), effect.epoch, {}, limit_s)
    )
    if not answer.done:
        return EffectFailed("not_kept_down", runs.evidence(f"not kept down: {why(answer)}"))
    by, lacks = answer.field("kept_down"), answer.field("reason")
    how = by or f"by its guard alone ({lacks}): what starts it gets it read-only"
    return KeptDown(runs.evidence(f"stopped, and kept so: {how}"))
