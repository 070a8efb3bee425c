"""Tells what the daemon sees and does, from its log and its HTTP interface, as it happens."""

from __future__ import annotations

import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from failoverd.demo.screen import Colour, Screen
from failoverd.demo.watched import Daemon, LogLine

_LEVELS = {"warning": Colour.YELLOW, "error": Colour.RED, "critical": Colour.RED}
_CALM = "watching"
_ASK_EVERY_S = 0.1
OF_THE_NEXT_ONE = ("readiness: ", "worst case of an outage: ")
"""What a pair of which one is dead lacks for another failover is not what is watched here."""


@dataclass(slots=True)
class Narration:
    daemon: Daemon
    screen: Screen
    status: Mapping[str, Any] = field(default_factory=dict)
    """The daemon's latest answer, at most 0.1 s old after `tell()`; empty where none came."""
    _asked_at_s: float = field(default=0.0, repr=False)
    _diagnosis: str = field(default="", repr=False)

    def tell(self) -> None:
        """Print what is new: every log line (of a traceback the last), a changed diagnosis."""
        raw = ""
        for line in self.daemon.new_log_lines():
            if line.raw:
                raw = line.event
            else:
                self._tell_line(line)
        if raw:
            self.screen.event("", f"{raw.strip(' |+-')}  ({self.daemon.log})", Colour.RED)
        now = time.monotonic()
        if now < self._asked_at_s + _ASK_EVERY_S:
            return
        self._asked_at_s = now
        self.status = self.daemon.status()
        self._tell_diagnosis()

    def _tell_line(self, line: LogLine) -> None:
        if line.event.startswith(OF_THE_NEXT_ONE):
            return
        state = str(line.fields.get("state", ""))
        moved = "from_state" in line.fields
        colour = _LEVELS.get(line.level, Colour.BOLD if moved else Colour.PLAIN)
        text = line.event.removeprefix(f"{state}: ") if moved else line.event
        self.screen.event(state if moved else "", text, colour, at_s=line.at_s)

    def _tell_diagnosis(self) -> None:
        diagnosis = self.status.get("diagnosis")
        if diagnosis and diagnosis != self._diagnosis:
            self._diagnosis = str(diagnosis)
            sentence = self.status.get("diagnosis_sentence", "")
            text = f"sees {self.status.get('primary')}: {diagnosis} ({sentence})"
            self.screen.event("", text, Colour.CYAN)

    @property
    def outlook(self) -> str:
        """What it would do if the primary died this second."""
        return str(self._part("outlook").get("would", ""))

    @property
    def prepared(self) -> bool:
        """Watching, every host seen with its server alive, nothing in the way of a failover."""
        nodes = self._part("nodes").values()
        return (
            self.status.get("state") == _CALM
            and bool(nodes)
            and all(node.get("calibrated") for node in nodes)
            and self._part("outlook").get("obstacles") == []
        )

    def settled_on(self, node: str) -> bool:
        """The daemon watches this node as the primary, and finds it healthy."""
        expected = {"state": _CALM, "primary": node, "diagnosis": "healthy"}
        return expected.items() <= self.status.items()

    def _part(self, name: str) -> Mapping[str, Any]:
        part = self.status.get(name)
        return part if isinstance(part, dict) else {}
