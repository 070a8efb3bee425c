"""What one attempt at a target says and leaves behind, for its evidence."""

from __future__ import annotations

from collections.abc import Awaitable
from dataclasses import dataclass, field

from failoverd.core.model import CommandRun, Instant, Look, NodeName, Outcome
from failoverd.core.policy import TargetName
from failoverd.core.target import TargetReport
from failoverd.effect.world import ACT_LIFETIME_S, World
from failoverd.transport.host import HostAnswer

OUTPUT_LIMIT = 4096


class NotLed(Exception):  # noqa: N818 - what happened
    """It was not done, or nobody knows: says why, in words for people."""


def expiring(answer: HostAnswer) -> str:
    """When an act expires that is based on this look, by the host's clock."""
    try:
        return str(int((answer.seconds("uptime") + ACT_LIFETIME_S) * 100))
    except ValueError:
        raise NotLed("its host does not tell the time") from None


@dataclass(slots=True)
class Attempt:
    """At one target, with the commands that were run."""

    target: TargetName
    world: World
    timeout_s: float
    runs: list[CommandRun] = field(default_factory=list)

    async def ran(self, command: str, doing: Awaitable[str]) -> str:
        """Its output. Raises NotLed where it could not be asked, or did not answer in time."""
        began = self.world.monotonic()
        try:
            said = await doing
        except TimeoutError:
            self.note(command, "no answer in time", began)
            raise NotLed(f"no answer within {self.timeout_s:g} s") from None
        except OSError as error:
            self.note(command, str(error), began)
            raise NotLed(f"it cannot be reached: {error.strerror or error}") from None
        self.note(command, said, began)
        return said

    def note(self, command: str, said: str, began: Instant, exit_status: int | None = None) -> None:
        took = self.world.monotonic() - began
        who, told = NodeName(self.target), said.strip()[:OUTPUT_LIMIT]
        self.runs.append(CommandRun(who, command, told, took, exit_status))

    def seen(
        self,
        began: Instant,
        points_at: frozenset[NodeName],
        sentence: str,
        *,
        paused: bool = False,
    ) -> TargetReport:
        look = Look(Outcome.OK, began, self.world.monotonic())
        return TargetReport(self.target, look, points_at, sentence, paused)
