"""Set synchronous_standby_names: by the role where it may, else on the host, by the owner.

ALTER SYSTEM never waits for a standby itself, and is allowed on a hot standby, too.
Source: PostgreSQL documentation, "ALTER SYSTEM", "GRANT ... ON PARAMETER" (15 and later).
"""

from __future__ import annotations

import base64

from failoverd.core.effects import SetSynchronous
from failoverd.core.events import EffectFailed, SynchronousSet
from failoverd.core.model import Epoch
from failoverd.effect.world import NOT_LEADING, Node, Runs, World, act_now, open_session, why
from failoverd.transport.postgres import SqlSession

SETTING = "synchronous_standby_names"


async def set_synchronous(effect: SetSynchronous, world: World) -> SynchronousSet | EffectFailed:
    """Written and reloaded; whether it is in force is seen by the next look."""
    runs = Runs()
    node = world.nodes[effect.node]
    opened, session = await open_session(world, node, world.poll_timeout_s)
    if session is None:
        runs.add_sql(node.name, "connect", opened)
        return EffectFailed("no_answer", runs.evidence(f"{node.name} does not answer"))
    try:
        failed = await put(effect.names, effect.epoch, world, node, session, runs)
    finally:
        await session.close()
    if failed is not None:
        return EffectFailed("not_set", runs.evidence(f"{SETTING}: {failed}"))
    return SynchronousSet(runs.evidence(f"{node.name}: {SETTING} = '{effect.names}'"))


async def put(
    names: str, epoch: Epoch, world: World, node: Node, session: SqlSession, runs: Runs
) -> str | None:
    """None once it is written and reloaded; else why not."""
    if not world.may_act():
        return NOT_LEADING
    statement = f"alter system set {SETTING} = {quoted(names)}"
    by_role = await session.row(statement, timeout_s=world.poll_timeout_s)
    runs.add_sql(node.name, statement, by_role.look, "done")
    if by_role.ok:
        reload = await session.row("select pg_reload_conf()", timeout_s=world.poll_timeout_s)
        runs.add_sql(node.name, "select pg_reload_conf()", reload.look, "done")
        if reload.ok:
            return None
    more = {"names_b64": base64.b64encode(names.encode()).decode()}
    done = await act_now(world, node, "synchronous", epoch, more, world.limits.freeze_s, runs)
    return None if done.done else why(done)


def quoted(text: str) -> str:
    """A literal, with standard_conforming_strings on as it is by default, and without escapes."""
    return "'" + text.replace("'", "''") + "'"
