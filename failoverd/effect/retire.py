"""Stop a standby that was asked to promote and did not, before another one is asked."""

from __future__ import annotations

from failoverd.core.effects import Retire
from failoverd.core.events import EffectFailed, Retired
from failoverd.core.handing_over import start_it
from failoverd.effect.last_look import serves
from failoverd.effect.world import Runs, World, act, clock_in, look, why

PROMOTED = "promoted"
"""What a host says on whose disk the promotion is."""


async def retire(effect: Retire, world: World) -> Retired | EffectFailed:
    """No process of it is left, it starts as a standby only, and no promotion is on its disk."""
    runs = Runs()
    node = world.nodes[effect.node]
    answer, facts = await look(world, node, runs)
    if facts is None:
        return EffectFailed("not_retired", runs.evidence(f"its host: {why(answer)}"))
    calibration = world.memory.calibrations.get(node.name)
    seen_alive = (facts.boot_id, facts.user, facts.directory_identity)
    known = calibration and (
        calibration.boot_id, calibration.user, calibration.directory_identity,
    )  # fmt: skip
    if known != seen_alive:
        told = "its host was never seen to see this server alive: silence proves nothing"
        return EffectFailed("not_retired", runs.evidence(told))
    more = {"timeline": str(effect.timeline)}
    answer = runs.add(
        await act(world, node, "retire", clock_in(facts), effect.epoch, more, world.limits.fence_s)
    )
    if not answer.done:
        told = f"{node.name} was asked to promote, and is not proved stopped: {why(answer)}"
        promoted = answer.field("verdict") == PROMOTED
        advice = start_it(effect.node) if promoted else _advice(effect)
        return EffectFailed("not_retired", runs.evidence(told), advice)
    if await serves(world, node, runs):
        told = "something answers as a primary at its address"
        return EffectFailed("not_retired", runs.evidence(told))
    sentence = f"{node.name} is stopped, starts as a standby only, and was not promoted"
    return Retired(runs.evidence(sentence))


def _advice(effect: Retire) -> str:
    return f"make sure that {effect.node} is off for good, then: failoverd fenced {effect.node}"
