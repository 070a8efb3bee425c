"""Sessions on a candidate that hold its replay up, and with it its promotion.

The freeze has set the delays to 0, but a wait that began before that goes on for as long as
the reader does. Whoever still holds replay up a moment later is terminated, and named.
Source: PostgreSQL documentation, "Handling Query Conflicts", "Wait Events of Type IPC".
"""

from __future__ import annotations

from failoverd.core.effects import Promote
from failoverd.core.model import Look, Outcome
from failoverd.effect.world import Node, Runs, World, act_now
from failoverd.transport.postgres import SqlSession

READERS = """
select array_agg(a.pid order by a.pid) as pids,
       string_agg(format('%s (%s, %s, for %s s)', a.pid, a.usename, a.application_name,
                         extract(epoch from clock_timestamp() - a.xact_start)::int),
                  ', ' order by a.pid) as told
  from pg_stat_activity s
  join pg_stat_activity a
    on a.backend_type = 'client backend' and a.pid <> pg_backend_pid()
   and (a.backend_xmin is not null or a.pid = any(pg_blocking_pids(s.pid)))
 where s.backend_type = 'startup'
   and (s.wait_event like 'RecoveryConflict%' or s.wait_event_type in ('Lock', 'BufferPin'))
"""
TERMINATE = "select bool_and(pg_terminate_backend(pid)) as done from unnest($1::int[]) as pid"
MAY_NOT = "(42501)"
"""Not its own sessions, and no pg_signal_backend; or a superuser's."""


class Readers:
    """Those seen in two looks in a row are terminated: the first may just have been canceled."""

    def __init__(self) -> None:
        self._seen: frozenset[int] = frozenset()

    async def end(
        self, effect: Promote, world: World, node: Node, session: SqlSession, runs: Runs
    ) -> None:
        found = await session.row(READERS, timeout_s=world.poll_timeout_s)
        pids = frozenset(found.row.get("pids") or ()) if found.ok else frozenset[int]()
        still, self._seen = pids & self._seen, pids - self._seen
        if not still:
            return
        runs.add_sql(node.name, "who holds replay up", found.look, str(found.row["told"]))
        ended = await session.row(TERMINATE, sorted(still), timeout_s=world.poll_timeout_s)
        runs.add_sql(node.name, f"terminate {sorted(still)}", ended.look, "terminated")
        if _may_not(ended.look):
            more = {"pids": " ".join(str(pid) for pid in sorted(still))}
            limit_s = world.limits.freeze_s
            await act_now(world, node, "end_readers", effect.epoch, more, limit_s, runs)


def _may_not(look: Look) -> bool:
    return look.outcome is Outcome.MISCONFIGURED and MAY_NOT in look.detail
