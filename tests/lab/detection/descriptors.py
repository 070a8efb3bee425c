"""The running daemon may open nothing more: neither file nor socket."""

from __future__ import annotations

from pathlib import Path

from tests.lab.cluster import Watched
from tests.lab.host import UNPRIVILEGED

STANDING_FETCH = Path(__file__).with_name("standing_fetch.py")


def run_out(w: Watched) -> None:
    """What is open stays open, among it the connection on which we ask for the status."""
    w.lab.monitor.fetch_with(STANDING_FETCH)
    assert w.status()
    limit(w, "--nofile=3:")


def get_them_back(w: Watched) -> None:
    (_, hard) = _allowed(w)
    limit(w, f"--nofile={hard}:")
    w.lab.monitor.fetch_with()


def limit(w: Watched, words: str) -> None:
    """As the daemon's own user, who may do that to the daemon without further rights."""
    w.lab.monitor.run(["prlimit", "--pid", str(w.daemon.pid), words], user=UNPRIVILEGED)


def _allowed(w: Watched) -> list[str]:
    words = ["--nofile", "--noheadings", "--output=SOFT,HARD"]
    command = ["prlimit", "--pid", str(w.daemon.pid), *words]
    return w.lab.monitor.run(command, user=UNPRIVILEGED).stdout.split()
