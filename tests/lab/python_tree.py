"""The Python that runs these tests, for hosts that run Python programs of ours.

A host's file tree has passable parents (see host_init), so the checkout, the virtual environment
and the interpreter behind it appear at their own paths, read-only, wherever they lie: below
/root too. What is inside must itself be readable for everybody.
"""

from __future__ import annotations

import sys
from pathlib import Path

from tests.lab.host import UNPRIVILEGED, Host

CHECKOUT = Path(__file__).resolve().parents[2]
PYTHON = Path(sys.prefix) / "bin" / "python"
FAILOVERD = Path(sys.prefix) / "bin" / "failoverd"
ENVIRONMENT = {"PYTHONPATH": str(CHECKOUT), "PYTHONDONTWRITEBYTECODE": "1"}


def trees() -> tuple[Path, ...]:
    """The folders that must be there, without those that lie in another of them or in /usr."""
    wanted = {CHECKOUT, Path(sys.prefix), Path(sys.base_prefix), PYTHON.resolve().parents[1]}
    return tuple(
        path
        for path in sorted(wanted)
        if not path.is_relative_to("/usr")
        and not any(path != other and path.is_relative_to(other) for other in wanted)
    )


def failoverd_command() -> list[str]:
    """`failoverd` as it was installed; else the checkout's own."""
    return [str(FAILOVERD)] if FAILOVERD.exists() else [str(PYTHON), "-m", "failoverd"]


def require_python(host: Host) -> None:
    """Fail with the reason where the unprivileged user cannot run what the checkout holds."""
    program = "import asyncpg, failoverd, sys; print(sys.version_info[:2] >= (3, 11))"
    done = host.run([PYTHON, "-c", program], user=UNPRIVILEGED, check=False, env=ENVIRONMENT)
    if done.stdout != "True\n":
        raise AssertionError(
            f"on the lab host {host.name} the user {UNPRIVILEGED} cannot use {PYTHON} and "
            f"{CHECKOUT}; are they readable for everybody (umask 022)?\n{done.stdout}{done.stderr}"
        )
