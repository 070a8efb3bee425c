"""A host of which nothing is asked any more once the leadership is lost, whatever was begun."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Mapping
from dataclasses import dataclass, replace

from failoverd.core.model import CommandRun, NodeName, Outcome
from failoverd.effect.world import NOT_LEADING, World
from failoverd.transport.host import Host, HostAnswer
from failoverd.transport.stream import Take


@dataclass(frozen=True, slots=True)
class HeldHost:
    """As the host itself, for as long as `may_act`; asked anew before each call."""

    host: Host
    may_act: Callable[[], bool]

    @property
    def node(self) -> NodeName:
        return self.host.node

    async def call(
        self, verb: str, arguments: Mapping[str, str], *, timeout_s: float
    ) -> HostAnswer:
        if not self.may_act():
            return self._not_asked(verb)
        return await self.host.call(verb, arguments, timeout_s=timeout_s)

    async def fetch(
        self, verb: str, arguments: Mapping[str, str], take: Take, *, timeout_s: float
    ) -> HostAnswer:
        if not self.may_act():
            return self._not_asked(verb)
        return await self.host.fetch(verb, arguments, take, timeout_s=timeout_s)

    async def feed(
        self,
        verb: str,
        arguments: Mapping[str, str],
        blocks: AsyncIterator[bytes],
        *,
        timeout_s: float,
    ) -> HostAnswer:
        if not self.may_act():
            return self._not_asked(verb)
        return await self.host.feed(verb, arguments, blocks, timeout_s=timeout_s)

    async def close(self) -> None:
        await self.host.close()

    def _not_asked(self, verb: str) -> HostAnswer:
        run = CommandRun(self.node, verb, NOT_LEADING, 0.0)
        return HostAnswer(Outcome.NOT_TRIED, None, {}, run)


def held_back(world: World) -> World:
    """The same world, each host of which is asked only while this daemon may act."""
    nodes = {
        name: replace(node, host=HeldHost(node.host, world.may_act))
        for name, node in world.nodes.items()
    }
    return replace(world, nodes=nodes)
