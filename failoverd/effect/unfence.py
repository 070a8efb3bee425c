"""Take the guard back, and start the old primary read-write where our fence stopped it."""

from __future__ import annotations

from failoverd.core.effects import Unfence, Unguard
from failoverd.core.events import EffectFailed, Unfenced, Unguarded
from failoverd.core.model import Guard
from failoverd.effect.world import Runs, World, act, look, why


async def unguard(effect: Unguard, world: World) -> Unguarded | EffectFailed:
    """Our guard is gone from the data directory; a guard of anybody else stays."""
    runs = Runs()
    node = world.nodes[effect.node]
    answer, facts = await look(world, node, runs)
    if facts is None:
        return EffectFailed("not_unguarded", runs.evidence(f"its host: {why(answer)}"))
    if facts.guard is not Guard.OURS:
        return Unguarded(runs.evidence(f"{node.name} has no guard of ours"))
    answer = runs.add(
        await act(world, node, "unguard", facts, effect.epoch, {}, world.limits.freeze_s)
    )
    if not answer.done:
        return EffectFailed("not_unguarded", runs.evidence(f"its guard stays: {why(answer)}"))
    return Unguarded(runs.evidence(f"the guard of {node.name} was taken back"))


async def unfence(effect: Unfence, world: World) -> Unfenced | EffectFailed:
    """The old primary runs read-write again. Only where nobody was asked to promote."""
    runs = Runs()
    node = world.nodes[effect.node]
    released = await unguard(Unguard(effect.node, effect.epoch), world)
    if isinstance(released, EffectFailed):
        return released
    runs.done.extend(released.evidence.runs)
    answer, facts = await look(world, node, runs)
    if facts is None:
        return EffectFailed("not_started", runs.evidence(f"its host: {why(answer)}"))
    if not facts.processes:
        answer = runs.add(
            await act(world, node, "start", facts, effect.epoch, {}, world.limits.promote_s)
        )
        if not answer.done:
            return EffectFailed("not_started", runs.evidence(f"not started: {why(answer)}"))
    return Unfenced(runs.evidence(f"{node.name} was started again as the primary"))
