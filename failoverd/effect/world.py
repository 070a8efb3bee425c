"""What an effect may use: one entry per node, and what the machine knew when it asked."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from failoverd.core.memory import Memory
from failoverd.core.model import (
    CommandRun,
    Epoch,
    Evidence,
    HostFacts,
    Look,
    NodeName,
    Outcome,
)
from failoverd.core.policy import StepLimits
from failoverd.transport.host import Host, HostAnswer, host_facts
from failoverd.transport.postgres import Monotonic, SqlAddress, SqlAnswer, SqlSession, connect

ACT_LIFETIME_S = 2.0
"""An act expires on its host this long after the look that led to it, by the host's clock."""
LOOK_LIMIT_S = 5.0


@dataclass(frozen=True, slots=True)
class Node:
    """How one node is reached."""

    name: NodeName
    host: Host
    address: SqlAddress
    arguments: Mapping[str, str]
    """What the host program must know of this node: data_dir, bin_dir, port ..."""


@dataclass(frozen=True, slots=True)
class World:
    nodes: Mapping[NodeName, Node]
    memory: Memory
    limits: StepLimits
    monotonic: Monotonic
    poll_timeout_s: float

    def arguments(self, node: Node) -> dict[str, str]:
        """Of the host program; no act is done on a data directory of another identity."""
        return {**node.arguments, "system_identifier": self.memory.system_identifier or ""}

    def standbys_of(self, primary: NodeName) -> tuple[Node, ...]:
        return tuple(node for name, node in sorted(self.nodes.items()) if name != primary)


@dataclass(slots=True)
class Runs:
    """The commands of one effect, in order, for its evidence."""

    done: list[CommandRun] = field(default_factory=list)

    def add(self, answer: HostAnswer) -> HostAnswer:
        self.done.append(answer.run)
        return answer

    def add_sql(self, node: NodeName, statement: str, look: Look, said: str = "") -> None:
        output = said if look.ok else f"{look.outcome}: {look.detail}"
        duration = look.ended_at - look.began_at
        self.done.append(CommandRun(node, statement, output, duration))

    def evidence(self, sentence: str) -> Evidence:
        return Evidence(sentence, tuple(self.done))


async def look(world: World, node: Node, runs: Runs) -> tuple[HostAnswer, HostFacts | None]:
    """The host's facts, as the last look before an act."""
    answer = runs.add(await node.host.call("status", world.arguments(node), timeout_s=LOOK_LIMIT_S))
    return answer, host_facts(answer, world.monotonic()) if answer.done else None


async def act(
    world: World,
    node: Node,
    verb: str,
    facts: HostFacts,
    epoch: Epoch,
    more: Mapping[str, str],
    timeout_s: float,
) -> HostAnswer:
    """Call a verb that changes something; it expires 2 s after the look it is based on."""
    arguments = {
        **world.arguments(node),
        "epoch": str(epoch),
        "incident": str(epoch),
        "boot_id": facts.boot_id,
        "expires": str(int((facts.uptime_s + ACT_LIFETIME_S) * 100)),
        **more,
    }
    return await node.host.call(verb, arguments, timeout_s=timeout_s)


def why(answer: HostAnswer) -> str:
    """What a host said about not having done it, as a sentence."""
    if answer.outcome is not Outcome.OK:
        return f"its host did not answer ({answer.outcome}): unknown whether it was done"
    return answer.field("reason") or f"exit status {answer.exit_status}"


async def ask(
    world: World, node: Node, statement: str, *arguments: object, timeout_s: float
) -> SqlAnswer:
    """One statement over a connection of its own."""
    opened, session = await connect(node.address, world.monotonic, timeout_s)
    if session is None:
        return SqlAnswer(opened)
    try:
        return await session.row(statement, *arguments, timeout_s=timeout_s)
    finally:
        await session.close()


async def open_session(
    world: World, node: Node, timeout_s: float
) -> tuple[Look, SqlSession | None]:
    return await connect(node.address, world.monotonic, timeout_s)
