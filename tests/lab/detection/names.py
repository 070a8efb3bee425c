"""Nodes that are configured by name, and names that are gone."""

from __future__ import annotations

from tests.lab.cluster import Watched
from tests.lab.lab import Lab

NAMES = {"pg1": "pg1.example", "pg2": "pg2.example"}
BY_NAME = {"nodes": {node: {"host": name} for node, name in NAMES.items()}}
HOSTS = "/etc/hosts"
NOBODY = "127.0.0.1 localhost\n"


def known_by_name(lab: Lab) -> None:
    """In the monitor's /etc/hosts, and in its known_hosts."""
    lines = "".join(f"{server.address} {NAMES[server.name]}\n" for server in lab.servers)
    _write(lab, HOSTS, NOBODY + lines)
    _look_up(lab, "files")
    known = lab.monitor.etc / "known_hosts"
    by_name = known.read_text()
    for server in lab.servers:
        by_name = by_name.replace(f"{server.address} ", f"{NAMES[server.name]} ")
    known.write_text(known.read_text() + by_name)


def forget_names(w: Watched) -> None:
    """There is no such name: that is said at once."""
    _write(w.lab, HOSTS, NOBODY)


def lose_name_server(w: Watched) -> None:
    """Nobody answers: a look-up ends when its time is over."""
    w.lab.drop(w.lab.monitor, w.lab.app)
    _write(w.lab, "/etc/resolv.conf", f"nameserver {w.lab.app.address}\n")
    _look_up(w.lab, "files dns")
    _write(w.lab, HOSTS, NOBODY)


def _look_up(lab: Lab, where: str) -> None:
    _write(lab, "/etc/nsswitch.conf", f"passwd: files\ngroup: files\nhosts: {where}\n")


def _write(lab: Lab, path: str, text: str) -> None:
    lab.monitor.run(["sh", "-c", f"cat >{path}"], input=text)
