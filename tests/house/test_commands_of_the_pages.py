"""Every block of commands in the documentation is run: here, or by whom its mark names."""

from __future__ import annotations

import os
import re
import subprocess
import sys

import pytest

from failoverd.cli.commands import cli
from tests.written import BY, FENCED, PAGES, ROOT, UNMARKED, blocks

BLOCKS = {block.where: block.text for block in blocks("run")}
NOT_RUN = {
    "make demo": "tests/cluster/test_demo.py runs what it runs",
    "make test": "it is what runs the tests",
    "make package ": "packaging/build, which tests/lab/test_package.py runs",
    "scp failoverd-host": "test_installed_program.py puts it there without scp",
}
"""What is in a block that nobody runs, and why not."""
CONFIG = """\
clusters:
  main:
    nodes:
      pg1: {host: 192.0.2.11}
      pg2: {host: 192.0.2.12}
    postgres: {bin_dir: /usr/lib/postgresql/17/bin, data_dir: /var/lib/postgresql/17/main}
    sql: {password_file: PLACE/password}
    ssh: {key_file: PLACE/key, known_hosts: PLACE/known_hosts}
daemon: {state_dir: PLACE/state, control_socket: PLACE/control.sock}
"""


def test_some_blocks_are_marked():
    assert len(BLOCKS) >= 2


@pytest.mark.parametrize("where", BLOCKS)
def test_a_block_that_is_marked_does_what_it_says(where, tmp_path):
    for name in ("password", "key", "known_hosts"):
        (tmp_path / name).touch(mode=0o600)
        (tmp_path / name).write_text("x\n")
    (tmp_path / "config.yaml").write_text(CONFIG.replace("PLACE", str(tmp_path)))
    bin_dir = tmp_path / "bin"
    bin_dir.mkdir()
    command = bin_dir / "failoverd"
    command.write_text(f'#!/bin/sh\nexec {sys.executable} -m failoverd "$@"\n')
    command.chmod(0o755)
    environment = {
        "PATH": f"{bin_dir}:{os.environ['PATH']}",
        "PYTHONPATH": str(ROOT),
        "FAILOVERD_CONFIG": str(tmp_path / "config.yaml"),
    }
    done = subprocess.run(
        ["sh", "-e", "-c", BLOCKS[where]],
        cwd=tmp_path, env=environment, capture_output=True, text=True, timeout=110, check=False,
    )  # fmt: skip
    assert (done.returncode, done.stderr) == (0, "")


def test_every_mark_is_one_that_somebody_runs():
    marks = {found[1] for page in PAGES for found in FENCED.finditer(page.read_text())}
    assert marks == {"run", "lab"}


def test_the_path_of_a_newcomer_is_one_path_and_names_commands_that_are_there():
    path = list(blocks("lab"))
    assert {block.where.partition(":")[0] for block in path} == {"README.md"}
    assert [block.how for block in path if block.how] == ["until", "stays", "pg1"]
    named = set(re.findall(r"^failoverd (\w+)", "".join(b.text for b in path), re.MULTILINE))
    assert named >= {"grants", "check", "run", "status", "history", "report", "explain"}
    assert named <= set(cli.commands)


def test_every_block_of_commands_is_run_or_has_its_reason():
    for page in PAGES:
        for found in UNMARKED.finditer(page.read_text()):
            assert any(words in found[1] for words in NOT_RUN), f"{page.name}: {found[1]}"


def test_whoever_a_block_names_runs_blocks_of_that_page():
    for page in PAGES:
        for found in BY.finditer(page.read_text()):
            told = (ROOT / found[1]).read_text()
            assert re.search(rf'block\(\s*"{page.name}"', told), f"{found[1]}: none of {page.name}"


def test_whatever_make_is_told_in_the_pages_it_knows():
    known = set(re.findall(r"^([a-z-]+):", (ROOT / "Makefile").read_text(), re.MULTILINE))
    for page in PAGES:
        text = page.read_text()
        commands = re.findall(r"^make ([a-z][a-z -]*)", text, re.MULTILINE)
        commands += re.findall(r"`make ([a-z][a-z -]*)", text)
        for command in commands:
            assert set(command.split()) <= known, f"{page.name}: make {command}"
