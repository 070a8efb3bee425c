"""Three daemons and three members of etcd over one pair of servers, with an application on it."""

from __future__ import annotations

import shutil
import signal
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from tests.lab.host import UNPRIVILEGED_ID
from tests.lab.lab import Lab, make_synchronous
from tests.lab.ledger import Account, Ledger
from tests.lab.monitor import CLUSTER, Daemon, Monitor
from tests.lab.python_tree import require_python
from tests.lab.server import DatabaseHost
from tests.lab.store import Member, wait_for_store
from tests.waiting import wait_until

LEASE_S = 5
TAKEN_OVER_S = 25


@dataclass(slots=True)
class Several:
    lab: Lab
    servers: tuple[DatabaseHost, ...]
    monitors: tuple[Monitor, ...]
    members: tuple[Member, ...]
    ledger: Ledger
    cluster: str = CLUSTER
    """Of those that the daemons watch, the one that is meant."""

    @property
    def pg1(self) -> DatabaseHost:
        return self.servers[0]

    @property
    def pg2(self) -> DatabaseHost:
        return self.servers[1]

    def daemon_of(self, monitor: Monitor) -> Daemon:
        return monitor.daemons[-1]

    def status(self, monitor: Monitor) -> dict[str, Any]:
        return monitor.status(self.cluster)

    def leadership(self, monitor: Monitor) -> Mapping[str, Any]:
        found = self.status(monitor).get("leadership", {})
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
        name = self.pg2.name

        def watches_it() -> bool:
            status = self.status(seen_by)
            return status.get("primary") == name and status.get("state") == "watching"

        self.wait(watches_it, timeout_s, f"{name} is the primary")
        self.ledger.wait_for_node(name, 15)

    # What befalls them.

    def crash(self) -> None:
        """The primary's postmaster is killed."""
        self.pg1.kill9_postmaster()

    def until(self, daemon: Daemon, step: str) -> None:
        """The failover is at that step, as the daemon's log says at once."""
        self.wait(lambda: f'"state": "{step}"' in daemon.log_text, 30, f"it is {step}", 0.001)

    def crash_and_wait_until(self, leader: Monitor, step: str) -> Daemon:
        """The daemon that leads, at that step of the failover."""
        daemon = self.daemon_of(leader)
        self.crash()
        self.until(daemon, step)
        return daemon

    def crash_and_stop_at(self, leader: Monitor, step: str) -> Daemon:
        """Its process stands still, at that step or right after it."""
        daemon = self.crash_and_wait_until(leader, step)
        daemon.signal(signal.SIGSTOP)
        is_not_over(daemon)
        return daemon

    def cut_from_etcd(self, monitor: Monitor) -> None:
        """It hears of that, and leads no more."""
        for member in self.members:
            self.lab.part(monitor, member)
        self.wait(lambda: not self.leads(monitor), LEASE_S + 15, "it has stopped by itself")

    def next_leader_fails_over(self, after: Monitor) -> Monitor:
        """Another one leads, and finishes."""
        found = self.leader(self.others(after))
        self.wait_until_failed_over(found)
        return found

    def follows(self, monitor: Monitor, leader: Monitor) -> None:
        """It knows who leads now."""
        self.wait(lambda: self.leadership(monitor).get("leader") == leader.name, 20, "it follows")

    # What came of it.

    def fenced_by(self) -> list[str]:
        """Whoever has begun a fence, as its log has it, one for each time."""
        return [
            one.name
            for one in self.monitors
            for daemon in one.daemons
            for line in daemon.log_text.splitlines()
            if f'"event": "fencing {self.pg1.name} ' in line
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


def is_not_over(daemon: Daemon) -> None:
    """What was to befall it in the middle of the failover has."""
    over = '"state": "watching"' in daemon.log_text.rpartition('"fencing"')[2]
    assert not over, "not within the failover: it was over before the daemon could be stopped"


def several(
    lab: Lab,
    *,
    standbys: int = 1,
    prepare: Callable[[Monitor], None] | None = None,
    more: Mapping[str, tuple[DatabaseHost, ...]] | None = None,
    **sections: Any,
) -> Several:
    """All of them up, one leading, the others ready; the application writes.

    With two standbys each commit is on one of them at least. `prepare`: each monitor, before its
    daemon is started. `more`: other clusters that they watch, too.
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
        one.write_config(servers, daemon=shared, more=more, **sections)
        one.start_daemon()
        one.wait_ready()
    ledger = lab.app.start_ledger(servers, rate=50)
    ledger.wait_for(20, 30)
    made = Several(lab, servers, monitors, members, ledger)
    leader = made.leader()
    made.wait(lambda: leader.status()["outlook"]["obstacles"] == [], 30, "a failover would work")
    return made


def of_cluster(w: Several, cluster: str, servers: tuple[DatabaseHost, ...]) -> Several:
    """Another of those that the same daemons watch, with an application of its own."""
    ledger = w.lab.app.start_ledger(servers, rate=50)
    ledger.wait_for(20, 30)
    return replace(w, cluster=cluster, servers=servers, ledger=ledger)


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
