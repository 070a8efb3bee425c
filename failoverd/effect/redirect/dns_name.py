"""A DNS name with a low TTL: the slow way, for clients and resolvers remember it."""

from __future__ import annotations

from collections.abc import Awaitable
from typing import TypeVar

from failoverd.core.model import NodeName
from failoverd.core.target import TargetReport
from failoverd.effect.redirect.attempt import Attempt, NotLed
from failoverd.effect.way import DnsName
from failoverd.transport.dns import DnsFailed, addresses
from failoverd.transport.dns import lead as update

Found = TypeVar("Found")


async def look(way: DnsName, a: Attempt) -> TargetReport:
    """By the zone's own server; what others remember is not known to anybody."""
    began = a.world.monotonic()
    name = f"{way.record}.{way.zone.name}"
    found = await _asked(addresses(way.zone, way.record, way.timeout_s), f"query {name}", a)
    a.note(f"query {name} at {way.zone.server}", " ".join(found) or "no address", began)
    nodes = {address: node for node, address in way.addresses.items()}
    known = frozenset(nodes[one] for one in found if one in nodes)
    where = known if all(one in nodes for one in found) else frozenset[NodeName]()
    return a.seen(began, where, f"{name} is {' and '.join(found) or 'nowhere'}")


async def lead(way: DnsName, primary: NodeName, a: Attempt) -> None:
    began, address = a.world.monotonic(), way.addresses[primary]
    command = f"update {way.record}.{way.zone.name} {way.ttl} {address} at {way.zone.server}"
    await _asked(update(way.zone, way.record, address, way.ttl, way.timeout_s), command, a)
    a.note(command, "done", began)


async def _asked(doing: Awaitable[Found], command: str, a: Attempt) -> Found:
    began = a.world.monotonic()
    try:
        return await doing
    except DnsFailed as error:
        a.note(command, str(error), began)
        raise NotLed(str(error)) from None
