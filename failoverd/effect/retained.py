"""Whether an upstream still has the WAL from which a standby would go on.

The checkpoint at the end of a promotion removes what no slot holds, and a standby that was
further behind than the new primary then waits for ever. Source: PostgreSQL documentation,
"Streaming Replication"; src/backend/access/transam/xlog.c, RemoveOldXlogFiles.
"""

from __future__ import annotations

import asyncio

from failoverd.effect.world import Node, Runs, World, ask

STANDS_STILL_S = 1.0

# Whoever is paused, delayed or fed by an archive may go on with WAL that is not its upstream's.
POSITION = """
select (greatest(pg_last_wal_receive_lsn(), pg_last_wal_replay_lsn()) - '0/0')::bigint as bytes,
       greatest(pg_last_wal_receive_lsn(), pg_last_wal_replay_lsn())::text as position
 where pg_is_in_recovery()
   and not exists (select from pg_stat_wal_receiver)
   and not pg_is_wal_replay_paused()
   and current_setting('recovery_min_apply_delay') = '0'
   and current_setting('restore_command') = ''
"""
RETAINED = """
with segment as (select setting::bigint as bytes from pg_settings where name = 'wal_segment_size')
select exists (
         select from pg_ls_waldir() as file, segment
          where file.name ~ '^[0-9A-F]{24}$'
            and ('x' || substr(file.name, 9, 8))::bit(32)::bigint * 4294967296
                + ('x' || substr(file.name, 17, 8))::bit(32)::bigint * segment.bytes
                = $1::bigint / segment.bytes * segment.bytes) as retained
"""


async def gone(world: World, node: Node, upstream: Node, runs: Runs) -> str | None:
    """A sentence where it is proved that `node` cannot go on from `upstream`; else None."""
    timeout_s = world.poll_timeout_s
    first = await ask(world, node, POSITION, timeout_s=timeout_s)
    if not first.ok or not first.row:
        return None
    await asyncio.sleep(STANDS_STILL_S)
    again = await ask(world, node, POSITION, timeout_s=timeout_s)
    if not again.ok or again.row != first.row:
        return None
    position = again.row["position"]
    there = await ask(world, upstream, RETAINED, again.row["bytes"], timeout_s=timeout_s)
    runs.add_sql(
        upstream.name, f"is there WAL from {position} on", there.look, str(dict(there.row))
    )
    if not there.ok or there.row["retained"]:
        return None
    return (
        f"{upstream.name} has no WAL any more from where {node.name} stands ({position}):"
        f" {node.name} cannot follow, and must be copied anew"
    )
