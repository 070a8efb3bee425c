"""The rules of this house, as tests: a first exception would be the beginning of many."""

from __future__ import annotations

import ast
import re
from pathlib import Path

import pytest

from failoverd.cli.commands import cli
from failoverd.core.diagnosis import Diagnosis
from tests.house.pages import PAGES
from tests.lab.detection.test_conditions import CONDITIONS

ROOT = Path(__file__).parents[2]
SOURCES = sorted((ROOT / "failoverd").rglob("*.py"))
TESTS = sorted((ROOT / "tests").rglob("*.py"))
LONGEST_FILE = 400
LONGEST_FUNCTION = 55
THE_PAGE = ROOT / "failoverd" / "core" / "machine.py"
BANNED = {"manager", "handler", "helper", "helpers", "utils", "util", "common", "base", "misc"}
OLD_WORDS = re.compile(r"\b(master|slave)\b", re.IGNORECASE)
LEFT_TO_DO = re.compile(r"\b(TODO|FIXME|XXX)\b")


def functions(tree):
    return [
        node for node in ast.walk(tree) if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)
    ]


@pytest.mark.parametrize("page", sorted(PAGES))
def test_a_page_that_is_made_from_the_source_is_up_to_date(page):
    assert (ROOT / "docs" / page).read_text() == PAGES[page](), "run: make docs"


def test_the_table_of_conditions_holds_only_what_is_tried_and_holds_enough():
    text = (ROOT / "docs" / "detection.md").read_text()
    rows = re.findall(r"^\| (.+?) \| `(\w+)` \| [\d.]+ s \| (no|yes)", text, re.MULTILINE)
    tried = {
        (condition.name, condition.diagnosis, "yes" if condition.fails_over else "no")
        for condition in CONDITIONS
    }
    unknown = [row for row in rows if (row[0].partition(" (")[0], *row[1:]) not in tried]
    assert unknown == []
    assert len(rows) >= 30
    assert sum(over == "no" for *_, over in rows) >= 20


def test_files_are_short():
    long = {
        str(file.relative_to(ROOT)): lines
        for file in SOURCES
        if (lines := len(file.read_text().splitlines())) > LONGEST_FILE and file != THE_PAGE
    }
    assert long == {}


def test_functions_are_short():
    long = [
        f"{file.relative_to(ROOT)}:{f.lineno} {f.name}"
        for file in SOURCES
        for f in functions(ast.parse(file.read_text()))
        if (f.end_lineno or 0) - f.lineno >= LONGEST_FUNCTION
    ]
    assert long == []


def test_no_name_says_nothing():
    named = [
        str(path.relative_to(ROOT))
        for path in (ROOT / "failoverd").rglob("*")
        if path.stem.lower() in BANNED
    ]
    for file in SOURCES:
        for node in ast.walk(ast.parse(file.read_text())):
            if isinstance(node, ast.ClassDef):
                words = {word.lower() for word in re.findall(r"[A-Z][a-z]+", node.name)}
                if words & BANNED and not node.name.startswith("_"):
                    named.append(f"{file.relative_to(ROOT)}: {node.name}")
    assert named == []


def found_in(files, pattern):
    return [
        f"{file.relative_to(ROOT)}: {found[0]}"
        for file in files
        if file != Path(__file__) and (found := pattern.search(file.read_text()))
    ]


def test_the_words_are_those_of_postgresql():
    programs = sorted((ROOT / "failoverd").rglob("*.sh"))
    assert found_in((*SOURCES, *programs), OLD_WORDS) == []


def test_nothing_is_left_to_do():
    assert found_in((*SOURCES, *TESTS), LEFT_TO_DO) == []


def test_the_readme_links_to_pages_that_exist():
    for page in (ROOT / "README.md", *sorted((ROOT / "docs").rglob("*.md"))):
        for target in re.findall(r"\]\(([^)#]+?)(?:#[^)]*)?\)", page.read_text()):
            if "://" not in target:
                assert (page.parent / target).exists(), f"{page.name} -> {target}"


