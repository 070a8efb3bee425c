"""HAProxy, by its runtime API: it keeps what it was told, whether or not we live.

A reload forgets it, unless HAProxy keeps its state in a file; that is found by the next look.
Source: HAProxy, "Management Guide", 9.3: `set server`, `show servers state`.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from failoverd.core.model import NodeName
from failoverd.core.target import TargetReport
from failoverd.effect.redirect.attempt import Attempt, NotLed
from failoverd.effect.way import Haproxy
from failoverd.transport.haproxy import ask

CLOSED = 0x01 | 0x02 | 0x08 | 0x10 | 0x20 | 0x40
"""Bits of srv_admin_state that keep traffic away; 0x04 only says how the server began."""
RUNNING = (1, 2)
"""Of srv_op_state: starting, running."""
AGENT_CHECKED = 0x04
"""Of srv_agent_state: an agent check is enabled."""


@dataclass(frozen=True, slots=True)
class Server:
    """One line of `show servers state`."""

    name: str
    address: tuple[str, int]
    running: bool
    admitted: bool
    agent: bool


async def look(way: Haproxy, a: Attempt) -> TargetReport:
    began = a.world.monotonic()
    servers = await _servers(way, a)
    if way.server:
        return a.seen(began, *_by_address(way, servers))
    open_to = {n for n, name in way.servers.items() if _takes(servers[name])}
    found = " and ".join(sorted(way.servers[n] for n in open_to)) or "no server"
    down = [
        f"{one.name} is admitted, and HAProxy finds it down itself"
        for one in (servers[name] for name in way.servers.values())
        if one.admitted and not one.running
    ]
    said = "; ".join((f"{found} of {way.backend} takes sessions", *down))
    return a.seen(began, frozenset(open_to), said)


def _by_address(way: Haproxy, servers: Mapping[str, Server]) -> tuple[frozenset[NodeName], str]:
    server = servers[way.server]
    at = {n for n, address in way.addresses.items() if address == server.address}
    where = f"{way.backend}/{way.server} at {server.address[0]}:{server.address[1]}"
    if _takes(server):
        return frozenset(at), f"{where} takes sessions"
    why = "HAProxy finds it down itself" if server.admitted else "it is in maintenance"
    return frozenset(), f"{where} takes none: {why}"


def _takes(server: Server) -> bool:
    return server.admitted and server.running


async def lead(way: Haproxy, primary: NodeName, a: Attempt) -> None:
    """Away from everybody else first, sessions too, so that none goes on with the old primary."""
    servers = await _servers(way, a)
    if way.server:
        host, port = way.addresses[primary]
        moved = servers[way.server].address != (host, port)
        named = f"{way.backend}/{way.server}"
        shut = [f"set server {named} state maint", f"shutdown sessions server {named}"]
        commands = [*shut, f"set server {named} addr {host} port {port}"] if moved else []
        await _tell(way, [*commands, *_opened(way, servers[way.server])], a)
        return
    others = [name for node, name in sorted(way.servers.items()) if node != primary]
    commands = [command for name in others for command in _shut(way, name)]
    await _tell(way, [*commands, *_opened(way, servers[way.servers[primary]])], a)


async def close(way: Haproxy, primary: NodeName, a: Attempt) -> str:
    """In maintenance; running sessions end."""
    name = way.server or way.servers[primary]
    await _tell(way, _shut(way, name), a)
    server = (await _servers(way, a))[name]
    if server.admitted:
        raise NotLed(f"{way.backend}/{name} was to be in maintenance, and is not")
    return f"{way.backend}/{name} is in maintenance"


def _shut(way: Haproxy, name: str) -> list[str]:
    server = f"{way.backend}/{name}"
    return [f"set server {server} state maint", f"shutdown sessions server {server}"]


def _opened(way: Haproxy, server: Server) -> list[str]:
    """What its agent last said of it was said before it was the primary."""
    named = f"{way.backend}/{server.name}"
    agent = [f"set server {named} agent up"] if server.agent else []
    return [f"set server {named} state ready", *agent]


async def _tell(way: Haproxy, commands: list[str], a: Attempt) -> None:
    """Whatever it says, it is looked at again: the state is the answer."""
    await a.ran("; ".join(commands), ask(way.api, commands, way.timeout_s))


async def _servers(way: Haproxy, a: Attempt) -> dict[str, Server]:
    command = f"show servers state {way.backend}"
    said = await a.ran(command, ask(way.api, [command], way.timeout_s))
    found = parsed(said)
    wanted = [way.server] if way.server else list(way.servers.values())
    lacking = [name for name in wanted if name not in found]
    if lacking and not found:
        raise NotLed(f"it shows no server of backend {way.backend}: {said.strip()[:200]!r}")
    if lacking:
        raise NotLed(f"backend {way.backend} has no server {' and '.join(lacking)}")
    return found


def parsed(said: str) -> dict[str, Server]:
    """By name. What is not understood is left out, and missed by whoever asks for it."""
    lines = said.splitlines()
    head = next((line for line in lines if line.startswith("# be_id ")), "")
    columns = head.removeprefix("# ").split()
    found: dict[str, Server] = {}
    for line in lines:
        row = dict(zip(columns, line.split(), strict=False))
        try:
            found[row["srv_name"]] = Server(
                row["srv_name"],
                (row["srv_addr"], int(row["srv_port"])),
                running=int(row["srv_op_state"]) in RUNNING,
                admitted=not int(row["srv_admin_state"]) & CLOSED,
                agent=bool(int(row["srv_agent_state"]) & AGENT_CHECKED),
            )
        except (KeyError, ValueError):
            continue
    return found
