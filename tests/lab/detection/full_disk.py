"""A small file system of its own for the state directory, so that it can be filled."""

from __future__ import annotations

from tests.lab.cluster import Watched
from tests.lab.host import UNPRIVILEGED_ID
from tests.lab.lab import Lab
from tests.lab.monitor import STATE_DIR

FILL = f"{STATE_DIR}/fill"


def small_state_directory(lab: Lab) -> None:
    """In the mount namespace of the monitor's host, with which it goes."""
    options = f"size=8m,mode=750,uid={UNPRIVILEGED_ID},gid={UNPRIVILEGED_ID}"
    lab.monitor.run(["mount", "-t", "tmpfs", "-o", options, "state", STATE_DIR])


def fill(w: Watched) -> None:
    done = w.lab.monitor.run(["dd", "if=/dev/zero", f"of={FILL}", "bs=4k"], check=False)
    assert "No space left" in done.stderr, done


def ask_in_vain(w: Watched) -> str:
    """Something that is to be journaled; what is said to that."""
    refused = w.lab.monitor.failoverd("pause", check=False)
    assert refused.returncode != 0
    return refused.stderr


def make_room(w: Watched) -> None:
    w.lab.monitor.run(["rm", FILL])
