"""Rung `stop`: guard the data directory, stop the server, prove that nothing is left.

The proof is looked for, never assumed from an exit status: no process of that data
directory, no listener, our guard in place, the control file read, our nonce, SQL that
does not answer as a primary from here, and no reachable standby that still streams.
"""

from __future__ import annotations

import asyncio

from failoverd.core.calibration import Calibration
from failoverd.core.effects import Fence, StopMode
from failoverd.core.model import (
    ControlState,
    Evidence,
    FenceProof,
    Guard,
    HostFacts,
    ProofKind,
    WalEnd,
)
from failoverd.effect.fence.verdict import Alive, Goes, NoProof
from failoverd.effect.last_look import serves
from failoverd.effect.wal import INLINE_BYTES, wal_on_disk
from failoverd.effect.world import (
    EXIT_STALE_EPOCH,
    LOOK_LIMIT_S,
    Node,
    Runs,
    World,
    act,
    ask,
    clock_in,
    look,
    why,
)
from failoverd.transport.host import HostAnswer, host_facts

STREAM_GONE_S = 2.0
SILENT_LOOK_S = 0.5
"""For a host that was silent in the last round, where another rung can still fence it."""
EXIT_WRONG_CLUSTER = 10
EXIT_ALIVE = 13
EXIT_FOREIGN_GUARD = 17
EXIT_OTHER_MANAGER = 18
NOT_TO_BE_FENCED = frozenset({EXIT_WRONG_CLUSTER, EXIT_FOREIGN_GUARD, EXIT_OTHER_MANAGER})

STREAMS = """
select count(*)::int as streams from pg_stat_wal_receiver
 where status = 'streaming' and sender_host = $1 and sender_port = $2
"""


async def stop(effect: Fence, world: World, node: Node, runs: Runs) -> FenceProof | Alive | NoProof:
    """A proof of kind `stopped`, or why there is none. Repeating it does no harm."""
    before = world.just_seen(node.name)
    if before is None:
        answer, before = await look(world, node, runs, _look_limit_s(effect, world, node))
        if before is None:
            return NoProof(f"its host could not be looked at: {why(answer)}", _after(answer))
        # That may have waited for a link to heal: who answered nothing before it may answer now.
        if effect.mode is StopMode.IMMEDIATE and await serves(world, node, runs):
            return Alive(f"{node.name} answers again: it is left alone")
    unlike = _unlike(before, world.memory.calibrations.get(node.name), world)
    if unlike is not None:
        return unlike
    more = {"mode": str(effect.mode), **_and_its_wal(effect, world)}
    answer = runs.add(
        await act(world, node, "stop", clock_in(before), effect.epoch, more, world.limits.fence_s)
    )
    if answer.exit_status == EXIT_ALIVE:
        return Alive(f"on {node.name}'s host: {why(answer)}")
    if not answer.done:
        return NoProof(why(answer), _after(answer))
    return await _proof(effect, world, node, answer, runs)


def _and_its_wal(effect: Fence, world: World) -> dict[str, str]:
    """The end of its WAL, and what the candidate lacks of it, in the same round trip."""
    if effect.wal_from is None:
        return {}
    return {
        "start": str(effect.wal_from),
        "timeline": str(world.memory.timeline),
        "inline": str(INLINE_BYTES),
        "seconds": "1",
    }


def _look_limit_s(effect: Fence, world: World, node: Node) -> float:
    silent = not world.view.report(node.name).host.look.ok
    can_wait = effect.attempt > 0 or len(node.rungs) == 1
    return SILENT_LOOK_S if silent and not can_wait else LOOK_LIMIT_S


def _after(answer: HostAnswer) -> Goes:
    if answer.exit_status == EXIT_STALE_EPOCH:
        return Goes.NUMBERED_ANEW
    return Goes.NO_FURTHER if answer.exit_status in NOT_TO_BE_FENCED else Goes.ON


async def _proof(
    effect: Fence, world: World, node: Node, answer: HostAnswer, runs: Runs
) -> FenceProof | NoProof:
    facts = host_facts(answer, world.monotonic())
    if facts is None:
        return NoProof("its answer was not understood")
    left = _left(facts, answer)
    if left is not None:
        return NoProof(left)
    unlike = _unlike(facts, world.memory.calibrations.get(node.name), world)
    if unlike is not None:
        return unlike
    # A standby under our guard streams to others what it has, and takes no writes.
    held_down = answer.field("in_recovery_under_guard") == "yes"
    served, streaming = await asyncio.gather(
        serves(world, node, runs),
        _nobody() if held_down else _still_streaming(world, node, runs),
    )
    if served:
        return NoProof("something still answers as a primary at its address")
    held_down = _held_down(answer)
    if streaming is not None and not held_down:
        # From a standby, which a guarded server is, anybody may stream.
        return NoProof(f"{streaming} still streams from it")
    clean = facts.control_state is ControlState.SHUT_DOWN
    seen = "no process of its data directory is left, nothing listens, the guard is in place"
    if held_down:
        seen = "it was started under the guard, and is in recovery"
    sentence = f"{node.name} is fenced: {seen}, its control file says '{facts.control_state}'"
    return FenceProof(
        kind=ProofKind.STOPPED,
        node=node.name,
        epoch=effect.epoch,
        proved_at=facts.seen_at,
        control_state=facts.control_state,
        shutdown_checkpoint=facts.checkpoint_lsn if clean else None,
        evidence=Evidence(sentence),
        wal_end=_wal_end(effect, world, answer),
    )


def _wal_end(effect: Fence, world: World, answer: HostAnswer) -> WalEnd | None:
    found = wal_on_disk(answer, effect.epoch)
    if found is None:
        world.wal.pop(effect.node, None)
        return None
    world.wal[effect.node] = found
    return found.end


def _held_down(answer: HostAnswer) -> bool:
    """Somebody started it again after the guard was laid: it is a standby of nobody."""
    return answer.field("in_recovery_under_guard") == "yes"


def _left(facts: HostFacts, answer: HostAnswer) -> str | None:
    if facts.guard is not Guard.OURS:
        return "the guard is not in place"
    if _held_down(answer):
        return None
    if facts.processes:
        return f"processes are left: {', '.join(str(pid) for pid, _ in facts.processes)}"
    return "something still listens on its port" if facts.listener else None


def _unlike(facts: HostFacts, calibration: Calibration | None, world: World) -> NoProof | None:
    """Silence of a host proves nothing unless the same look has seen this server alive."""
    if facts.system_identifier != world.memory.system_identifier:
        other = f"its data directory belongs to another cluster ({facts.system_identifier})"
        return NoProof(other, Goes.NO_FURTHER)
    if calibration is None:
        return NoProof("its host was never seen to see this server alive: silence proves nothing")
    if facts.boot_id != calibration.boot_id:
        return NoProof("its host was booted since the server was last seen alive there")
    if facts.user != calibration.user:
        return NoProof(f"the look is now made as {facts.user}, not as {calibration.user}")
    if facts.directory_identity != calibration.directory_identity:
        return NoProof("its data directory is another one than the server ran on")
    return None


async def _nobody() -> None:
    return None


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
