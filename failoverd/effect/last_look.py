"""The last look before an irreversible act: whether a primary answers at its address."""

from __future__ import annotations

from failoverd.effect.world import Node, Runs, World, ask

LAST_LOOK_S = 0.25
"""For a server that has said nothing for a whole threshold, or should be gone."""

ROLE = "select pg_is_in_recovery() as in_recovery"


async def serves(world: World, node: Node, runs: Runs) -> bool:
    """It answers SQL and is not in recovery; also where the applications have all its slots."""
    answer = await ask(world, node, ROLE, timeout_s=min(LAST_LOOK_S, world.poll_timeout_s))
    runs.add_sql(node.name, ROLE, answer.look, f"in_recovery={answer.row.get('in_recovery')}")
    return answer.ok and not answer.row["in_recovery"]
