"""Rung `agent`: turn the host off by a fence agent, and hear from it that it is off."""

from __future__ import annotations

import asyncio

from failoverd.core.effects import Fence
from failoverd.core.model import ControlState, Evidence, FenceProof, NodeName, ProofKind
from failoverd.effect.fence.contradiction import contradiction
from failoverd.effect.fence.verdict import NoProof
from failoverd.effect.rung import PowerOff
from failoverd.effect.world import Node, Runs, World
from failoverd.transport.fence_agent import Power, act, power


async def power_off(
    rung: PowerOff, effect: Fence, world: World, node: Node, runs: Runs
) -> FenceProof | NoProof:
    """A proof of kind `powered_off`. What `off` returns proves nothing: `status` must say off."""
    _, run = await act(rung.agent, "off", node.name, world.monotonic)
    runs.done.append(run)
    (found, run, asked_at), heard = await asyncio.gather(
        power(rung.agent, node.name, world.monotonic),
        contradiction(world, node, runs, off=True),
    )
    runs.done.append(run)
    if found is not Power.OFF:
        said = _last_line(run.output)
        return NoProof(f"its fence agent does not say that it is off, but {found} ({said})")
    if heard is not None:
        return NoProof(f"its fence agent says that it is off, and {heard}")
    return FenceProof(
        kind=ProofKind.POWERED_OFF,
        node=node.name,
        epoch=effect.epoch,
        proved_at=asked_at,
        control_state=ControlState.UNKNOWN,
        shutdown_checkpoint=None,
        evidence=Evidence(f"{node.name} is fenced: its fence agent turned its host off"),
    )


async def still_off(world: World, node: Node, runs: Runs) -> bool:
    """Some agent of its ladder says so now."""
    for rung in node.rungs:
        if isinstance(rung, PowerOff):
            found, run, _ = await power(rung.agent, NodeName(node.name), world.monotonic)
            runs.done.append(run)
            if found is Power.OFF:
                return True
    return False


def _last_line(output: str) -> str:
    return output.strip().rsplit("\n", 1)[-1] or "it said nothing"
