"""Rung `command`: a program of the operator's own, run on this machine.

Its exit status 0 is the proof `vouched`: who wrote it answers for it.
"""

from __future__ import annotations

import asyncio

from failoverd.core.effects import Fence
from failoverd.core.model import CommandRun, ControlState, Evidence, FenceProof, ProofKind
from failoverd.effect.fence.contradiction import contradiction
from failoverd.effect.fence.verdict import NoProof
from failoverd.effect.rung import OwnCommand
from failoverd.effect.world import Node, Runs, World
from failoverd.transport.fence_agent import ENVIRONMENT
from failoverd.transport.process import OUTPUT_LIMIT, Finished, run_program


async def own_command(
    rung: OwnCommand, effect: Fence, world: World, node: Node, runs: Runs
) -> FenceProof | NoProof:
    """A proof of kind `vouched`, unless somebody still hears the node."""
    began = world.monotonic()
    environment = {**ENVIRONMENT, **variables(effect, world, node)}
    try:
        async with asyncio.timeout(rung.timeout_s):
            done = await run_program(rung.argv, environment=environment, with_errors=True)
    except TimeoutError:
        done = Finished(None, f"no end within {rung.timeout_s:g} s: it was killed")
    except OSError as error:
        done = Finished(None, f"it could not be run: {error}")
    said, took = done.output.strip()[:OUTPUT_LIMIT], world.monotonic() - began
    runs.done.append(CommandRun(node.name, " ".join(rung.argv), said, took, done.exit_status))
    if done.exit_status != 0:
        how = "did not end" if done.exit_status is None else f"ended with {done.exit_status}"
        return NoProof(f"the command {rung.argv[0]} {how}: {said or 'it said nothing'}")
    heard = await contradiction(world, node, runs, off=False)
    if heard is not None:
        return NoProof(f"the command {rung.argv[0]} ended with 0, and {heard}")
    return FenceProof(
        kind=ProofKind.VOUCHED,
        node=node.name,
        epoch=effect.epoch,
        proved_at=began,
        control_state=ControlState.UNKNOWN,
        shutdown_checkpoint=None,
        evidence=Evidence(f"{node.name} is fenced: {rung.argv[0]} vouches for it by its exit 0"),
    )


def variables(effect: Fence, world: World, node: Node) -> dict[str, str]:
    """What the command is told, all of it in its environment."""
    return {
        "FAILOVERD_NODE": node.name,
        "FAILOVERD_HOST": node.address.host,
        "FAILOVERD_PORT": str(node.address.port),
        "FAILOVERD_DATA_DIR": node.arguments["data_dir"],
        "FAILOVERD_SYSTEM_IDENTIFIER": world.memory.system_identifier or "",
        "FAILOVERD_EPOCH": str(effect.epoch),
        "FAILOVERD_ATTEMPT": str(effect.attempt),
    }
