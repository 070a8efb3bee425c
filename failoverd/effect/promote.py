"""Promote the candidate: one guarded statement, asked again until it is out of recovery.

`pg_promote` cannot be revoked, and may sleep for seconds if it is asked only once;
asking again every 100 ms ends that sleep. Source: src/backend/access/transam/
xlogrecovery.c (WaitForWALToBecomeAvailable, wal_retrieve_retry_interval).
"""

from __future__ import annotations

import asyncio

from failoverd.core.effects import Promote
from failoverd.core.events import EffectFailed, Promoted, StillAlive
from failoverd.core.model import PROOF_LIFETIME_S, Look, Outcome
from failoverd.effect.fence import LAST_LOOK_S, ROLE
from failoverd.effect.world import Node, Runs, World, act, ask, look, open_session, why
from failoverd.transport.postgres import SqlSession

LOOK_EVERY_S = 0.005
ASK_EVERY_S = 0.1

GUARDED = """
select pg_is_in_recovery() as in_recovery,
       case when pg_is_in_recovery()
             and (select system_identifier::text from pg_control_system()) = $1
             and greatest(pg_last_wal_receive_lsn(), pg_last_wal_replay_lsn()) >= $2::text::pg_lsn
             and current_setting('primary_slot_name') = $3
             and not exists (select from pg_stat_wal_receiver)
            then pg_promote(false) end as asked
"""


async def promote(effect: Promote, world: World) -> Promoted | StillAlive | EffectFailed:
    """Out of recovery, or why not. Never asked with a proof that is stale or of another epoch."""
    runs = Runs()
    if effect.proof.epoch != effect.epoch:
        return EffectFailed("stale_proof", runs.evidence("the fence proof is of another epoch"))
    node = world.nodes[effect.candidate]
    old = world.nodes[effect.proof.node]
    last_look, (opened, session) = await asyncio.gather(
        ask(world, old, ROLE, timeout_s=min(LAST_LOOK_S, world.poll_timeout_s)),
        open_session(world, node, world.poll_timeout_s),
    )
    runs.add_sql(old.name, ROLE, last_look.look, f"in_recovery={last_look.row.get('in_recovery')}")
    if last_look.ok and not last_look.row["in_recovery"]:
        if session is not None:
            await session.close()
        return StillAlive(runs.evidence(f"{old.name} takes writes: its fence is void"))
    if session is None:
        runs.add_sql(node.name, "connect", opened)
        return EffectFailed("no_answer", runs.evidence(f"{node.name} does not answer"))
    try:
        return await _ask_until_promoted(effect, world, node, session, runs)
    finally:
        await session.close()


async def _ask_until_promoted(
    effect: Promote, world: World, node: Node, session: SqlSession, runs: Runs
) -> Promoted | EffectFailed:
    began = world.monotonic()
    deadline = min(began + world.limits.promote_s, effect.proof.proved_at + PROOF_LIFETIME_S)
    arguments = (
        world.memory.system_identifier,
        str(effect.position),
        f"failoverd_frozen_{effect.epoch}",
    )
    accepted = False
    while world.monotonic() < deadline:
        answer = await session.row(GUARDED, *arguments, timeout_s=world.poll_timeout_s)
        if answer.ok and not answer.row["in_recovery"]:
            return _promoted(node, runs, began, answer.look)
        if answer.look.outcome is Outcome.REJECTED and "permission denied" in answer.look.detail:
            runs.add_sql(node.name, "pg_promote", answer.look)
            if not await _promote_by_host(effect, world, node, runs):
                return EffectFailed("refused", runs.evidence("neither SQL nor host may promote"))
            accepted = True
        elif not answer.ok:
            runs.add_sql(node.name, "pg_promote", answer.look)
            return EffectFailed("no_answer", runs.evidence(f"{answer.look.outcome}: unknown"))
        elif answer.row["asked"] is None and not accepted:
            runs.add_sql(node.name, "pg_promote, guarded", answer.look, "refused by its guard")
            return EffectFailed("refused", runs.evidence(_refused(node)))
        if answer.ok and answer.row["asked"] is not None and not accepted:
            runs.add_sql(node.name, "select pg_promote(false), guarded", answer.look, "asked")
            accepted = True
        if await _left_recovery(world, session):
            return _promoted(node, runs, began, answer.look)
    return EffectFailed("pending", runs.evidence(f"{node.name} was asked and is still in recovery"))


def _refused(node: Node) -> str:
    return (
        f"the guarded pg_promote on {node.name} refused: its identity, position, frozen slot or"
        " upstream is not what was measured"
    )


async def _left_recovery(world: World, session: SqlSession) -> bool:
    """Looks every 5 ms, for as long as one request is left to work."""
    until = world.monotonic() + ASK_EVERY_S
    while world.monotonic() < until:
        answer = await session.row(ROLE, timeout_s=world.poll_timeout_s)
        if answer.ok and not answer.row["in_recovery"]:
            return True
        if not answer.ok:
            return False
        await asyncio.sleep(LOOK_EVERY_S)
    return False


async def _promote_by_host(effect: Promote, world: World, node: Node, runs: Runs) -> bool:
    """`pg_ctl promote` as the owner of the data directory, where the role may not pg_promote."""
    answer, facts = await look(world, node, runs)
    if facts is None:
        return False
    answer = runs.add(
        await act(world, node, "promote", facts, effect.epoch, {}, world.limits.freeze_s)
    )
    if not answer.done:
        runs.done.append(answer.run)
    return answer.done and not why(answer).startswith("unknown")


def _promoted(node: Node, runs: Runs, began: float, seen: Look) -> Promoted:
    took = max(0.0, seen.ended_at - began)
    runs.add_sql(node.name, ROLE, seen, "in_recovery=False")
    return Promoted(runs.evidence(f"{node.name} left recovery {took * 1000:.0f} ms after the ask"))
