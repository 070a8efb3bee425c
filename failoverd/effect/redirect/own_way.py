"""A command of the operator's own: told on its standard input and in its environment."""

from __future__ import annotations

import asyncio
import json

from failoverd.core.effects import Redirect
from failoverd.core.model import NodeName
from failoverd.core.target import TargetReport
from failoverd.effect.redirect.attempt import Attempt, NotLed
from failoverd.effect.way import OwnWay
from failoverd.transport.fence_agent import ENVIRONMENT
from failoverd.transport.process import Finished, run_program

NOT_THERE = 1
"""Exit status of `check`: applications are led elsewhere. Anything but 0 and 1: not known."""


async def look(way: OwnWay, a: Attempt) -> TargetReport | None:
    """None where it cannot be asked."""
    primary = a.world.memory.primary
    if not way.check or primary is None:
        return None
    began = a.world.monotonic()
    done = await _run(way, a, "check", primary, 0, 0)
    said = done.output.strip() or "it said nothing"
    match done.exit_status:
        case 0:
            return a.seen(began, frozenset({primary}), said)
        case 1:
            return a.seen(began, frozenset(), said)
        case _:
            raise NotLed(f"check {_ended(done)}: {said}")


async def lead(way: OwnWay, effect: Redirect, a: Attempt) -> str:
    """Where it has no `check`, its exit status 0 is what is believed."""
    done = await _run(way, a, "redirect", effect.primary, effect.epoch, effect.attempt)
    said = done.output.strip() or "it said nothing"
    if done.exit_status != 0:
        raise NotLed(f"{way.argv[0]} {_ended(done)}: {said}")
    return f"{way.argv[0]} ended with 0: {said}"


def _ended(done: Finished) -> str:
    return "did not end" if done.exit_status is None else f"ended with {done.exit_status}"


async def _run(
    way: OwnWay, a: Attempt, action: str, primary: NodeName, epoch: int, attempt: int
) -> Finished:
    told = facts(a, action, primary, epoch, attempt)
    environment = {
        f"FAILOVERD_{key.upper()}": str(value)
        for key, value in told.items()
        if not isinstance(value, dict)
    }
    began = a.world.monotonic()
    try:
        async with asyncio.timeout(way.timeout_s):
            done = await run_program(
                way.argv,
                stdin=json.dumps(told).encode() + b"\n",
                environment={**ENVIRONMENT, **environment},
                with_errors=True,
            )
    except TimeoutError:
        done = Finished(None, f"no end within {way.timeout_s:g} s: it was killed")
    except OSError as error:
        done = Finished(None, f"it could not be run: {error}")
    a.note(f"{' '.join(way.argv)} ({action})", done.output, began, done.exit_status)
    return done


def facts(
    a: Attempt, action: str, primary: NodeName, epoch: int, attempt: int
) -> dict[str, object]:
    """What the command is told."""
    node = a.world.nodes[primary]
    return {
        "action": action,
        "target": a.target,
        "cluster": a.world.cluster,
        "primary": primary,
        "host": node.address.host,
        "port": node.address.port,
        "timeline": a.world.memory.timeline,
        "system_identifier": a.world.memory.system_identifier or "",
        "epoch": epoch,
        "attempt": attempt,
        "nodes": {
            name: {"host": one.address.host, "port": one.address.port}
            for name, one in sorted(a.world.nodes.items())
        },
    }
