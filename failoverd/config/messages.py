"""A mistake in the configuration file, as it is told to the person who made it."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True, slots=True)
class Message:
    """`file:line:column: key: what was wrong (got ...); write ... instead`."""

    file: Path
    line: int
    column: int
    key: str
    text: str

    def __str__(self) -> str:
        where = f"{self.file}:{self.line}:{self.column}" if self.line else str(self.file)
        return f"{where}: {self.key}: {self.text}" if self.key else f"{where}: {self.text}"


class ConfigurationErrors(Exception):  # noqa: N818 - every mistake at once
    """All mistakes of one file, in the order of its lines. Nothing of the file is used."""

    def __init__(self, messages: list[Message]) -> None:
        self.messages = tuple(sorted(messages, key=lambda m: (m.line, m.column, m.key)))
        super().__init__("\n".join(str(message) for message in self.messages))
