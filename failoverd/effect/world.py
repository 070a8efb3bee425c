"""What an effect may use: one entry per node, and what the machine knew when it asked."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace

from failoverd.core.dead_man import DeadMan
from failoverd.core.memory import Memory
from failoverd.core.model import (
    ClusterView,
    CommandRun,
    Epoch,
    Evidence,
    HostFacts,
    Instant,
    Look,
    NodeName,
    Outcome,
    RungTried,
)
from failoverd.core.policy import StepLimits, TargetName
from failoverd.core.survey import Login
from failoverd.effect.replication import Replication
from failoverd.effect.rung import Rung, Stop
from failoverd.effect.wal import WalOnDisk
from failoverd.effect.way import Way
from failoverd.transport.host import Host, HostAnswer, host_facts
from failoverd.transport.postgres import Monotonic, SqlAddress, SqlAnswer, SqlSession, connect

ACT_LIFETIME_S = 2.0
"""An act expires on its host this long after the look that led to it, by the host's clock."""
JUST_NOW_S = 0.5
"""A look no older than this need not be made again before an act."""
LOOK_LIMIT_S = 5.0
NOT_LEADING = "this daemon does not hold the leadership any more: nothing was done"
EXIT_STALE_EPOCH = 14
EXIT_EXPIRED = 15


@dataclass(frozen=True, slots=True)
class Node:
    """How one node is reached."""

    name: NodeName
    host: Host
    address: SqlAddress
    arguments: Mapping[str, str]
    """What the host program must know of this node: data_dir, bin_dir, port ..."""
    rungs: tuple[Rung, ...] = (Stop(),)
    """The ladder that fences it."""
    replication: Replication | None = None
    """How it connects to whoever it follows; None: no credentials are configured."""
    become: tuple[str, ...] = ()
    """Words that make whoever logs in there the owner of the data directory."""
    login: Callable[[], Login] | None = None
    """As whom, where SSH leads there; it reads the key."""


@dataclass(frozen=True, slots=True)
class HostClock:
    """A host's own clock, as some look at it has read it; what an act on it expires by."""

    boot_id: str
    uptime_s: float
    read_at: Instant
    """By our clock, and before the host read its own."""


@dataclass(frozen=True, slots=True)
class World:
    nodes: Mapping[NodeName, Node]
    memory: Memory
    view: ClusterView
    limits: StepLimits
    monotonic: Monotonic
    boottime: Monotonic
    """As `monotonic`, and it goes on while this machine sleeps."""
    poll_timeout_s: float
    owner: str = ""
    """This daemon, told from every other one that may count the same epochs."""
    clocks: dict[NodeName, HostClock] = field(default_factory=dict[NodeName, HostClock])
    """The latest of each host; whoever asks a host adds to it."""
    wal: dict[NodeName, WalOnDisk] = field(default_factory=dict[NodeName, WalOnDisk])
    """What the latest fence of a node told of its disk."""
    progress: Callable[[int, int], None] = lambda _done, _of: None
    """Whom to tell how many bytes of how many were carried."""
    targets: Mapping[TargetName, Way] = field(default_factory=dict[TargetName, Way])
    """The applications' ways to the primary."""
    cluster: str = ""
    dead_man: DeadMan | None = None
    """What is armed on the primary's host, with what was sent and acknowledged."""
    frozen_at: dict[tuple[NodeName, Epoch], Instant] = field(
        default_factory=dict[tuple[NodeName, Epoch], Instant]
    )
    """By `boottime`, when a freeze was answered that nobody has undone since."""
    held: Callable[[NodeName], SqlSession | None] = lambda _: None
    """The session in which a node is looked at all the time, where it has one."""
    may_act: Callable[[], bool] = lambda: True
    """Whether this daemon holds the leadership now: asked right before each act."""

    def just_seen(self, node: NodeName) -> HostFacts | None:
        """What the latest round of looks saw on its host, if that is not older than 0.5 s."""
        host = self.view.report(node).host
        if not host.look.ok or host.facts is None:
            return None
        fresh = self.monotonic() - host.facts.seen_at <= JUST_NOW_S
        return host.facts if fresh else None

    def clock_of(self, node: NodeName) -> HostClock | None:
        """Read within the last 0.5 s, by whatever look."""
        seen = self.just_seen(node)
        if seen is not None:
            return clock_in(seen)
        clock = self.clocks.get(node)
        fresh = clock is not None and self.monotonic() - clock.read_at <= JUST_NOW_S
        return clock if fresh else None

    def arguments(self, node: Node) -> dict[str, str]:
        """Of the host program; no act is done on a data directory of another identity."""
        return {**node.arguments, "system_identifier": self.memory.system_identifier or ""}

    def standbys_of(self, primary: NodeName) -> tuple[Node, ...]:
        return tuple(node for name, node in sorted(self.nodes.items()) if name != primary)


