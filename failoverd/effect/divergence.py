"""Count what a stale node has written beyond the fork, on its own disk. Changes nothing."""

from __future__ import annotations

import contextlib

from failoverd.core.divergence import Branch, Divergence, Lineage, branches, fork_point, lineage
from failoverd.core.effects import MeasureDivergence
from failoverd.core.events import DivergenceMeasured, EffectFailed
from failoverd.core.lsn import Lsn
from failoverd.core.model import HostFacts, NodeName, Timeline
from failoverd.core.split_brain import may_write
from failoverd.effect.world import Node, Runs, World, look, why
from failoverd.transport.host import HostAnswer

READ_S = 5.0
COUNT_S = 20.0
"""For pg_waldump on one timeline; what it has counted by then is told as a lower bound."""
ROUND_TRIP_S = 3.0


async def measure_divergence(
    effect: MeasureDivergence, world: World
) -> DivergenceMeasured | EffectFailed:
    """From the histories of both, read over SSH, and the WAL of the stale one."""
    runs = Runs()
    node = world.nodes[effect.node]
    answer, facts = await look(world, node, runs)
    if facts is None:
        return _failed(runs, f"the host of {node.name}: {why(answer)}")
    own = await _lineage(world, node, effect.timeline, runs)
    other = await _lineage(world, world.nodes[effect.against], effect.against_timeline, runs)
    for found in (own, other):
        if isinstance(found, str):
            return _failed(runs, found)
    assert not isinstance(own, str)
    assert not isinstance(other, str)
    fork = fork_point(own, other)
    if fork is None:
        return _failed(runs, f"the timelines of {effect.node} and {effect.against} tell no fork")
    counts: list[tuple[Branch, HostAnswer]] = []
    for branch in branches(own, fork):
        answer = await _count(world, node, branch, runs)
        if not answer.done:
            return _failed(runs, f"the WAL of {node.name}: {why(answer)}")
        counts.append((branch, answer))
    divergence = _sum(effect, facts, fork, counts)
    return DivergenceMeasured(divergence, runs.evidence(divergence.sentence))


def _failed(runs: Runs, sentence: str) -> EffectFailed:
    return EffectFailed("not_counted", runs.evidence(f"not counted: {sentence}"))


async def _lineage(world: World, node: Node, own: Timeline, runs: Runs) -> Lineage | str:
    asked = {**world.arguments(node), "timeline": str(own)}
    answer = runs.add(await node.host.call("history", asked, timeout_s=READ_S))
    if not answer.done:
        return f"the timeline history of {node.name}: {why(answer)}"
    parents: list[tuple[Timeline, Lsn]] = []
    with contextlib.suppress(ValueError):
        for line in answer.fields.get("parent", ()):
            timeline, left = line.split()
            parents.append((Timeline(int(timeline)), Lsn.parse(left)))
        return lineage(own, parents)
    return f"the timeline history of {node.name} was not understood"


async def _count(world: World, node: Node, branch: Branch, runs: Runs) -> HostAnswer:
    asked = {
        **world.arguments(node),
        "timeline": str(branch.timeline),
        "start": str(branch.start),
        "until": "" if branch.until is None else str(branch.until),
        "seconds": f"{COUNT_S:.0f}",
    }
    limit_s = COUNT_S + ROUND_TRIP_S
    return runs.add(await node.host.call("diverged", asked, timeout_s=limit_s))


def _sum(
    effect: MeasureDivergence,
    facts: HostFacts,
    fork: Lsn,
    counts: list[tuple[Branch, HostAnswer]],
) -> Divergence:
    answers = [answer for _, answer in counts]
    firsts = [said for one in answers if (said := one.field("first_commit"))]
    lasts = [said for one in answers if (said := one.field("last_commit"))]
    return Divergence(
        node=NodeName(effect.node),
        against=effect.against,
        timeline=effect.timeline,
        fork=fork,
        commits=sum(one.number("commits") or 0 for one in answers),
        wal_bytes=sum(_bytes(branch, one) for branch, one in counts),
        complete=all(one.field("complete") == "yes" for one in answers),
        running=may_write(facts),
        commands=tuple(one.field("command") for one in answers),
        first_commit=firsts[0] if firsts else "",
        last_commit=lasts[-1] if lasts else "",
    )


def _bytes(branch: Branch, answer: HostAnswer) -> int:
    """From the start to the end that was found; 0 where none was, and then it is incomplete."""
    with contextlib.suppress(ValueError):
        return max(0, Lsn.parse(answer.field("end")) - branch.start)
    return 0
