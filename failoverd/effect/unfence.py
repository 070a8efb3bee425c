"""Take the guard back, and start the old primary read-write where our fence stopped it."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping

from failoverd.core.effects import StopMode, Unfence, Unguard
from failoverd.core.events import EffectFailed, Unfenced, Unguarded
from failoverd.core.fitness import SUSPENDED
from failoverd.core.model import Guard, HostFacts, Outcome
from failoverd.effect.last_look import ROLE, serves
from failoverd.effect.world import Node, Runs, World, act, ask, clock_in, look, why

RETRY_S = 0.1
START_GRACE_S = 5.0
"""The host ends a start that takes too long itself, and says so."""


async def unguard(effect: Unguard, world: World) -> Unguarded | EffectFailed:
    """Our guard is gone from the data directory; a guard of anybody else stays."""
    return await _unguard(effect, world, {}, world.limits.freeze_s)


async def _unguard(
    effect: Unguard, world: World, more: Mapping[str, str], limit_s: float
) -> Unguarded | EffectFailed:
    runs = Runs()
    node = world.nodes[effect.node]
    answer, facts = await look(world, node, runs)
    if facts is None:
        return EffectFailed("not_unguarded", runs.evidence(f"its host: {why(answer)}"))
    if facts.guard is not Guard.OURS:
        return Unguarded(runs.evidence(f"{node.name} has no guard of ours"))
    if facts.guard_epoch is not None and facts.guard_epoch > effect.epoch:
        return EffectFailed("not_unguarded", runs.evidence("its guard is of a newer incident"))
    # The guard names the incident that laid it, which may be older than the present epoch.
    marker = {"incident": str(facts.guard_epoch or effect.epoch), **more}
    answer = runs.add(
        await act(world, node, "unguard", clock_in(facts), effect.epoch, marker, limit_s)
    )
    if not answer.done:
        return EffectFailed("not_unguarded", runs.evidence(f"its guard stays: {why(answer)}"))
    return Unguarded(runs.evidence(f"the guard of {node.name} was taken back"))


async def unfence(effect: Unfence, world: World) -> Unfenced | EffectFailed:
    """The old primary runs read-write again. Only where nobody was asked to promote."""
    runs = Runs()
    node = world.nodes[effect.node]
    writing = await _writing(world, node, runs)
    if writing:
        sentence = f"{' and '.join(writing)} takes writes: {node.name} is not started beside it"
        return EffectFailed("others_write", runs.evidence(sentence))
    # A unit with Restart= may have started it under our guard, as a standby of nobody.
    stops = {"mode": str(StopMode.FAST), "fast_seconds": "5"}
    asked = Unguard(effect.node, effect.epoch)
    released = await _unguard(asked, world, stops, world.limits.fence_s)
    if isinstance(released, EffectFailed):
        return released
    runs.done.extend(released.evidence.runs)
    answer, facts = await look(world, node, runs)
    if facts is None:
        return EffectFailed("not_started", runs.evidence(f"its host: {why(answer)}"))
    if not facts.processes:
        limit_s = world.limits.start_s + START_GRACE_S
        answer = runs.add(
            await act(world, node, "start", clock_in(facts), effect.epoch, {}, limit_s)
        )
        if not answer.done:
            return EffectFailed("not_started", runs.evidence(f"not started: {why(answer)}"))
    return await _read_write(world, node, runs)


async def _writing(world: World, node: Node, runs: Runs) -> list[str]:
    """The last look, at every other node: another daemon may have promoted one meanwhile."""
    others = world.standbys_of(node.name)
    served = await asyncio.gather(*(serves(world, other, runs) for other in others))
    return [other.name for other, serving in zip(others, served, strict=True) if serving]


def _why_never(node: Node, facts: HostFacts) -> str:
    """Why nothing that is waited for will come; empty: it may."""
    # It runs, and is not only named in a file that was left.
    found = [state for pid, state in facts.processes if pid == facts.postmaster_pid]
    if not found:
        left = ", and processes of an earlier one do" if facts.processes else ""
        return f"no postmaster of {node.name} runs{left}"
    pid = facts.postmaster_pid
    stopped = f"the postmaster of {node.name} is stopped by a signal: kill -CONT {pid}"
    return stopped if found[0] in SUSPENDED else ""


async def _read_write(world: World, node: Node, runs: Runs) -> Unfenced | EffectFailed:
    """Started is not enough: it must be out of recovery, within the limit of a promotion.

    Where nothing answers its host is asked: without a postmaster that runs nobody is waited for.
    """
    deadline = world.monotonic() + world.limits.promote_s
    while True:
        role = await ask(world, node, ROLE, timeout_s=world.poll_timeout_s)
        if role.ok and not role.row["in_recovery"]:
            runs.add_sql(node.name, ROLE, role.look, "in_recovery=False")
            return Unfenced(runs.evidence(f"{node.name} was started again as the primary"))
        if role.look.outcome in (Outcome.REFUSED, Outcome.TIMED_OUT):
            seen = Runs()
            _, facts = await look(world, node, seen)
            never = "" if facts is None else _why_never(node, facts)
            if never:
                runs.done.extend(seen.done)
                return EffectFailed("not_started", runs.evidence(never))
        if world.monotonic() >= deadline:
            runs.add_sql(node.name, ROLE, role.look, f"in_recovery={role.row.get('in_recovery')}")
            sentence = f"{node.name} was started, and does not take writes"
            return EffectFailed("not_writable", runs.evidence(sentence))
        await asyncio.sleep(RETRY_S)
