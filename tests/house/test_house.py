"""The rules of this house."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.house.generate import PAGES, ROOT

LONGEST_FILE = 400
LONGEST_FUNCTION = 55
PAGE_TO_READ = {"failoverd/core/machine.py": 480}
"""The one page that may be longer, so that a failover can be read from top to bottom."""
BANNED = re.compile(r"(^|_)(managers?|handlers?|helpers?|utils?|common|base)($|_)", re.IGNORECASE)
UNFINISHED = re.compile("TO" + "DO|FIX" + "ME|X" * 3)


def sources(*folders: str) -> list[Path]:
    return [
        path
        for folder in folders
        for path in sorted((ROOT / folder).rglob("*"))
        if path.suffix in {".py", ".sh"} and "__pycache__" not in path.parts
    ]


def words_of(name: str) -> str:
    return re.sub(r"(?<=[a-z0-9])(?=[A-Z])", "_", name)


def functions(tree: ast.AST) -> Iterator[ast.FunctionDef | ast.AsyncFunctionDef]:
    for node in ast.walk(tree):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            yield node


def relative(path: Path) -> str:
    return str(path.relative_to(ROOT))


def test_no_file_is_longer_than_one_reads_at_once():
    long = {
        relative(path): lines
        for path in sources("failoverd")
        if (lines := len(path.read_text().splitlines()))
        > PAGE_TO_READ.get(relative(path), LONGEST_FILE)
    }
    assert long == {}


def test_no_function_is_longer_than_a_screen():
    long = [
        f"{relative(path)}: {node.name}: {node.end_lineno - node.lineno + 1} lines"
        for path in sources("failoverd")
        if path.suffix == ".py"
        for node in functions(ast.parse(path.read_text()))
        if node.end_lineno is not None and node.end_lineno - node.lineno >= LONGEST_FUNCTION
    ]
    assert long == []


def test_things_are_named_for_what_they_are():
    named: list[str] = []
    for path in sources("failoverd", "tests"):
        if BANNED.search(path.stem) or any(BANNED.search(part) for part in path.parts[-3:-1]):
            named.append(relative(path))
        if path.suffix == ".py" and path.is_relative_to(ROOT / "failoverd"):
            named += [
                f"{relative(path)}: {node.name}"
                for node in ast.walk(ast.parse(path.read_text()))
                if isinstance(node, ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef)
                and BANNED.search(words_of(node.name))
            ]
    assert named == []


def test_nothing_is_left_for_later():
    left = [
        f"{relative(path)}:{number}"
        for path in sources("failoverd", "tests")
        for number, line in enumerate(path.read_text().splitlines(), 1)
        if UNFINISHED.search(line)
    ]
    assert left == []


def test_no_mock_is_imported():
    mocks = [
        relative(path)
        for path in sources("failoverd", "tests")
        if path.suffix == ".py"
        for node in ast.walk(ast.parse(path.read_text()))
        if (isinstance(node, ast.ImportFrom) and (node.module or "").startswith("unittest"))
        or (isinstance(node, ast.Import) and any(n.name.startswith("unittest") for n in node.names))
    ]
    assert mocks == []


@pytest.mark.parametrize("page", PAGES)
def test_a_generated_page_is_what_the_code_says(page):
    assert (ROOT / page).read_text() == PAGES[page](), "make docs"
