"""A cluster that failoverd may bring back and switch over: with credentials for replication."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from tests.lab.cluster import Watched, wait_until_it_would_work
from tests.lab.lab import Lab
from tests.lab.server import REPLICATION_PASSWORD, REPLICATION_ROLE, DatabaseHost

REPLICATION = {"user": REPLICATION_ROLE, "password_file": "/etc/failoverd/replication"}


def planned(
    lab: Lab,
    *,
    trio: bool = False,
    rate: float | None = 200,
    servers: Sequence[DatabaseHost] = (),
    **sections: Any,
) -> Watched:
    """Watched, with a writing application; nobody waits before an old primary comes back.

    `servers`: a pair that is there already.
    """
    servers = servers or (lab.trio() if trio else lab.pair(synchronous=False))
    lab.monitor.private_file("replication", REPLICATION_PASSWORD + "\n")
    settings = {"replication": REPLICATION, "rejoin_delay": "0s", **sections}
    lab.monitor.write_config(lab.servers, **settings)
    daemon = lab.monitor.start_daemon()
    wait_until_it_would_work(lab)
    ledger = lab.app.start_ledger(list(servers), rate=rate)
    ledger.wait_for(50, 30)
    return Watched(lab, servers[0], servers[1], daemon, ledger)


def all_stream(w: Watched) -> bool:
    """One primary, nothing owed to anybody, and every other node streams from it."""
    status = w.status()
    return is_over(status) and all(
        node["job"] == "ok"
        and (name == status["primary"] or node["receiver"] == "streaming")
        and node["timeline"] == status["timeline"]
        for name, node in status["nodes"].items()
    )


def is_over(status: dict[str, Any]) -> bool:
    """Whatever was begun is at its end. Not while the daemon does not answer."""
    return status.get("state") == "watching" and status["incident"] is None


def wait_until_all_stream(w: Watched, timeout_s: float = 90) -> None:
    w.wait(lambda: all_stream(w), timeout_s, "everything streams again")


def of(w: Watched, name: str) -> DatabaseHost:
    return next(server for server in w.lab.servers if server.name == name)
