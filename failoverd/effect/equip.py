"""What a new primary needs beside its role: the old one's slots, and a checkpoint.

A physical slot is made where it is missing, and keeps WAL from now on; what a logical slot
had not delivered cannot be had back, so it is said. Without a checkpoint pg_rewind would
take the new primary for one of the old timeline (PostgreSQL 15 and older say "no rewind
required"). Source: PostgreSQL documentation, "Logical Replication Failover", "pg_rewind".
"""

from __future__ import annotations

import re

from failoverd.core.effects import Equip
from failoverd.core.events import EffectFailed, Equipped
from failoverd.core.model import Outcome
from failoverd.effect.world import Node, Runs, World, act_now, ask, why
from failoverd.transport.postgres import connect

CHECKPOINT = "checkpoint"
CHECKPOINT_S = 20.0
"""Waited for; it goes on when nobody waits any more."""
SLOTS = """
select coalesce(array_agg(slot_name::text order by slot_name), '{}') as names,
       current_setting('primary_slot_name') as own
  from pg_replication_slots
"""
"""`own` is the slot that it had on the old primary: here it would hold back WAL for nobody."""
_SLOT_NAME = re.compile(r"[a-z0-9_]{1,63}")


async def equip(effect: Equip, world: World) -> Equipped | EffectFailed:
    """Slots as far as they can be had, a checkpoint asked for. Repeating it does no harm."""
    runs = Runs()
    node = world.nodes[effect.node]
    there = await ask(world, node, SLOTS, timeout_s=world.poll_timeout_s)
    runs.add_sql(node.name, "which slots are there", there.look, str(there.row.get("names")))
    if not there.ok:
        return EffectFailed("not_equipped", runs.evidence(f"its slots: {there.look.outcome}"))
    names = set(there.row["names"])
    lost = sorted(s.name for s in effect.slots if s.logical and s.name not in names)
    kept = sorted(s.name for s in effect.slots if s.logical and s.name in names)
    physical = {s for s in effect.slots if not s.logical and _SLOT_NAME.fullmatch(s.name)}
    absent = {s for s in physical if s.name not in (*names, there.row["own"])}
    missing = sorted(s.name for s in absent if s.active)
    unused = sorted(s.name for s in absent if not s.active)
    if missing:
        more = {"slots": " ".join(missing)}
        made = await act_now(world, node, "slots", effect.epoch, more, world.limits.freeze_s, runs)
        if not made.done:
            return EffectFailed("not_equipped", runs.evidence(f"slots: {why(made)}"))
    checkpoint = await _checkpoint(effect, world, node, runs)
    if isinstance(checkpoint, EffectFailed):
        return checkpoint
    said = [
        f"slots made: {', '.join(missing)}" if missing else "",
        f"not made, since nobody used them: {', '.join(unused)}" if unused else "",
        f"failover slots kept: {', '.join(kept)}" if kept else "",
        f"logical slots LOST with the old primary: {', '.join(lost)}" if lost else "",
        checkpoint,
    ]
    return Equipped(runs.evidence(f"{node.name}: {'; '.join(one for one in said if one)}"))


async def _checkpoint(effect: Equip, world: World, node: Node, runs: Runs) -> str | EffectFailed:
    """By the role where it may (pg_checkpoint, from PostgreSQL 15 on), else on its host."""
    # A session of its own: for the whole of a checkpoint nobody else could look in it.
    opened, session = await connect(node.address, world.monotonic, world.poll_timeout_s)
    if session is None:
        runs.add_sql(node.name, "connect", opened)
        return EffectFailed("not_equipped", runs.evidence(f"checkpoint: {opened.outcome}"))
    try:
        done = await session.run(CHECKPOINT, timeout_s=CHECKPOINT_S)
    finally:
        await session.close()
    runs.add_sql(node.name, CHECKPOINT, done.look, "done")
    if done.ok:
        return "checkpoint done"
    if done.look.outcome is Outcome.TIMED_OUT:
        return "checkpoint under way"
    asked = await act_now(world, node, "checkpoint", effect.epoch, {}, world.limits.freeze_s, runs)
    if not asked.done:
        return EffectFailed("not_equipped", runs.evidence(f"checkpoint: {why(asked)}"))
    return "checkpoint asked for"
