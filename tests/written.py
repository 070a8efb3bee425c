"""The commands that are written in README.md and docs/, and are run by tests.

The first line of a block says by which: `sh run` stands alone and is run by
tests/house/test_commands_of_the_pages.py, `sh lab` by tests/lab/test_newcomer.py, and
`sh run by FILE` by the test of that file, on real servers.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).parents[1]
README = ROOT / "README.md"
PAGES = (README, *sorted((ROOT / "docs").rglob("*.md")))
FENCED = re.compile(r"^```sh (\w+)(?: (\w+))?\n(.*?)^```", re.MULTILINE | re.DOTALL)

BY = re.compile(r"^```\w+ run by (\S+)\n(.*?)^```", re.MULTILINE | re.DOTALL)
UNMARKED = re.compile(r"^```sh\n(.*?)^```", re.MULTILINE | re.DOTALL)


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


def block(page: str, words: str, by: str, **instead: str) -> str:
    """The one block of docs/`page` with those words that the test in file `by` runs.

    `instead`: what its placeholders stand for on the hosts of the test.
    """
    (text,) = (
        found[2]
        for found in BY.finditer((ROOT / "docs" / page).read_text())
        if words in found[2] and (ROOT / found[1]) == Path(by)
    )
    for placeholder, value in instead.items():
        assert placeholder in text, f"no {placeholder} in {page}: {text}"
        text = text.replace(placeholder, value)
    return text
