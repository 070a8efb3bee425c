"""`make docs`: write the pages that are made from the source."""

from __future__ import annotations

from pathlib import Path

from tests.house.pages import PAGES

DOCS = Path(__file__).parents[2] / "docs"


def write() -> None:
    for name, page in PAGES.items():
        (DOCS / name).write_text(page())


if __name__ == "__main__":
    write()
