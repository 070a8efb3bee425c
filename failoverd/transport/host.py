"""A database host, as something that answers the verbs of the host program."""

from __future__ import annotations

import base64
import dataclasses
from collections.abc import AsyncIterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol

from failoverd.core.model import (
    CommandRun,
    ControlState,
    Epoch,
    Guard,
    HostFacts,
    Instant,
    Lsn,
    NodeName,
    Outcome,
    SystemIdentifier,
    Timeline,
)
from failoverd.transport.stream import Take

OUTPUT_LIMIT = 4096
DIGITS = 18
LONGEST_S = 1e10
"""No host is up for so long."""
_QUOTED = "line_b64="
_SECRET = ("restore_", "saved_", "secret_")
_DATA = ("pages_b64=",)


@dataclass(frozen=True, slots=True)
class HostAnswer:
    """What came back. `outcome` is OK only if the whole answer, with our nonce, arrived.

    Anything else means that nobody knows what was done, if anything.
    """

    outcome: Outcome
    exit_status: int | None
    fields: Mapping[str, tuple[str, ...]] = dataclasses.field(repr=False)
    run: CommandRun

    def field(self, name: str) -> str:
        """The first value of a key, or the empty string."""
        return self.fields.get(name, ("",))[0]

    def number(self, name: str) -> int | None:
        """A whole number, and one that can be; None where there is none."""
        said = self.field(name)
        return int(said) if said.isdecimal() and len(said) <= DIGITS else None

    def seconds(self, name: str) -> float:
        """Of a clock. ValueError where it tells no time."""
        told = float(self.field(name))
        if not 0 <= told <= LONGEST_S:
            raise ValueError(name)
        return told

    @property
    def done(self) -> bool:
        """Exit status 0 *and* our nonce: anything else is not done, or unknown."""
        return self.outcome is Outcome.OK and self.exit_status == 0


class Host(Protocol):
    """One host and its ways; bounded, whatever the peer does."""

    @property
    def node(self) -> NodeName: ...

    async def call(
        self, verb: str, arguments: Mapping[str, str], *, timeout_s: float
    ) -> HostAnswer: ...

    async def fetch(
        self, verb: str, arguments: Mapping[str, str], take: Take, *, timeout_s: float
    ) -> HostAnswer:
        """As `call`; the data in its answer is handed to `take`, block by block."""
        ...

    async def feed(
        self,
        verb: str,
        arguments: Mapping[str, str],
        blocks: AsyncIterator[bytes],
        *,
        timeout_s: float,
    ) -> HostAnswer:
        """As `call`, with data for it."""
        ...

    async def close(self) -> None: ...


@dataclass(frozen=True, slots=True)
class Call:
    """One call of a verb, as it is told to people: without what may be a secret."""

    node: NodeName
    verb: str
    arguments: Mapping[str, str] = dataclasses.field(repr=False)
    nonce: str

    @property
    def sent(self) -> dict[str, str]:
        return {**self.arguments, "verb": self.verb, "nonce": self.nonce}

    @property
    def told(self) -> str:
        shown = (
            f"{key}={value.replace(chr(10), ' ')}"
            for key, value in sorted(self.arguments.items())
            if value and not _secret(key) and not key.endswith("_seconds")
        )
        return " ".join((self.verb, *shown))

    def answer(
        self, exit_status: int | None, output: str, duration_s: float, *, become: bool = False
    ) -> HostAnswer:
        """Read what a host printed. No exit status, or not our nonce last: nobody knows.

        `become`: words such as sudo came before it, whose refusal is a mistake of ours.
        """
        lines = output.rstrip("\n").split("\n")
        begin = f"begin={self.nonce}"
        begun = begin in lines
        if begun:  # what a login shell said before is not the program's
            lines = lines[lines.index(begin) + 1 :]
        ended = exit_status is not None and exit_status >= 0  # negative: by a signal
        if ended and lines[-1:] == [f"nonce={self.nonce}"]:
            outcome = Outcome.OK
        elif become and not begun and exit_status == 1:
            outcome = Outcome.MISCONFIGURED
        else:
            outcome = _CUT_OFF.get(exit_status, Outcome.LOST)
        said = "\n".join(_readable(line) for line in lines if not _untold(line))
        run = self._run(said, duration_s, exit_status)
        return HostAnswer(outcome, exit_status, _fields(lines), run)

    def failed(self, outcome: Outcome, words: str, duration_s: float) -> HostAnswer:
        """Nothing came back, for this reason."""
        return HostAnswer(outcome, None, {}, self._run(words, duration_s, None))

    def _run(self, output: str, duration_s: float, exit_status: int | None) -> CommandRun:
        return CommandRun(self.node, self.told, output[:OUTPUT_LIMIT], duration_s, exit_status)


