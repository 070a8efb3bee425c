"""The applications' ways to the primary: looked at, led there, closed. One match a verb."""

from __future__ import annotations

from failoverd.core.effects import CloseTarget, Redirect
from failoverd.core.events import EffectFailed, NotConfigured, Redirected, Result, TargetClosed
from failoverd.core.model import Evidence, Look, NodeName, Outcome
from failoverd.core.policy import TargetName
from failoverd.core.target import TargetReport
from failoverd.effect.redirect import dns_name, haproxy, own_way, pgbouncer, virtual_ip
from failoverd.effect.redirect.attempt import Attempt, NotLed
from failoverd.effect.way import DnsName, Haproxy, OwnWay, PgBouncer, VirtualIp, Way
from failoverd.effect.world import World


async def look_at(name: TargetName, world: World) -> TargetReport | None:
    """Where it leads right now; None where it cannot be asked that."""
    way = world.targets[name]
    attempt, began = Attempt(name, world, way.timeout_s), world.monotonic()
    try:
        return await _look(way, attempt)
    except NotLed as error:
        look = Look(Outcome.UNKNOWN, began, world.monotonic(), str(error))
        return TargetReport(name, look, sentence=str(error))


async def redirect(effect: Redirect, world: World) -> Result:
    """Verified to lead to the primary, or why not."""
    way = world.targets.get(effect.target)
    if way is None:
        return NotConfigured(Evidence("redirect: not configured"))
    attempt = Attempt(effect.target, world, way.timeout_s)
    try:
        before = await _look_or_prepare(way, effect, attempt)
        if before is not None and before.leads_to(effect.primary) and not before.paused:
            return Redirected(_evidence(attempt, f"as before: {before.sentence}"))
        said = await _lead(way, effect, attempt)
        after = await _look(way, attempt)
    except NotLed as error:
        return _failed(attempt, str(error))
    if after is not None and (after.paused or not after.leads_to(effect.primary)):
        return _failed(attempt, after.sentence)
    return Redirected(_evidence(attempt, said if after is None else after.sentence))


async def close_target(effect: CloseTarget, world: World) -> Result:
    """No application reaches that primary by this way, or why that is not known."""
    way = world.targets.get(effect.target)
    if way is None:
        return NotConfigured(Evidence("redirect: not configured"))
    attempt = Attempt(effect.target, world, way.timeout_s)
    try:
        return TargetClosed(_evidence(attempt, await _close(way, effect.primary, attempt)))
    except NotLed as error:
        return _failed(attempt, str(error))


def _evidence(attempt: Attempt, sentence: str) -> Evidence:
    return Evidence(f"{attempt.target}: {sentence}", tuple(attempt.runs))


def _failed(attempt: Attempt, why: str) -> EffectFailed:
    return EffectFailed("not_led", _evidence(attempt, why))


async def _look_or_prepare(way: Way, effect: Redirect, attempt: Attempt) -> TargetReport | None:
    """What is down begins with the right primary when it is back, where we can see to it."""
    try:
        return await _look(way, attempt)
    except NotLed:
        if isinstance(way, PgBouncer):
            await pgbouncer.write(way, effect.primary, effect.epoch, attempt)
        raise


async def _look(way: Way, attempt: Attempt) -> TargetReport | None:
    match way:
        case Haproxy():
            return await haproxy.look(way, attempt)
        case PgBouncer():
            return await pgbouncer.look(way, attempt)
        case VirtualIp():
            return await virtual_ip.look(way, attempt)
        case DnsName():
            return await dns_name.look(way, attempt)
        case OwnWay():
            return await own_way.look(way, attempt)


async def _lead(way: Way, effect: Redirect, attempt: Attempt) -> str:
    match way:
        case Haproxy():
            await haproxy.lead(way, effect.primary, attempt)
        case PgBouncer():
            await pgbouncer.lead(way, effect.primary, effect.epoch, attempt)
        case VirtualIp():
            await virtual_ip.lead(way, effect.primary, effect.epoch, attempt)
        case DnsName():
            await dns_name.lead(way, effect.primary, attempt)
        case OwnWay():
            return await own_way.lead(way, effect, attempt)
    return ""


async def _close(way: Way, primary: NodeName, attempt: Attempt) -> str:
    match way:
        case Haproxy():
            return await haproxy.close(way, primary, attempt)
        case PgBouncer():
            return await pgbouncer.close(way, attempt)
        case VirtualIp() | DnsName() | OwnWay():
            raise NotLed("it cannot be closed")
