"""A zone's name server: what a name leads to, and a signed update (RFC 2136, RFC 8945).

Needs dnspython, the extra `dns`; it is imported when it is first used.
"""

from __future__ import annotations

import asyncio
import ipaddress
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any


class DnsFailed(Exception):  # noqa: N818 - what happened
    """The server did not answer, or refused; says so without a secret."""


@dataclass(frozen=True, slots=True)
class DnsZone:
    """One zone at its primary name server, and the key that may change it."""

    server: str
    port: int
    name: str
    key_name: str
    algorithm: str
    secret: Callable[[], str] = field(repr=False)


def available() -> bool:
    """Whether the extra is installed."""
    try:
        _modules()
    except DnsFailed:
        return False
    return True


def _modules() -> Any:
    try:
        import dns.asyncquery  # noqa: PLC0415 - an extra
        import dns.exception  # noqa: PLC0415
        import dns.message  # noqa: PLC0415
        import dns.rcode  # noqa: PLC0415
        import dns.tsigkeyring  # noqa: PLC0415
        import dns.update  # noqa: PLC0415
    except ImportError:
        raise DnsFailed("dnspython is missing: install failoverd[dns]") from None
    return dns


async def addresses(zone: DnsZone, record: str, timeout_s: float) -> list[str]:
    """What the zone's own server says that the name leads to."""
    dns = _modules()
    found: list[str] = []
    for kind in ("A", "AAAA"):
        question = dns.message.make_query(f"{record}.{zone.name}", kind)
        answer = await _ask(zone, question, timeout_s)
        if answer.rcode() == dns.rcode.NXDOMAIN:
            return []
        if answer.rcode() != dns.rcode.NOERROR:
            raise DnsFailed(f"it answers {dns.rcode.to_text(answer.rcode())}")
        found += [item.address for one in answer.answer for item in one if hasattr(item, "address")]
    return sorted(found)


async def lead(zone: DnsZone, record: str, address: str, ttl: int, timeout_s: float) -> None:
    """One address record, and no other, in one update."""
    dns = _modules()
    try:
        keyring = dns.tsigkeyring.from_text({zone.key_name: zone.secret()})
    except Exception:  # noqa: BLE001 - it would say the secret
        raise DnsFailed(f"the key {zone.key_name} cannot be used: is it base64?") from None
    update = dns.update.UpdateMessage(zone.name, keyring=keyring, keyalgorithm=f"{zone.algorithm}.")
    kind = "A" if ipaddress.ip_address(address).version == 4 else "AAAA"
    for either in ("A", "AAAA"):
        update.delete(record, either)
    update.add(record, ttl, kind, address)
    answer = await _ask(zone, update, timeout_s)
    if answer.rcode() != dns.rcode.NOERROR:
        raise DnsFailed(f"it refuses the update: {dns.rcode.to_text(answer.rcode())}")


async def _ask(zone: DnsZone, message: Any, timeout_s: float) -> Any:
    dns = _modules()
    try:
        async with asyncio.timeout(timeout_s):
            return await dns.asyncquery.tcp(message, zone.server, timeout=timeout_s, port=zone.port)
    except TimeoutError:
        raise DnsFailed("no answer in time") from None
    except EOFError:
        raise DnsFailed("it has ended the connection in the middle of its answer") from None
    except (OSError, dns.exception.DNSException) as error:
        raise DnsFailed(f"it cannot be asked: {error}") from None
