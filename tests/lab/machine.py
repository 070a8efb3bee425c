"""What the lab asks of the machine that it runs on, and how it runs programs there."""

from __future__ import annotations

import os
import shutil
import subprocess
from collections.abc import Mapping, Sequence
from pathlib import Path

from tests.waiting import in_vain

BIN_DIR = "/usr/lib/postgresql/15/bin"
PATH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
ENVIRONMENT = {"PATH": PATH, "LC_ALL": "C.UTF-8"}
TOOLS = ("ip", "nft", "nsenter", "setpriv", "sshd", "ssh-keygen", "strace", "unshare")

Argument = str | os.PathLike[str]


class LabUnavailableError(Exception):
    """This machine cannot run the lab. The lab fails then; it is never skipped."""


def require_lab_machine() -> None:
    wanting = []
    if os.geteuid() != 0:
        wanting.append("it must run as root (namespaces, addresses, packet filters)")
    missing = [tool for tool in TOOLS if shutil.which(tool, path=PATH) is None]
    if missing:
        wanting.append(f"programs are missing: {', '.join(missing)}")
    if not Path(BIN_DIR, "postgres").exists():
        wanting.append(f"PostgreSQL 15 is missing: no {BIN_DIR}/postgres")
    if wanting:
        raise LabUnavailableError(
            f"the lab cannot run here: {'; '.join(wanting)}. "
            "`make system-packages` as root installs what it needs on Debian 12."
        )


def run(
    argv: Sequence[Argument],
    *,
    input: str | None = None,  # noqa: A002 - as in subprocess.run
    check: bool = True,
    timeout_s: float = 60,
    env: Mapping[str, str] = ENVIRONMENT,
) -> subprocess.CompletedProcess[str]:
    """Run a program to its end. A failure that is not expected shows what the program said."""
    words = [os.fspath(word) for word in argv]
    try:
        done = subprocess.run(
            words,
            input=input,
            stdin=subprocess.DEVNULL if input is None else None,
            capture_output=True,
            text=True,
            check=False,
            timeout=timeout_s,
            env=dict(env),
            cwd="/",
        )
    except subprocess.TimeoutExpired as late:
        raise in_vain(timeout_s, f"the end of {' '.join(words)}", said_of(late)) from None
    if check and done.returncode != 0:
        raise AssertionError(
            f"{' '.join(done.args)}: exit status {done.returncode}\n{done.stdout}{done.stderr}"
        )
    return done


def said_of(late: subprocess.TimeoutExpired) -> str:
    """What the program had printed by then. Source: its output is bytes, whatever was asked for."""
    parts = (late.stdout, late.stderr)
    return "".join(part.decode(errors="replace") for part in parts if isinstance(part, bytes))
