"""Guard and stop a node that was fenced without a guard, at the first contact with its host."""

from __future__ import annotations

from failoverd.core.effects import Quarantine, StopMode
from failoverd.core.events import EffectFailed, Quarantined
from failoverd.effect.world import Runs, World, act, clock_in, look, why


async def quarantine(effect: Quarantine, world: World) -> Quarantined | EffectFailed:
    """Whatever runs there is stopped, and starts as a standby from now on. No proof is asked."""
    runs = Runs()
    node = world.nodes[effect.node]
    answer, facts = await look(world, node, runs)
    if facts is None:
        return EffectFailed("not_guarded", runs.evidence(f"its host: {why(answer)}"))
    more = {"mode": str(StopMode.FAST)}
    answer = runs.add(
        await act(world, node, "stop", clock_in(facts), effect.epoch, more, world.limits.fence_s)
    )
    if not answer.done:
        return EffectFailed("not_guarded", runs.evidence(f"not guarded and stopped: {why(answer)}"))
    return Quarantined(runs.evidence(f"{node.name} was guarded and stopped at first contact"))
