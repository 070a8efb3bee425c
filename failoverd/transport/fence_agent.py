"""A program of the standard fence-agent interface, run on this machine.

Options go as key=value lines on standard input: none of them is in an argument list. Exit
status 0 is done, or on; of `status`, 2 is off; 1 is a failure.
Source: ClusterLabs, "Fence Agent API" (doc/FenceAgentAPI.md).
"""

from __future__ import annotations

import asyncio
import enum
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

from failoverd.core.model import CommandRun, Instant, NodeName
from failoverd.transport.postgres import Monotonic
from failoverd.transport.process import OUTPUT_LIMIT, Finished, run_program

ENVIRONMENT = {"PATH": "/usr/sbin:/usr/bin:/sbin:/bin", "LC_ALL": "C.UTF-8", "HOME": "/"}
"""Nothing of ours: agents are Python programs of the system, and ours may be another Python."""
OFF = 2
SHORTEST_SECRET = 3
"""Characters. A shorter one is not worth hiding: to replace it would leave nothing readable."""


class Power(enum.StrEnum):
    ON = "on"
    OFF = "off"
    UNKNOWN = "unknown"


@dataclass(frozen=True, slots=True)
class FenceAgent:
    """One node's way to be turned off."""

    path: str
    options: Mapping[str, str]
    secrets: Mapping[str, Callable[[], str]] = field(repr=False)
    """Option to what reveals it. Whatever that raises is the program's own error to tell."""
    timeout_s: float


async def act(
    agent: FenceAgent, action: str, node: NodeName, monotonic: Monotonic
) -> tuple[int | None, CommandRun]:
    """The exit status, None where it did not end in time or at all; and what it said."""
    began = monotonic()
    hidden: list[str] = []
    try:
        revealed = {option: secret() for option, secret in agent.secrets.items()}
        hidden = list(revealed.values())
        text = _text({**agent.options, **revealed, "action": action})
        async with asyncio.timeout(agent.timeout_s):
            finished = await run_program(
                [agent.path], stdin=text, environment=ENVIRONMENT, with_errors=True
            )
    except TimeoutError:
        finished = Finished(None, f"no end within {agent.timeout_s:g} s: it was killed")
    except (OSError, ValueError) as error:
        finished = Finished(None, f"it could not be run: {error}")
    said = _without(finished.output.strip(), hidden)[:OUTPUT_LIMIT]
    told = f"{agent.path} action={action}{_shown(agent.options)}"
    run = CommandRun(node, told, said, monotonic() - began, finished.exit_status)
    return finished.exit_status, run


async def power(
    agent: FenceAgent, node: NodeName, monotonic: Monotonic
) -> tuple[Power, CommandRun, Instant]:
    """What the agent says of it now, and when we began to ask."""
    asked_at = monotonic()
    status, run = await act(agent, "status", node, monotonic)
    found = {0: Power.ON, OFF: Power.OFF}.get(-1 if status is None else status, Power.UNKNOWN)
    return found, run, asked_at


def _text(options: Mapping[str, str]) -> bytes:
    """Raises ValueError where a value would be two lines."""
    for option, value in options.items():
        if "\n" in value or "\r" in value:
            raise ValueError(f"the option {option} has a line break")
    return "".join(f"{option}={value}\n" for option, value in options.items()).encode()


def _shown(options: Mapping[str, str]) -> str:
    return "".join(f" {option}={value}" for option, value in sorted(options.items()))


def _without(text: str, secrets: list[str]) -> str:
    for secret in secrets:
        if len(secret) >= SHORTEST_SECRET:
            text = text.replace(secret, "***")
    return text
