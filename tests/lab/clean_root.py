"""Debian 12 and nothing else: a root directory made by debootstrap, kept for the next time."""

from __future__ import annotations

import fcntl
import shutil
from pathlib import Path

from tests.lab.machine import run

CACHE = Path(__file__).resolve().parents[2] / ".cache"
SUITE = "bookworm"
INCLUDED = ("python3", "systemd", "systemd-sysv", "dbus")
"""What any installed Debian has, of which a container's smallest root is short."""


def clean_root() -> Path:
    """Made at the first call, in a minute; from the mirror that this machine's apt uses."""
    CACHE.mkdir(exist_ok=True)
    root = CACHE / f"{SUITE}-root"
    with (CACHE / f"{SUITE}.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not root.exists():
            making = CACHE / f"{SUITE}-root.new"
            shutil.rmtree(making, ignore_errors=True)
            command = ["debootstrap", "--variant=minbase", f"--include={','.join(INCLUDED)}"]
            run([*command, SUITE, making, _mirror()], timeout_s=900)
            making.rename(root)
    return root


def _mirror() -> str:
    targets = run(["apt-get", "indextargets", "--format", "$(RELEASE) $(SITE)"]).stdout
    sites = [line.split()[1] for line in targets.splitlines() if line.split()[:1] == [SUITE]]
    assert sites, f"apt knows no mirror of {SUITE}"
    return sites[0]
