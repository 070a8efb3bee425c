"""Rung `dead_man`: wait until the dead-man on the primary's host must have ended it.

Nothing is asked of that host. The proof is that no named standby can have answered the dead-man
since it was frozen, and that enough time has passed for it to ask and to kill (core/dead_man.py).
"""

from __future__ import annotations

import asyncio
from collections.abc import Mapping

from failoverd.core.arming import is_life
from failoverd.core.dead_man import HOLD_MARGIN_S, ArmedFor, DeadMan, Window, window
from failoverd.core.effects import Fence, StopMode
from failoverd.core.leadership import frozen_slot
from failoverd.core.model import ControlState, Evidence, FenceProof, Instant, NodeName, ProofKind
from failoverd.effect.fence.contradiction import contradiction
from failoverd.effect.fence.verdict import Alive, Goes, NoProof
from failoverd.effect.last_look import serves
from failoverd.effect.rung import FROZEN_WITHIN_S
from failoverd.effect.world import Node, Runs, World, ask

LOOK_EVERY_S = 0.1
LOOK_AT_HOST_S = 0.5
BEFORE_IT_OPENS_S = 0.7
"""So long the last looks may take at which nobody may hear the node any more."""

STANDS_STILL = """
select pg_is_in_recovery() and current_setting('primary_slot_name') = $1
       and (select system_identifier::text from pg_control_system()) = $2
       and not exists (select from pg_stat_wal_receiver) as frozen
"""


async def dead_man_expired(
    effect: Fence, world: World, node: Node, runs: Runs
) -> FenceProof | Alive | NoProof:
    """A proof of kind `dead_man_expired`, waited for; or why there is none."""
    dead_man = world.dead_man
    if dead_man is None or world.memory.primary != node.name:
        return _void("no arming is acknowledged to this daemon, or it was disarmed or lost since")
    last_seen = _last_seen(dead_man, world, node)
    if last_seen is None:
        return _void("it was armed for another boot, or another start, of the server")
    frozen = await _frozen(dead_man, effect, world, runs)
    if isinstance(frozen, NoProof):
        return frozen
    found = window(dead_man, last_seen, frozen)
    opens = None if found is None else found.opens(world.boottime())
    if found is None or opens is None:
        return _void("the last renewal that was acknowledged is too long ago: it may be disarmed")
    waited = await _wait(opens, effect, world, node, runs)
    if waited is not None:
        return waited
    return await _proof(dead_man, found, effect, world, node, runs)


def _void(why: str) -> NoProof:
    return NoProof(why, Goes.VOID)


def _last_seen(dead_man: DeadMan, world: World, node: Node) -> ArmedFor | None:
    """The life that was last seen, if nothing that was seen speaks for another one."""
    calibration = world.memory.calibrations.get(node.name)
    if calibration is None or calibration.boot_id != dead_man.armed_for.boot_id:
        return None
    server = world.view.report(node.name).last_server
    return dead_man.armed_for if is_life(dead_man.armed_for, server) else None


async def _frozen(
    dead_man: DeadMan, effect: Fence, world: World, runs: Runs
) -> Mapping[NodeName, Instant] | NoProof:
    """Since when each named standby stands still; they are frozen beside this rung."""
    deadline = world.boottime() + FROZEN_WITHIN_S
    while True:
        asked_at = world.boottime()
        moving = await _moving(dead_man, effect, world, runs)
        if not moving:
            # As the freeze itself was answered, where that was done by this process.
            return {
                name: world.frozen_at.get((name, effect.epoch), asked_at)
                for name in dead_man.standbys
            }
        if world.boottime() >= deadline:
            return NoProof(f"{moving}, and could answer its dead-man")
        await asyncio.sleep(LOOK_EVERY_S)


async def _moving(dead_man: DeadMan, effect: Fence, world: World, runs: Runs) -> str:
    """Who could still answer; empty: every named standby is reached and frozen by us."""
    slot = frozen_slot(effect.epoch, world.owner)
    nodes = [world.nodes[name] for name in sorted(dead_man.standbys) if name in world.nodes]
    gone = sorted(dead_man.standbys - world.nodes.keys())
    if gone:
        return f"{' and '.join(gone)} is not in the configuration any more"
    identifier = world.memory.system_identifier
    answers = await asyncio.gather(
        *(
            ask(world, node, STANDS_STILL, slot, identifier, timeout_s=world.poll_timeout_s)
            for node in nodes
        )
    )
    for node, answer in zip(nodes, answers, strict=True):
        if not answer.ok:
            return f"{node.name} does not answer"
        if not answer.row["frozen"]:
            return f"{node.name} is not frozen"
    for node, answer in zip(nodes, answers, strict=True):
        runs.add_sql(node.name, STANDS_STILL, answer.look, "frozen=True")
    return ""


async def _wait(
    opens: Instant, effect: Fence, world: World, node: Node, runs: Runs
) -> Alive | NoProof | None:
    """Until the proof can be had. Whoever can be reached again needs none of this kind."""
    while (left := opens - BEFORE_IT_OPENS_S - world.boottime()) > 0:
        slept = asyncio.sleep(min(left, LOOK_AT_HOST_S))
        served, answered, _ = await asyncio.gather(
            serves(world, node, Runs()), _host_answers(world, node), slept
        )
        if served and effect.mode is not StopMode.FAST:
            return Alive(f"{node.name} answers again: it is left alone")
        if answered:
            return NoProof("its host answers again: the first rung can do better")
    heard, _ = await asyncio.gather(
        contradiction(world, node, runs, off=False),
        asyncio.sleep(max(0.0, opens - world.boottime())),
    )
    return None if heard is None else NoProof(f"it should have ended, and {heard}")


async def _host_answers(world: World, node: Node) -> bool:
    answer = await node.host.call("status", world.arguments(node), timeout_s=LOOK_AT_HOST_S)
    return answer.done


async def _proof(
    dead_man: DeadMan, found: Window, effect: Fence, world: World, node: Node, runs: Runs
) -> FenceProof | NoProof:
    """The last look at the standbys, after all that waiting."""
    moving = await _moving(dead_man, effect, world, runs)
    if moving:
        return NoProof(f"{moving} any more, and could answer its dead-man")
    now = world.boottime()
    if not found.holds(now):
        return _void(f"its time is over: it disarms itself {HOLD_MARGIN_S:g} s from now")
    sentence = (
        f"{node.name} is fenced: nobody has renewed its dead-man (TTL {dead_man.ttl_s:g} s) for"
        f" {now - dead_man.sent_at:.1f} s, and {' and '.join(sorted(dead_man.standbys))}, frozen,"
        " cannot have answered it"
    )
    return FenceProof(
        kind=ProofKind.DEAD_MAN_EXPIRED,
        node=node.name,
        epoch=effect.epoch,
        proved_at=world.monotonic(),
        control_state=ControlState.UNKNOWN,
        shutdown_checkpoint=None,
        evidence=Evidence(sentence),
    )
