"""Database hosts of other releases of Debian, each with its PostgreSQL, its shell and its sshd."""

from __future__ import annotations

import functools
import os
import shutil
from pathlib import Path

from tests.lab.machine import run
from tests.lab.server import DatabaseHost

RELEASES = {13: "bullseye", 17: "trixie"}
KEPT = Path(__file__).parents[2] / ".cache" / "lab"
"""A tree takes a minute or two to fetch, and 300 MB."""
PACKAGES = "openssh-server,iproute2"
FETCH_LIMIT_S = 900


def tree_of(major: int) -> Path:
    """Fetched once, from where the machine's own packages come from."""
    tree = KEPT / f"postgresql-{major}"
    if tree.is_dir():
        return tree
    assert shutil.which("debootstrap"), "debootstrap is missing: make system-packages"
    made = KEPT / f"postgresql-{major}.{os.getpid()}"
    made.mkdir(parents=True)
    packages = f"--include=postgresql-{major},{PACKAGES}"
    try:
        run(
            ["debootstrap", "--variant=minbase", packages, RELEASES[major], made, mirror()],
            timeout_s=FETCH_LIMIT_S,
        )
        made.chmod(0o755)
        made.rename(tree)
    finally:
        shutil.rmtree(made, ignore_errors=True)
    return tree


def mirror() -> str:
    wanted = ["Created-By: Packages", "Component: main", "Origin: Debian", "Label: Debian"]
    sites = run(["apt-get", "indextargets", "--format", "$(SITE)", *wanted]).stdout.split()
    assert sites, "apt knows no mirror of Debian: see /etc/apt/sources.list.d"
    return sites[0]


@functools.cache
def host_of(major: int) -> type[DatabaseHost]:
    """A kind of host; the paths are those of every database host but for the programs'."""
    attributes = {
        "tree": tree_of(major),
        "bin_dir": f"/usr/lib/postgresql/{major}/bin",
    }
    return type(f"HostOf{major}", (DatabaseHost,), attributes)
