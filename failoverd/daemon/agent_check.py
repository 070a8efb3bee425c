"""HAProxy's agent checks: one word on a port of each node, and nothing where nothing is known.

HAProxy takes no failure of an agent for an error, only the words `down`, `fail` and `stopped`:
a daemon that is gone, or does not know, leaves every server as it is. Source: HAProxy,
"Configuration Manual", agent-check.
"""

from __future__ import annotations

import asyncio
import contextlib
import functools
from collections.abc import Callable, Mapping
from dataclasses import dataclass

from failoverd.config.models import Cluster
from failoverd.core.model import NodeName
from failoverd.core.redirection import agent_word
from failoverd.core.situation import Machine
from failoverd.observability import log

LISTEN_AGAIN_S = 5.0
ANSWER_S = 2.0


@dataclass(frozen=True, slots=True)
class Port:
    """Where one node's word is given."""

    host: str
    port: int
    node: NodeName


def ports_of(cluster: Cluster) -> tuple[Port, ...]:
    return tuple(
        Port(one.haproxy.agent.listen, port, NodeName(node))
        for one in cluster.redirect
        if one.haproxy is not None and one.haproxy.agent is not None
        for node, port in sorted(one.haproxy.agent.ports.items())
    )


async def serve_agent_checks(ports: Mapping[Port, Callable[[], Machine]]) -> None:
    """Until cancelled. A port that is taken is said, and tried again; it never stops the watch."""
    async with asyncio.TaskGroup() as group:
        for port, machine in ports.items():
            group.create_task(_serve(port, machine))


async def _serve(port: Port, machine: Callable[[], Machine]) -> None:
    where = f"{port.host}:{port.port}"
    while True:
        try:
            answer = functools.partial(_answer, port.node, machine)
            server = await asyncio.start_server(answer, port.host, port.port)
        except OSError as error:
            log.logger().error(f"cannot listen on {where} for agent checks: {error}; trying again")
            await asyncio.sleep(LISTEN_AGAIN_S)
            continue
        async with server:
            await server.serve_forever()


async def _answer(
    node: NodeName,
    machine: Callable[[], Machine],
    _: asyncio.StreamReader,
    writer: asyncio.StreamWriter,
) -> None:
    word = agent_word(machine(), node)
    with contextlib.suppress(OSError, TimeoutError):
        async with asyncio.timeout(ANSWER_S):
            if word:
                writer.write(f"{word}\n".encode())
                await writer.drain()
            writer.close()
            await writer.wait_closed()
