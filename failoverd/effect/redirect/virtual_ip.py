"""A virtual IP: on the primary's host, told to the neighbours, and on no other.

It is taken from every host that can be asked. Where one cannot, nobody on the wire may answer to
the address: the new host asks before it takes it (RFC 5227). A host that answers and keeps it
stops everything.
"""

from __future__ import annotations

import asyncio
from collections.abc import Mapping

from failoverd.core.model import Epoch, NodeName, Outcome
from failoverd.core.target import TargetReport
from failoverd.effect.redirect.attempt import Attempt, NotLed, expiring
from failoverd.effect.way import VirtualIp
from failoverd.transport.host import HostAnswer


async def look(way: VirtualIp, a: Attempt) -> TargetReport:
    began = a.world.monotonic()
    seen = await _everywhere(way, a)
    here = {node for node, answer in seen.items() if _has(answer)}
    asked = [node for node, answer in seen.items() if answer.done]
    if not asked:
        raise NotLed("no host can be asked who has it")
    silent = [f"{node} ({_why(one)})" for node, one in sorted(seen.items()) if not one.done]
    unknown = f"; not known of {' and '.join(silent)}" if silent else ""
    has = f"{' and '.join(sorted(here)) or 'nobody'} has {way.address}{unknown}"
    return a.seen(began, frozenset(here), has)


async def lead(way: VirtualIp, primary: NodeName, epoch: Epoch, a: Attempt) -> None:
    seen = await _everywhere(way, a)
    if not seen[primary].done:
        raise NotLed(f"{primary} cannot take it: {_why(seen[primary])}")
    unknown = [node for node, answer in seen.items() if not answer.done]
    for node in [n for n, answer in seen.items() if n != primary and _has(answer)]:
        removed = await _act(way, node, "remove", seen[node], epoch, a, ask=False)
        if not removed.done:
            raise NotLed(f"{node} still has it: {_why(removed)}")
    fresh = seen[primary] if not unknown else await _call(way, primary, {"mode": "look"}, a)
    added = await _act(way, primary, "add", fresh, epoch, a, ask=bool(unknown))
    if not added.done:
        raise NotLed(f"{primary} could not take it: {_why(added)}")


async def _everywhere(way: VirtualIp, a: Attempt) -> Mapping[NodeName, HostAnswer]:
    names = sorted(a.world.nodes)
    answers = await asyncio.gather(*(_call(way, node, {"mode": "look"}, a) for node in names))
    return dict(zip(names, answers, strict=True))


async def _act(
    way: VirtualIp,
    node: NodeName,
    mode: str,
    looked: HostAnswer,
    epoch: Epoch,
    a: Attempt,
    *,
    ask: bool,
) -> HostAnswer:
    """It expires by the clock that the look has read."""
    more = {
        "mode": mode,
        "ask": "yes" if ask else "no",
        "owner": a.world.owner,
        "epoch": str(epoch),
        "boot_id": looked.field("boot_id"),
        "expires": expiring(looked),
    }
    return await _call(way, node, more, a)


async def _call(way: VirtualIp, node: NodeName, more: Mapping[str, str], a: Attempt) -> HostAnswer:
    known = {
        "port": "0",
        "system_identifier": a.world.memory.system_identifier or "",
        "state_dir": a.world.nodes[node].arguments.get("state_dir", ""),
        "address": way.address,
        "interface": way.interfaces[node],
        "root": way.become,
        **more,
    }
    host = a.world.nodes[node].host
    answer = await host.call("virtual_ip", known, timeout_s=way.timeout_s)
    a.runs.append(answer.run)
    return answer


def _has(answer: HostAnswer) -> bool:
    return answer.done and answer.field("verdict") == "here"


def _why(answer: HostAnswer) -> str:
    if answer.outcome is not Outcome.OK:
        return f"its host does not answer ({answer.outcome})"
    return answer.field("reason") or f"exit status {answer.exit_status}"
