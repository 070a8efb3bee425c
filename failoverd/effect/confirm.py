"""See that the candidate is the primary: identity, timeline, a write, its own log lines."""

from __future__ import annotations

import asyncio
import base64

from failoverd.core.effects import Confirm
from failoverd.core.events import Confirmed, EffectFailed
from failoverd.core.model import Lsn, Outcome, Timeline
from failoverd.effect.world import Node, Runs, World, open_session
from failoverd.transport.postgres import SqlSession

DEFAULT_COMMIT_S = 1.0
RETRY_S = 0.05

PRIMARY = """
select pg_is_in_recovery() as in_recovery,
       (select system_identifier::text from pg_control_system()) as system_identifier,
       case when pg_is_in_recovery() then 0
            else ('x' || substr(pg_walfile_name(pg_current_wal_lsn()), 1, 8))::bit(32)::int
       end as timeline,
       case when pg_is_in_recovery() then null else pg_current_wal_lsn() end::text as written_lsn
"""
LOCAL_WRITE = """
begin;
set local synchronous_commit = local;
select pg_logical_emit_message(true, 'failoverd', 'confirm');
commit
"""
DEFAULT_WRITE = "select pg_logical_emit_message(true, 'failoverd', 'confirm')"


async def confirm(effect: Confirm, world: World) -> Confirmed | EffectFailed:
    """All of it seen, or what is missing; tried again until the step's limit."""
    runs = Runs()
    node = world.nodes[effect.candidate]
    deadline = world.monotonic() + world.limits.confirm_s
    missing = "never asked"
    while True:
        opened, session = await open_session(world, node, world.poll_timeout_s)
        if session is None:
            missing = f"it does not answer ({opened.outcome})"
        else:
            try:
                found = await _seen(effect, world, node, session, runs)
            finally:
                await session.close()
            if isinstance(found, Confirmed):
                return found
            missing = found
        if world.monotonic() >= deadline:
            sentence = f"{node.name} is not confirmed as the primary: {missing}"
            return EffectFailed("unconfirmed", runs.evidence(sentence))
        await asyncio.sleep(RETRY_S)


async def _seen(
    effect: Confirm, world: World, node: Node, session: SqlSession, runs: Runs
) -> Confirmed | str:
    timeout_s = world.poll_timeout_s
    role = await session.row(PRIMARY, timeout_s=timeout_s)
    if not role.ok:
        return f"{role.look.outcome}: {role.look.detail}"
    if role.row["in_recovery"]:
        return "it is in recovery"
    if role.row["system_identifier"] != world.memory.system_identifier:
        return f"it belongs to another cluster ({role.row['system_identifier']})"
    timeline = Timeline(role.row["timeline"])
    if timeline <= effect.old_timeline:
        return f"its timeline is {timeline}, not above {effect.old_timeline}"
    runs.add_sql(node.name, "timeline and role", role.look, f"timeline {timeline}, not in recovery")
    local = await session.run(LOCAL_WRITE, timeout_s=timeout_s)
    runs.add_sql(node.name, "a write, committed locally", local.look, "committed")
    if not local.ok:
        return f"a local write failed: {local.look.outcome} {local.look.detail}"
    default = await session.row(DEFAULT_WRITE, timeout_s=DEFAULT_COMMIT_S)
    runs.add_sql(node.name, "a write, committed as applications do", default.look, "committed")
    sync_blocked = default.look.outcome is Outcome.TIMED_OUT
    if not default.ok and not sync_blocked:
        return f"a write failed: {default.look.outcome} {default.look.detail}"
    (lines, unreadable), switch_point = await asyncio.gather(
        _server_log(world, node, runs), _switch_point(effect, world, node, timeline, runs)
    )
    return Confirmed(
        timeline=timeline,
        written_lsn=Lsn.parse(role.row["written_lsn"]),
        sync_blocked=sync_blocked,
        server_log=lines,
        server_log_unreadable=unreadable,
        evidence=runs.evidence(f"{node.name} is the primary on timeline {timeline} and writes"),
        switch_point=switch_point,
    )


async def _server_log(world: World, node: Node, runs: Runs) -> tuple[tuple[str, ...], str]:
    """What the server itself wrote about its promotion, from the last request on."""
    answer = await node.host.call("log", world.arguments(node), timeout_s=world.limits.freeze_s)
    runs.add(answer)
    if not answer.done or answer.field("readable") == "no":
        return (), answer.field("reason") or f"not readable ({answer.outcome})"
    lines = [
        base64.b64decode(line).decode(errors="replace")
        for line in answer.fields.get("line_b64", ())
    ]
    starts = [n for n, line in enumerate(lines) if "received promote request" in line]
    return tuple(lines[starts[-1] :] if starts else lines[-4:]), ""


async def _switch_point(
    effect: Confirm, world: World, node: Node, timeline: Timeline, runs: Runs
) -> Lsn | None:
    """Where the old timeline was left, by the history file of the new one.

    Promoted, stopped and promoted again, it has come through a timeline in between.
    """
    arguments = {**world.arguments(node), "timeline": str(timeline)}
    answer = await node.host.call("history", arguments, timeout_s=world.limits.freeze_s)
    runs.add(answer)
    told = answer.fields.get("parent", ()) if answer.done else ()
    parents = dict(one.split(maxsplit=1) for one in told if " " in one)
    try:
        return Lsn.parse(parents[str(effect.old_timeline)])
    except (ValueError, KeyError):
        return None