def _readable(line: str) -> str:
    """A line of a log travels encoded, and is told as it was written."""
    if not line.startswith(_QUOTED):
        return line
    try:
        return base64.b64decode(line.removeprefix(_QUOTED)).decode(errors="replace")
    except ValueError:
        return line


def _secret(key: str) -> bool:
    return key.startswith(_SECRET)


_CUT_OFF: Mapping[int | None, Outcome] = {
    124: Outcome.TIMED_OUT,
    137: Outcome.TIMED_OUT,
    126: Outcome.MISCONFIGURED,
    127: Outcome.MISCONFIGURED,
}
"""Exit statuses of a program that did not get to its last line. Source: timeout(1), sh(1)."""


def _untold(line: str) -> bool:
    return _secret(line) or line.startswith(("nonce=", *_DATA))


def _fields(lines: Sequence[str]) -> dict[str, tuple[str, ...]]:
    found: dict[str, tuple[str, ...]] = {}
    for line in lines:
        key, equals, value = line.partition("=")
        if equals:
            found[key] = (*found.get(key, ()), value)
    return found


def host_facts(answer: HostAnswer, seen_at: Instant) -> HostFacts | None:
    """The facts of a look; None where any of them is missing or not understood."""
    if answer.outcome is not Outcome.OK:
        return None
    try:
        return _facts(answer, seen_at)
    except (ValueError, IndexError):
        return None


def _facts(answer: HostAnswer, seen_at: Instant) -> HostFacts:
    pid = answer.field("postmaster_pid")
    checkpoint = answer.field("checkpoint_lsn")
    guard_epoch = answer.field("guard_epoch")
    state = _present(answer, "control_state")
    known = state in ControlState.__members__.values()
    return HostFacts(
        seen_at=seen_at,
        boot_id=_present(answer, "boot_id"),
        uptime_s=answer.seconds("uptime"),
        user=_present(answer, "user"),
        directory_identity=_present(answer, "directory_identity"),
        system_identifier=SystemIdentifier(_present(answer, "system_identifier")),
        control_state=ControlState(state) if known else ControlState.UNKNOWN,
        control_timeline=Timeline(int(answer.field("control_timeline"))),
        checkpoint_lsn=Lsn.parse(checkpoint) if checkpoint else None,
        processes=tuple(_process(line) for line in answer.fields.get("process", ())),
        postmaster_pid=int(pid) if pid else None,
        postmaster_started=answer.field("postmaster_started").strip(),
        listener={"yes": True, "no": False}[_word(answer, "listener", ("yes", "no"))],
        guard=Guard(answer.field("guard")),
        guard_epoch=Epoch(int(guard_epoch)) if guard_epoch else None,
        epoch=Epoch(int(answer.field("epoch"))),
        recovering=answer.field("recovering"),
        dead_man=answer.field("dead_man"),
        other_manager=answer.field("other_manager"),
    )


def _present(answer: HostAnswer, name: str) -> str:
    value = answer.field(name)
    if not value:
        raise ValueError(name)
    return value


def _word(answer: HostAnswer, name: str, allowed: tuple[str, ...]) -> str:
    value = answer.field(name)
    if value not in allowed:
        raise ValueError(name)
    return value


def _process(line: str) -> tuple[int, str]:
    pid, state = line.split()
    return int(pid), state
