"""Promote the candidate: one guarded statement, asked again until it is out of recovery.

`pg_promote` cannot be revoked, and may sleep for seconds if it is asked only once;
asking again every 100 ms ends that sleep. Source: src/backend/access/transam/
xlogrecovery.c (WaitForWALToBecomeAvailable, wal_retrieve_retry_interval).
"""

from __future__ import annotations

import asyncio

from failoverd.core.effects import Promote
from failoverd.core.events import REPLAYING, EffectFailed, Promoted, StillAlive
from failoverd.core.leadership import frozen_slot
from failoverd.core.model import PROOF_LIFETIME_S, Look, Outcome, ProofKind
from failoverd.effect.fence.power_off import still_off
from failoverd.effect.last_look import ROLE, serves
from failoverd.effect.readers import Readers
from failoverd.effect.synchronous import put
from failoverd.effect.world import (
    NOT_LEADING,
    Node,
    Runs,
    World,
    act,
    clock_in,
    look,
    open_session,
    why,
)
from failoverd.transport.postgres import SqlSession

LOOK_EVERY_S = 0.005
ASK_EVERY_S = 0.1
MAY_NOT = "(42501)"
"""The role lacks the right. Source: PostgreSQL documentation, "PostgreSQL Error Codes"."""
MAYBE_ASKED = "maybe_asked"
"""What a host says whose pg_ctl failed, perhaps after it had asked."""
RECOVERY_IS_OVER = "(55000)"
"""What pg_promote says where recovery ended after its own guard had looked."""

GUARDED = """
select pg_is_in_recovery() as in_recovery,
       case when pg_is_in_recovery()
             and (select system_identifier::text from pg_control_system()) = $1
             and greatest(pg_last_wal_receive_lsn(), pg_last_wal_replay_lsn()) >= $2::text::pg_lsn
             and current_setting('primary_slot_name') = $3
             and not exists (select from pg_stat_wal_receiver)
             and extract(epoch from clock_timestamp()) < $4::float8
            then pg_promote(false) end as asked,
       extract(epoch from clock_timestamp()) >= $4::float8 as late
"""
EXPIRES = "select extract(epoch from clock_timestamp() + interval '2 s')::float8 as at"
"""By the server's own clock, as every act (ACT_LIFETIME_S): what is held up on its way does
nothing."""
READ_CLOCK_EVERY_S = 0.5


async def promote(effect: Promote, world: World) -> Promoted | StillAlive | EffectFailed:
    """Out of recovery, or why not. Never asked with a proof that is stale or of another epoch."""
    runs = Runs()
    if effect.proof.epoch != effect.epoch:
        return EffectFailed("stale_proof", runs.evidence("the fence proof is of another epoch"))
    node = world.nodes[effect.candidate]
    opened, session = await open_session(world, node, world.poll_timeout_s)
    if session is None:
        void = await _void(effect, world, runs)
        if void is not None:
            return StillAlive(runs.evidence(void))
        runs.add_sql(node.name, "connect", opened)
        return EffectFailed("no_answer", runs.evidence(f"{node.name} does not answer"))
    if not opened.ok:
        runs.add_sql(node.name, "connect; asked in the session that is held", opened)
    try:
        return await _ask_until_promoted(effect, world, node, session, runs)
    finally:
        await session.close()


async def _void(
    effect: Promote, world: World, runs: Runs, expiry: _Expiry | None = None
) -> str | None:
    """Why nobody may be promoted now; what was turned off may have been turned on again.

    `expiry` counts from before the looks.
    """
    name = effect.proof.node
    powered_off = effect.proof.kind is ProofKind.POWERED_OFF
    if powered_off and not await still_off(world, world.nodes[name], runs):
        return f"no fence agent says that {name} is still off: its fence is void"
    if expiry is not None:
        await expiry.read()
    return await _writes(effect, world, runs)


async def _writes(effect: Promote, world: World, runs: Runs) -> str | None:
    """Who takes writes, of every node: a daemon may have slept meanwhile."""
    others = [node for name, node in sorted(world.nodes.items()) if name != effect.candidate]
    served = await asyncio.gather(*(serves(world, node, runs) for node in others))
    for node, writes in zip(others, served, strict=True):
        if writes and node.name == effect.proof.node:
            return f"{node.name} takes writes: its fence is void"
        if writes:
            return f"{node.name} takes writes: somebody has promoted it"
    return None


async def _why_not_now(
    effect: Promote, world: World, runs: Runs, expiry: _Expiry, *, first: bool
) -> str | None:
    """What is asked for the first time expires 2 s after these looks; no look takes it back."""
    if first:
        return await _void(effect, world, runs, expiry)
    await expiry.keep_fresh()
    return None


