"""Every block of commands that is marked `run` in the documentation is run."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
BLOCKS = {
    f"{page.name}:{text[: found.start()].count(chr(10)) + 1}": found[1]
    for page in (ROOT / "README.md", *sorted((ROOT / "docs").rglob("*.md")))
    for text in [page.read_text()]
    for found in re.finditer(r"^```sh run\n(.*?)^```", text, re.MULTILINE | re.DOTALL)
}
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