def test_every_diagnosis_has_its_row_in_the_documentation():
    text = (ROOT / "docs" / "diagnoses.md").read_text()
    assert [d for d in Diagnosis if f"| `{d}` |" not in text] == []


def test_what_to_do_about_each_diagnosis_and_what_it_was_tried_on_is_written():
    """A diagnosis without a row of the table was never reached on a real server."""
    text = (ROOT / "docs" / "detection.md").read_text()
    head, _, tried = text.partition("<!-- conditions: begin -->")
    advice = head.partition("## What to do")[2]
    first_column = re.findall(r"^\| (`[^|]*) \|", advice, re.MULTILINE)
    told = set(re.findall(r"`(\w+)`", " ".join(first_column)))
    assert {str(d) for d in Diagnosis} - told == {"healthy"}
    rows = set(re.findall(r"^\| .* \| `(\w+)` \|", tried, re.MULTILINE))
    assert {str(d) for d in Diagnosis} - rows == set()


def test_the_documentation_names_only_commands_that_exist():
    known = set(cli.commands)
    for page in (ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md"))):
        text = page.read_text()
        blocks = "\n".join(re.findall(r"^```sh[^\n]*\n(.*?)^```", text, re.MULTILINE | re.DOTALL))
        said = re.findall(r"^failoverd (?:-c \S+ )?([a-z-]+)", blocks, re.MULTILINE)
        said += re.findall(r"`failoverd (?:-c \S+ )?([a-z-]+)[ `]", text)
        assert set(said) <= known, page.name


SHELLS = {"system", "popen", "create_subprocess_shell", "getoutput", "getstatusoutput"}
UNPICKLED = {"pickle", "marshal", "shelve", "dill"}


def called(tree):
    """Each call, with the last word of what is called."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Call):
            yield node, getattr(node.func, "attr", getattr(node.func, "id", ""))


def test_nothing_from_outside_can_become_a_command_or_code():
    """No shell of ours, nothing evaluated, nothing unpickled."""
    found = []
    for file in SOURCES:
        tree = ast.parse(file.read_text())
        for call, name in called(tree):
            shell = any(k.arg == "shell" for k in call.keywords)
            if name in SHELLS or shell or (isinstance(call.func, ast.Name) and name == "eval"):
                found.append(f"{file.relative_to(ROOT)}:{call.lineno} {name}")
        imported = {
            alias.name
            for node in ast.walk(tree)
            if isinstance(node, ast.Import)
            for alias in node.names
        } | {node.module for node in ast.walk(tree) if isinstance(node, ast.ImportFrom)}
        found += [f"{file.relative_to(ROOT)}: {name}" for name in imported & UNPICKLED]
    assert found == []


def test_what_is_asked_of_an_sshd_is_made_of_quoted_words():
    """A remote shell splits it anew: only shlex.join may make it."""
    text = (ROOT / "failoverd/transport/ssh.py").read_text()
    tree = ast.parse(text)
    joined = {
        target.id
        for node in ast.walk(tree)
        if isinstance(node, ast.Assign) and ast.unparse(node.value).startswith("shlex.join(")
        for target in node.targets
        if isinstance(target, ast.Name)
    }
    asked = [
        ast.unparse(call.args[0])
        for call, name in called(tree)
        if name in ("run", "create_process") and "connection" in ast.unparse(call.func)
    ]
    assert len(asked) == 2
    assert all(words in joined or words.startswith("shlex.join(") for words in asked)


def test_no_rule_of_security_is_waived_without_its_reason():
    """Asserts, which state what the types cannot, apart; and the demo, whose reasons are below."""
    waived = [
        f"{file.relative_to(ROOT)}: {line}"
        for file in SOURCES
        for line in file.read_text().splitlines()
        if re.search(r"noqa: .*\bS[0-9]+(?!.* - \w)", line)
    ]
    assert waived == []
    settings = (ROOT / "pyproject.toml").read_text()
    assert re.findall(r'^"(failoverd/[^"]*)" = \[.*"S[0-9]', settings, re.MULTILINE) == [
        "failoverd/demo/**"
    ]
