"""Rung `stop`: guard the data directory, stop the server, prove that nothing is left.

The proof is looked for, never assumed from an exit status: no process of that data
directory, no listener, our guard in place, the control file read, our nonce, SQL that
does not answer as a primary from here, and no reachable standby that still streams.
"""

from __future__ import annotations

import asyncio

from failoverd.core.effects import Fence, StopMode
from failoverd.core.events import EffectFailed, Fenced, StillAlive
from failoverd.core.memory import Calibration
from failoverd.core.model import (
    ControlState,
    FenceProof,
    Guard,
    HostFacts,
    ProofKind,
)
from failoverd.effect.world import Node, Runs, World, act, ask, look, why
from failoverd.transport.host import HostAnswer, host_facts

LAST_LOOK_S = 0.5
STREAM_GONE_S = 2.0
EXIT_ALIVE = 13

ROLE = "select pg_is_in_recovery() as in_recovery"
STREAMS = """
select count(*)::int as streams from pg_stat_wal_receiver
 where status = 'streaming' and sender_host = $1 and sender_port = $2
"""


async def fence(effect: Fence, world: World) -> Fenced | StillAlive | EffectFailed:
    """A proof of kind `stopped`, or why there is none. Repeating it does no harm."""
    runs = Runs()
    node = world.nodes[effect.node]
    if effect.mode is StopMode.IMMEDIATE and await _serves(world, node, runs):
        return StillAlive(runs.evidence(f"{node.name} answers again: it is left alone"))
    answer, before = await look(world, node, runs)
    if before is None:
        return _failed(effect, world, runs, f"its host could not be looked at: {why(answer)}")
    unlike = _unlike(before, world.memory.calibrations.get(node.name), world)
    if unlike is not None:
        return _failed(effect, world, runs, unlike)
    more = {"mode": str(effect.mode), "fast_seconds": "5"}
    answer = runs.add(
        await act(world, node, "stop", before, effect.epoch, more, world.limits.fence_s)
    )
    if answer.exit_status == EXIT_ALIVE:
        return StillAlive(runs.evidence(f"on {node.name}'s host: {why(answer)}"))
    if not answer.done:
        return _failed(effect, world, runs, why(answer))
    return await _proof(effect, world, node, answer, runs)


async def _proof(
    effect: Fence, world: World, node: Node, answer: HostAnswer, runs: Runs
) -> Fenced | EffectFailed:
    facts = host_facts(answer, world.monotonic())
    missing = "its answer was not understood" if facts is None else _left(facts, answer)
    if facts is None or missing is not None:
        return _failed(effect, world, runs, str(missing))
    if await _serves(world, node, runs):
        return _failed(effect, world, runs, "something still answers as a primary at its address")
    streaming = await _still_streaming(world, node, runs)
    if streaming is not None:
        return _failed(effect, world, runs, f"{streaming} still streams from it")
    clean = facts.control_state is ControlState.SHUT_DOWN
    sentence = (
        f"{node.name} is fenced: no process of its data directory is left, nothing listens,"
        f" the guard is in place, its control file says '{facts.control_state}'"
    )
    proof = FenceProof(
        kind=ProofKind.STOPPED,
        node=node.name,
        epoch=effect.epoch,
        proved_at=facts.seen_at,
        control_state=facts.control_state,
        shutdown_checkpoint=facts.checkpoint_lsn if clean else None,
        evidence=runs.evidence(sentence),
    )
    return Fenced(proof)


def _left(facts: HostFacts, answer: HostAnswer) -> str | None:
    if facts.guard is not Guard.OURS:
        return "the guard is not in place"
    if answer.field("in_recovery_under_guard") == "yes":
        return None
    if facts.processes:
        return f"processes are left: {', '.join(str(pid) for pid, _ in facts.processes)}"
    return "something still listens on its port" if facts.listener else None


def _unlike(facts: HostFacts, calibration: Calibration | None, world: World) -> str | None:
    """Silence of a host proves nothing unless the same look has seen this server alive."""
    if facts.system_identifier != world.memory.system_identifier:
        return f"its data directory belongs to another cluster ({facts.system_identifier})"
    if calibration is None:
        return "its host was never seen to see this server alive: its silence proves nothing"
    if facts.boot_id != calibration.boot_id:
        return "its host was booted since the server was last seen alive there"
    if facts.user != calibration.user:
        return f"the look is now made as {facts.user}, not as {calibration.user}"
    if facts.directory_identity != calibration.directory_identity:
        return "its data directory is another one than the server ran on"
    return None


async def _serves(world: World, node: Node, runs: Runs) -> bool:
    """It answers SQL and is not in recovery."""
    answer = await ask(world, node, ROLE, timeout_s=min(LAST_LOOK_S, world.poll_timeout_s))
    runs.add_sql(node.name, ROLE, answer.look, f"in_recovery={answer.row.get('in_recovery')}")
    return answer.ok and not answer.row["in_recovery"]


async def _still_streaming(world: World, primary: Node, runs: Runs) -> str | None:
    """A walsender outlives nothing that was stopped; its receiver's row is gone at once."""
    deadline = world.monotonic() + STREAM_GONE_S
    upstream = (primary.address.host, primary.address.port)
    while True:
        answers = await asyncio.gather(
            *(
                ask(world, node, STREAMS, *upstream, timeout_s=world.poll_timeout_s)
                for node in world.standbys_of(primary.name)
            )
        )
        streaming = [
            node.name
            for node, answer in zip(world.standbys_of(primary.name), answers, strict=True)
            if answer.ok and answer.row["streams"]
        ]
        if not streaming:
            return None
        if world.monotonic() >= deadline:
            runs.add_sql(primary.name, STREAMS, answers[0].look, f"streaming: {streaming}")
            return ", ".join(streaming)
        await asyncio.sleep(0.02)


def _failed(effect: Fence, world: World, runs: Runs, reason: str) -> EffectFailed:
    node = world.nodes[effect.node]
    data = node.arguments["data_dir"]
    advice = (
        f"make sure that {node.name} is off for good (on its host, as the owner of the data"
        f" directory: touch {data}/standby.signal; {node.arguments['bin_dir']}/pg_ctl -D {data}"
        f" stop -m immediate), then: failoverd fenced {node.name} --reason 'why you are sure'"
    )
    return EffectFailed(
        "no_proof", runs.evidence(f"{node.name} is not proved fenced: {reason}"), advice
    )