async def _ask_until_promoted(
    effect: Promote, world: World, node: Node, session: SqlSession, runs: Runs
) -> Promoted | StillAlive | EffectFailed:
    began = world.monotonic()
    deadline = min(began + world.limits.promote_s, effect.proof.proved_at + PROOF_LIFETIME_S)
    arguments = (
        world.memory.system_identifier,
        str(effect.position),
        frozen_slot(effect.epoch, world.owner),
    )
    accepted = False
    expiry = _Expiry(session, world)
    readers = Readers()
    if effect.synchronous is not None:
        await _name_standbys(effect, world, node, session, runs)
    while world.monotonic() < deadline:
        void = await _why_not_now(effect, world, runs, expiry, first=not accepted)
        if void is not None:
            return StillAlive(runs.evidence(void))
        if not world.may_act():
            return EffectFailed("not_leading", runs.evidence(NOT_LEADING))
        asked = (*arguments, expiry.at)
        answer = await session.row(GUARDED, *asked, timeout_s=world.poll_timeout_s)
        if answer.ok and not answer.row["in_recovery"]:
            return _promoted(node, runs, began, answer.look)
        if answer.ok and answer.row["late"] and answer.row["asked"] is None:
            expiry.forget()
            continue  # and look at everybody again
        if answer.look.outcome is Outcome.MISCONFIGURED and MAY_NOT in answer.look.detail:
            if not accepted:
                runs.add_sql(node.name, "pg_promote", answer.look)
            failed = await _promote_by_host(effect, world, node, runs, first=not accepted)
            if failed is not None and not accepted:
                return failed
            accepted = True  # whoever refuses now may have left recovery
        elif not answer.ok and RECOVERY_IS_OVER not in answer.look.detail:
            runs.add_sql(node.name, "pg_promote", answer.look)
            return EffectFailed("no_answer", runs.evidence(f"{answer.look.outcome}: unknown"))
        elif answer.ok and answer.row["asked"] is None and not accepted:
            runs.add_sql(node.name, "pg_promote, guarded", answer.look, "refused by its guard")
            return EffectFailed("refused", runs.evidence(_refused(node)))
        if answer.ok and answer.row["asked"] is not None and not accepted:
            runs.add_sql(node.name, "select pg_promote(false), guarded", answer.look, "asked")
            accepted = True
        if await _left_recovery(world, session):
            return _promoted(node, runs, began, answer.look)
        await readers.end(effect, world, node, session, runs)
    return await _pending(world, node, session, runs)


class _Expiry:
    """When what is asked now expires, by the clock of the server that is asked."""

    def __init__(self, session: SqlSession, world: World) -> None:
        self._session = session
        self._world = world
        self._read_at: float | None = None
        self.at = 0.0

    async def read(self) -> None:
        """2 s from now. Where the clock cannot be read it has expired."""
        self._read_at = self._world.monotonic()
        told = await self._session.row(EXPIRES, timeout_s=self._world.poll_timeout_s)
        self.at = told.row["at"] if told.ok else 0.0

    async def keep_fresh(self) -> None:
        now = self._world.monotonic()
        if self._read_at is None or now - self._read_at > READ_CLOCK_EVERY_S:
            await self.read()

    def forget(self) -> None:
        self._read_at = None


NAMES = "select current_setting('synchronous_standby_names') as names"


async def _name_standbys(
    effect: Promote, world: World, node: Node, session: SqlSession, runs: Runs
) -> None:
    """So that no commit on it waits for the dead; where it fails, it is put right afterwards."""
    found = await session.row(NAMES, timeout_s=world.poll_timeout_s)
    if found.ok and found.row["names"] != effect.synchronous:
        await put(effect.synchronous or "", effect.epoch, world, node, session, runs)


BACKLOG = """
select pg_wal_lsn_diff(greatest(pg_last_wal_receive_lsn(), pg_last_wal_replay_lsn()),
                       pg_last_wal_replay_lsn())::int8 as left,
       pg_last_wal_replay_lsn()::text as at
"""
RATE_OVER_S = 0.5


async def _pending(world: World, node: Node, session: SqlSession, runs: Runs) -> EffectFailed:
    """Whether it gets on with its replay: then it is waited for; else it may be given up."""
    first = await session.row(BACKLOG, timeout_s=world.poll_timeout_s)
    await asyncio.sleep(RATE_OVER_S)
    second = await session.row(BACKLOG, timeout_s=world.poll_timeout_s)
    sentence = f"{node.name} was asked and is still in recovery"
    if not (first.ok and second.ok) or second.row["at"] is None:
        return EffectFailed("pending", runs.evidence(sentence))
    done = first.row["left"] - second.row["left"]
    left = f"{second.row['left']} bytes are left to replay"
    if first.row["at"] == second.row["at"]:
        return EffectFailed("pending", runs.evidence(f"{sentence}; replay stands still, {left}"))
    seconds = second.row["left"] * RATE_OVER_S / done if done > 0 else 0.0
    about = f", about {seconds:.0f} s" if seconds else ""
    return EffectFailed(REPLAYING, runs.evidence(f"{sentence}; {left}{about}"))


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


async def _promote_by_host(
    effect: Promote, world: World, node: Node, runs: Runs, *, first: bool
) -> StillAlive | EffectFailed | None:
    """`pg_ctl promote` as the owner of the data directory, where the role may not pg_promote.

    Refused is only what was surely not asked: an answer that is lost may come after the act.
    """
    seen, facts = await look(world, node, runs)
    if facts is None:
        told = f"SQL may not promote, and its host does not answer: {why(seen)}"
        return EffectFailed("refused", runs.evidence(told))
    writing = await _writes(effect, world, runs) if first else None
    if writing is not None:
        return StillAlive(runs.evidence(writing))
    limit_s = world.limits.freeze_s
    answer = runs.add(await act(world, node, "promote", clock_in(facts), effect.epoch, {}, limit_s))
    if answer.done:
        return None
    refused = answer.outcome is Outcome.OK and answer.field("verdict") != MAYBE_ASKED
    told = f"SQL may not promote, and by its host: {why(answer)}"
    return EffectFailed("refused" if refused else "no_answer", runs.evidence(told))


def _promoted(node: Node, runs: Runs, began: float, seen: Look) -> Promoted:
    took = max(0.0, seen.ended_at - began)
    runs.add_sql(node.name, ROLE, seen, "in_recovery=False")
    return Promoted(runs.evidence(f"{node.name} left recovery {took * 1000:.0f} ms after the ask"))
