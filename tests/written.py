"""The commands that are written in README.md and docs/, and are run by tests."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).parents[1]
README = ROOT / "README.md"
PAGES = (README, *sorted((ROOT / "docs").rglob("*.md")))
FENCED = re.compile(r"^```sh (\w+)(?: (\w+))?\n(.*?)^```", re.MULTILINE | re.DOTALL)


@dataclass(frozen=True)
class Block:
    where: str
    """Page and line."""
    mark: str
    """`run`: anywhere; `lab`: in order, as a newcomer does, by tests/lab/test_newcomer.py."""
    how: str
    """Of the lab: the host, or how; empty: on the monitoring host, to its end."""
    text: str


def blocks(mark: str) -> Iterator[Block]:
    """Those with that mark, in the order of the pages."""
    for page in PAGES:
        text = page.read_text()
        for found in FENCED.finditer(text):
            if found[1] == mark:
                line = text[: found.start()].count("\n") + 1
                yield Block(f"{page.name}:{line}", mark, found[2] or "", found[3])
