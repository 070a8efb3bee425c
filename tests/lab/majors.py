"""Database hosts with other majors of PostgreSQL.

Most are another release of Debian, with its shell and its sshd too; a major that no release has is
the machine's own with the programs of the wheel that the demo uses.
"""

from __future__ import annotations

import functools
import os
import shutil
from pathlib import Path

from failoverd.demo.postgres import find_all
from tests.lab.machine import run
from tests.lab.server import DatabaseHost

RELEASES = {13: "bullseye", 17: "trixie", 18: "forky"}
OF_THE_WHEEL = 16
OF_THE_LAB = 15
MAJORS = (13, OF_THE_LAB, OF_THE_WHEEL, 17, 18)
KEPT = Path(__file__).parents[2] / ".cache" / "lab"
"""A tree takes a minute or two to fetch, and 300 MB."""
PACKAGES = "openssh-server,iproute2"
FETCH_LIMIT_S = 900
SCRIPT = "sid"
"""By which debootstrap makes each of them; Debian 12's does not know the names of later ones."""


def tree_of(major: int) -> Path:
    """Fetched once, from where the machine's own packages come from."""
    tree = KEPT / f"postgresql-{major}"
    if tree.is_dir():
        return tree
    assert shutil.which("debootstrap"), "debootstrap is missing: make system-packages"
    made = KEPT / f"postgresql-{major}.{os.getpid()}"
    made.mkdir(parents=True)
    command = ["debootstrap", "--variant=minbase", f"--include=postgresql-{major},{PACKAGES}"]
    try:
        run([*command, RELEASES[major], made, mirror(), SCRIPT], timeout_s=FETCH_LIMIT_S)
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
    if major == OF_THE_LAB:
        return DatabaseHost
    return type(f"HostOf{major}", (DatabaseHost,), programs_of(major))


def programs_of(major: int) -> dict[str, object]:
    if major in RELEASES:
        return {"tree": tree_of(major), "bin_dir": f"/usr/lib/postgresql/{major}/bin"}
    bin_dir = next(found.directory for found in find_all() if found.major == major)
    wheel = bin_dir.parents[1]
    return {"read_only": (wheel, Path(f"{wheel}.libs")), "bin_dir": str(bin_dir)}
