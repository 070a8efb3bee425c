"""Three daemons and three members of etcd over one pair of servers, with an application on it."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from tests.lab.host import UNPRIVILEGED_ID
from tests.lab.lab import Lab, make_synchronous
from tests.lab.ledger import Account, Ledger
from tests.lab.machine import wait_until
from tests.lab.monitor import Daemon, Monitor
from tests.lab.python_tree import require_python
from tests.lab.server import DatabaseHost
from tests.lab.store import Member, wait_for_store

LEASE_S = 5
TAKEN_OVER_S = 25


@dataclass(slots=True)
class Several:
    lab: Lab
    servers: tuple[DatabaseHost, ...]
    monitors: tuple[Monitor, ...]
    members: tuple[Member, ...]
    ledger: Ledger

    @property
    def pg1(self) -> DatabaseHost:
        return self.servers[0]

    @property
    def pg2(self) -> DatabaseHost:
        return self.servers[1]

    def daemon_of(self, monitor: Monitor) -> Daemon:
        return monitor.daemons[-1]

    def leadership(self, monitor: Monitor) -> Mapping[str, Any]:
        found = monitor.status().get("leadership", {})
        return found if isinstance(found, dict) else {}

    def leads(self, monitor: Monitor) -> bool:
        return bool(self.leadership(monitor).get("leads"))

    def leader(self, among: tuple[Monitor, ...] = ()) -> Monitor:
        """The only one, waited for."""

        def only() -> Monitor | None:
            leading = [one for one in among or self.monitors if self.leads(one)]
            return leading[0] if len(leading) == 1 else None

        found = self.wait(only, TAKEN_OVER_S, "one daemon leads")
        assert found is not None
        return found

    def others(self, than: Monitor) -> tuple[Monitor, ...]:
        return tuple(one for one in self.monitors if one is not than)

    def wait(self, predicate: Any, timeout_s: float, what: str, interval_s: float = 0.1) -> Any:
        return wait_until(predicate, timeout_s, what, evidence=self.evidence, interval_s=interval_s)

    def wait_until_failed_over(self, seen_by: Monitor, timeout_s: float = 60) -> None:
        def watches_pg2() -> bool:
            status = seen_by.status()
            return status.get("primary") == "pg2" and status.get("state") == "watching"

        self.wait(watches_pg2, timeout_s, "pg2 is the primary")
        self.ledger.wait_for_node("pg2", 15)

    def fenced_by(self) -> list[str]:
        """Whoever has begun a fence, as its log has it, one for each time."""
        return [
            one.name
            for one in self.monitors
            for daemon in one.daemons
            for line in daemon.log_text.splitlines()
            if '"event": "fencing pg1' in line
        ]

    def writable(self) -> list[DatabaseHost]:
        return [one for one in self.servers if one.postmaster and not one.in_recovery]

    def nothing_is_lost(self) -> Account:
        """And one server takes writes, which nobody did beside it."""
        self.ledger.wait_for(100)
        (primary,) = self.writable()
        account = self.ledger.check(primary, enough=100)
        assert account.lost == ()
        assert account.timelines == (1, 2), account.stretches
        assert primary is not self.pg1
        return account

    def evidence(self) -> str:
        return "\n".join(f"--- {one.name}\n{one.evidence()}" for one in self.monitors)


def several(
    lab: Lab,
    *,
    standbys: int = 1,
    prepare: Callable[[Monitor], None] | None = None,
    **sections: Any,
) -> Several:
    """All of them up, one leading, the others ready; the application writes.

    With two standbys each commit is on one of them at least. `prepare`: each monitor, before its
    daemon is started.
    """
    servers = lab.pair() if standbys == 1 else lab.trio()
    if standbys > 1:
        make_synchronous(servers[0], "ANY 1 (pg2, pg3)")
    members = store_of(lab)
    monitors = (lab.monitor, *(another(lab, n) for n in (2, 3)))
    for one in monitors:
        if prepare is not None:
            prepare(one)
        shared = {"leadership": leadership_of(one, members)}
        one.write_config(lab.servers, daemon=shared, **sections)
        one.start_daemon()
        one.wait_ready(30)
    ledger = lab.app.start_ledger(servers, rate=50)
    ledger.wait_for(20, 30)
    made = Several(lab, servers, monitors, members, ledger)
    leader = made.leader()
    made.wait(lambda: leader.status()["outlook"]["obstacles"] == [], 30, "a failover would work")
    return made


def leadership_of(monitor: Monitor, members: Sequence[Member]) -> dict[str, Any]:
    """As the configuration has it."""
    return {
        "kind": "etcd",
        "endpoints": [member.url for member in members],
        "ttl": f"{LEASE_S}s",
        "plaintext": True,
        "name": monitor.name,
        "address": f"http://{monitor.name}.example:9187",
    }


def store_of(lab: Lab) -> tuple[Member, ...]:
    """Three members, which answer."""
    members = tuple(
        lab.connected(Member(f"etcd{n}", f"192.0.2.{30 + n}", lab.directory / f"etcd{n}"))
        for n in (1, 2, 3)
    )
    for one in members:
        one.begin(members)
    wait_for_store(members)
    return members


def another(lab: Lab, number: int) -> Monitor:
    """A monitor with the key and the known hosts of the first one."""
    name = f"monitor{number}"
    made = lab.connected(Monitor(name, f"192.0.2.{1 + number}", lab.directory / name))
    require_python(made)
    for file in ("id_ed25519", "id_ed25519.pub", "known_hosts"):
        shutil.copy(lab.monitor.etc / file, made.etc / file)
        shutil.chown(made.etc / file, UNPRIVILEGED_ID, UNPRIVILEGED_ID)
    return made
