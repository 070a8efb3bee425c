"""What the demo prints: a line a thing, with the seconds since the fault."""

from __future__ import annotations

import enum
import os
import sys
import time
from dataclasses import dataclass


class Colour(enum.StrEnum):
    PLAIN = ""
    BOLD = "1"
    DIM = "2"
    RED = "1;31"
    GREEN = "32"
    YELLOW = "33"
    CYAN = "36"


@dataclass(slots=True)
class Screen:
    """Prints at once, line by line; safe to pipe into a file."""

    coloured: bool
    fault_at_s: float | None = None
    """Monotonic; from then on every line of `event` shows the time since."""

    def say(self, text: str = "", colour: Colour = Colour.PLAIN) -> None:
        painted = f"\x1b[{colour}m{text}\x1b[0m" if self.coloured and colour and text else text
        print(painted, flush=True)

    def event(
        self, who: str, text: str, colour: Colour = Colour.PLAIN, *, at_s: float | None = None
    ) -> None:
        """Something happened at `at_s` (monotonic; None: now)."""
        if self.fault_at_s is None:
            when = ""
        else:
            since = (time.monotonic() if at_s is None else at_s) - self.fault_at_s
            when = f"{since:+9.3f} s"
        self.say(f"{when:11}  {who:10}  {text}", colour)


def open_screen() -> Screen:
    return Screen(coloured=sys.stdout.isatty() and not os.environ.get("NO_COLOR"))
