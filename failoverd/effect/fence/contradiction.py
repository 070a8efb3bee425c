"""What speaks against a host that is said to be off: somebody who still hears it.

An agent or a command may lie, or may have been given another machine's address.
"""

from __future__ import annotations

import asyncio

from failoverd.core.model import Outcome
from failoverd.effect.last_look import serves
from failoverd.effect.world import Node, Runs, World, ask

HOST_LOOK_S = 0.5
APART_S = 0.4
"""Between two looks at what a standby has received: it must stand still."""

RECEIVED = """
select pg_last_wal_receive_lsn()::text as received, max(last_msg_receipt_time)::text as heard,
       max(sender_host) as host, max(sender_port) as port
  from pg_stat_wal_receiver
"""


async def contradiction(world: World, node: Node, runs: Runs, *, off: bool) -> str | None:
    """Who still hears it; with `off`, its host may not answer, either."""
    served, heard, answered = await asyncio.gather(
        serves(world, node, runs),
        _somebody_hears(world, node, runs),
        _host_answers(world, node, runs) if off else _nobody(),
    )
    if served:
        return "something still answers as a primary at its address"
    if heard is not None:
        return f"{heard} still receives from it"
    return (
        "its host still answers, or was not asked: nothing shows that it is off"
        if answered
        else None
    )


async def _nobody() -> bool:
    return False


async def _host_answers(world: World, node: Node, runs: Runs) -> bool:
    """Also by refusing us: some machine is there that is on. What was not asked is not silent."""
    call = node.host.call("status", world.arguments(node), timeout_s=HOST_LOOK_S)
    answer = runs.add(await call)
    not_silent = answer.outcome in (Outcome.REFUSED, Outcome.MISCONFIGURED, Outcome.NOT_TRIED)
    return not_silent or answer.exit_status is not None


async def _somebody_hears(world: World, primary: Node, runs: Runs) -> str | None:
    first = await _received(world, primary)
    await asyncio.sleep(APART_S)
    second = await _received(world, primary)
    moved = [name for name, seen in second.items() if name in first and first[name] != seen]
    for name in moved:
        runs.note(f"received and heard on {name}", f"{first[name]}, then {second[name]}", primary)
    return ", ".join(moved) or None


async def _received(world: World, primary: Node) -> dict[str, tuple[object, object]]:
    """Of each standby that receives from it: what, and when it last heard.

    From it, as far as addresses tell: no other node has that one. It may be named otherwise there.
    """
    standbys = world.standbys_of(primary.name)
    elsewhere = {(standby.address.host, standby.address.port) for standby in standbys}
    limit_s = world.poll_timeout_s
    answers = await asyncio.gather(
        *(ask(world, node, RECEIVED, timeout_s=limit_s) for node in standbys)
    )
    return {
        node.name: (answer.row["received"], answer.row["heard"])
        for node, answer in zip(standbys, answers, strict=True)
        if answer.ok and answer.row["heard"] is not None
        if (answer.row["host"], answer.row["port"]) not in elsewhere
    }
