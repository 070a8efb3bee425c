"""Fence a node: the rungs of its ladder in order, until one gives a proof."""

from __future__ import annotations

from dataclasses import replace
from typing import assert_never

from failoverd.core.effects import Fence, StopMode
from failoverd.core.events import DEAD_MAN_VOID, STALE_EPOCH, EffectFailed, Fenced, StillAlive
from failoverd.core.model import FenceProof, Instant, RungTried
from failoverd.effect.fence.by_hand import advice
from failoverd.effect.fence.dead_man import dead_man_expired
from failoverd.effect.fence.own_command import own_command
from failoverd.effect.fence.power_off import power_off
from failoverd.effect.fence.stop import stop
from failoverd.effect.fence.verdict import Alive, Goes, NoProof
from failoverd.effect.last_look import serves
from failoverd.effect.rung import DeadManExpiry, OwnCommand, PowerOff, Rung, Stop
from failoverd.effect.world import NOT_LEADING, Node, Runs, World


async def fence(effect: Fence, world: World) -> Fenced | StillAlive | EffectFailed:
    """A proof, or why there is none. Repeating it does no harm."""
    runs = Runs()
    node = world.nodes[effect.node]
    failures: list[str] = []
    reason = "no_proof"
    looked_at: Instant | None = None
    for rung in node.rungs:
        if not world.may_act():
            failures.append(NOT_LEADING)
            break
        if _looks_first(rung, effect) and _old(looked_at, world):
            looked_at = world.monotonic()
            if await serves(world, node, runs):
                runs.tried.append(RungTried(rung.name, "still_alive"))
                return StillAlive(runs.evidence(f"{node.name} answers again: it is left alone"))
        match await _climb(rung, effect, world, node, runs):
            case FenceProof() as proof:
                runs.tried.append(RungTried(rung.name, "fenced"))
                return Fenced(replace(proof, evidence=runs.evidence(proof.evidence.sentence)))
            case Alive(why=why):
                runs.tried.append(RungTried(rung.name, "still_alive"))
                return StillAlive(runs.evidence(why))
            case NoProof(why=why, goes=goes):
                runs.tried.append(RungTried(rung.name, "failed"))
                failures.append(f"{rung.name}: {why}" if len(node.rungs) > 1 else why)
                reason = _REASONS.get(goes, reason)
                if goes is not Goes.ON:
                    break
    sentence = f"{node.name} is not proved fenced: {'; '.join(failures)}"
    return EffectFailed(reason, runs.evidence(sentence), advice(node))


_REASONS = {Goes.NUMBERED_ANEW: STALE_EPOCH, Goes.VOID: DEAD_MAN_VOID}


async def _climb(
    rung: Rung, effect: Fence, world: World, node: Node, runs: Runs
) -> FenceProof | Alive | NoProof:
    match rung:
        case Stop():
            return await stop(effect, world, node, runs)
        case PowerOff():
            return await power_off(rung, effect, world, node, runs)
        case OwnCommand():
            return await own_command(rung, effect, world, node, runs)
        case DeadManExpiry():
            return await dead_man_expired(effect, world, node, runs)
    assert_never(rung)


LOOK_HOLDS_S = 1.0
"""A silent host's rung `stop` fails in half of it; an act may follow a look by 2 s."""


def _old(looked_at: Instant | None, world: World) -> bool:
    return looked_at is None or world.monotonic() - looked_at > LOOK_HOLDS_S


def _looks_first(rung: Rung, effect: Fence) -> bool:
    """Of what is dead the host program makes the last look itself."""
    if isinstance(rung, Stop):
        return effect.mode is StopMode.IMMEDIATE
    return effect.mode is not StopMode.FAST