@dataclass(slots=True)
class Runs:
    """The commands of one effect, in order, for its evidence."""

    done: list[CommandRun] = field(default_factory=list)
    tried: list[RungTried] = field(default_factory=list)

    def add(self, answer: HostAnswer) -> HostAnswer:
        self.done.append(answer.run)
        return answer

    def add_sql(self, node: NodeName, statement: str, look: Look, said: str = "") -> None:
        output = said if look.ok else f"{look.outcome}: {look.detail}"
        duration = look.ended_at - look.began_at
        self.done.append(CommandRun(node, statement, output, duration))

    def note(self, asked: str, said: str, node: Node) -> None:
        self.done.append(CommandRun(node.name, asked, said, 0.0))

    def evidence(self, sentence: str) -> Evidence:
        return Evidence(sentence, tuple(self.done), tuple(self.tried))


async def look(
    world: World, node: Node, runs: Runs, limit_s: float = LOOK_LIMIT_S
) -> tuple[HostAnswer, HostFacts | None]:
    """The host's facts, as the last look before an act."""
    answer = runs.add(await node.host.call("status", world.arguments(node), timeout_s=limit_s))
    return answer, host_facts(answer, world.monotonic()) if answer.done else None


def clock_in(facts: HostFacts) -> HostClock:
    return HostClock(facts.boot_id, facts.uptime_s, facts.seen_at)


async def act(
    world: World,
    node: Node,
    verb: str,
    clock: HostClock,
    epoch: Epoch,
    more: Mapping[str, str],
    timeout_s: float,
) -> HostAnswer:
    """Call a verb that changes something."""
    arguments = entitled(world, node, clock, epoch, more)
    return await node.host.call(verb, arguments, timeout_s=timeout_s)


def entitled(
    world: World, node: Node, clock: HostClock, epoch: Epoch, more: Mapping[str, str]
) -> dict[str, str]:
    """The arguments of an act: of this epoch, and expiring 2 s after the look it is based on."""
    return {
        **world.arguments(node),
        "owner": world.owner,
        "epoch": str(epoch),
        "incident": str(epoch),
        "boot_id": clock.boot_id,
        "expires": str(int((clock.uptime_s + ACT_LIFETIME_S) * 100)),
        **more,
    }


async def act_now(
    world: World,
    node: Node,
    verb: str,
    epoch: Epoch,
    more: Mapping[str, str],
    timeout_s: float,
    runs: Runs,
) -> HostAnswer:
    """As `act`, after a look of its own where nobody has just looked."""
    clock = world.clock_of(node.name)
    if clock is not None:
        answer = runs.add(await act(world, node, verb, clock, epoch, more, timeout_s))
        if answer.exit_status != EXIT_EXPIRED:
            return answer
    answer, facts = await look(world, node, runs)
    if facts is None:
        return replace(answer, outcome=Outcome.UNKNOWN) if answer.done else answer
    clock = clock_in(facts)
    return runs.add(await act(world, node, verb, clock, epoch, more, timeout_s))


def note_clock(world: World, node: Node, answer: HostAnswer, asked_at: Instant) -> None:
    """Keep what an answer says of its host's clock."""
    with contextlib.suppress(ValueError):
        if answer.done and answer.field("boot_id"):
            uptime_s = answer.seconds("uptime")
            world.clocks[node.name] = HostClock(answer.field("boot_id"), uptime_s, asked_at)


def why(answer: HostAnswer) -> str:
    """What a host said about not having done it, as a sentence."""
    if answer.outcome is not Outcome.OK:
        said = answer.run.output.strip().rpartition("\n")[2]
        told = f": {said}" if said and answer.outcome is Outcome.MISCONFIGURED else ""
        return f"its host did not answer ({answer.outcome}){told}: unknown whether it was done"
    return answer.field("reason") or f"exit status {answer.exit_status}"


async def ask(
    world: World, node: Node, statement: str, *arguments: object, timeout_s: float
) -> SqlAnswer:
    """One statement, over a connection of its own where it lets anybody in."""
    opened, session = await open_session(world, node, timeout_s)
    if session is None:
        return SqlAnswer(opened)
    try:
        return await session.row(statement, *arguments, timeout_s=timeout_s)
    finally:
        await session.close()


LETS_NOBODY_IN = frozenset({Outcome.TOO_MANY_CONNECTIONS, Outcome.MISCONFIGURED, Outcome.REJECTED})


async def open_session(
    world: World, node: Node, timeout_s: float
) -> tuple[Look, SqlSession | None]:
    """A new one; or, where the server lets nobody in, the one in which it is looked at.

    Applications that come over from a dead primary take every slot there is, at the moment at
    which their standby is to be promoted.
    """
    opened, session = await connect(node.address, world.monotonic, timeout_s)
    if session is None and opened.outcome in LETS_NOBODY_IN:
        held = world.held(node.name)
        session = None if held is None else held.lent()
    return opened, session
