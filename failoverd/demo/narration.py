"""Tells what the daemon sees and does, from its log and its HTTP interface, as it happens."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

from failoverd.demo.screen import Colour, Screen
from failoverd.demo.watched import Daemon, LogLine

_COLOURS = {"warning": Colour.YELLOW, "error": Colour.RED, "critical": Colour.RED}
_CALM = {"watching", "paused"}


@dataclass(slots=True)
class Narration:
    daemon: Daemon
    screen: Screen
    _state: str = field(default="", repr=False)
    _diagnosis: str = field(default="", repr=False)
    _primary: str = field(default="", repr=False)
    _hosts: frozenset[str] = field(default=frozenset(), repr=False)

    def tell(self) -> None:
        """Print what is new: every log line, and the diagnosis when it changes."""
        for line in self.daemon.new_log_lines():
            self._tell_line(line)
        status = self.daemon.status()
        if not status:
            return
        self._state = str(status.get("state", ""))
        self._primary = str(status.get("primary", ""))

    def _tell_line(self, line: LogLine) -> None:
        details = " ".join(f"{key}={value}" for key, value in line.fields.items())
        self.screen.event(
            "failoverd",
            f"{line.event}  {details}".rstrip(),
            _COLOURS.get(line.level, Colour.PLAIN),
            at_s=line.at_s,
        )

    def hosts_seen(self, names: Sequence[str]) -> bool:
        """Every node's host has been looked at, with the server alive."""
        return self._hosts >= set(names)

    def settled_on(self, node: str) -> bool:
        return self._state in _CALM and self._primary == node
