"""A watched pair with an application on it: what every scenario of the lab begins with."""

from __future__ import annotations

import signal
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from tests.lab.lab import Lab
from tests.lab.ledger import Ledger
from tests.lab.monitor import Daemon
from tests.lab.server import DatabaseHost

FAILED_OVER_S = 30


@dataclass(slots=True)
class Watched:
    lab: Lab
    pg1: DatabaseHost
    pg2: DatabaseHost
    daemon: Daemon
    ledger: Ledger

    def status(self) -> dict[str, Any]:
        return self.lab.monitor.status()

    def wait(self, predicate: Any, timeout_s: float, what: str) -> Any:
        return self.lab.monitor.wait_until(predicate, timeout_s, what)

    def wait_until_failed_over(self, timeout_s: float = FAILED_OVER_S) -> None:
        """pg2 is the confirmed primary, watched, and the application writes there."""
        self.wait(
            lambda: (s := self.status()).get("primary") == "pg2" and s["state"] == "watching",
            timeout_s,
            "pg2 is the primary",
        )
        self.ledger.wait_for_node("pg2", 15)

    def failovers_begun(self) -> float:
        """How often fencing was entered, by whatever trigger."""
        text = self.lab.monitor.metrics()
        lines = [
            line
            for line in text.splitlines()
            if line.startswith("failoverd_state_transitions_total{")
            and 'to_state="fencing"' in line
        ]
        assert lines, "the transitions into fencing are not exported"
        return sum(float(line.rsplit(" ", 1)[1]) for line in lines)

    def restart(self) -> Daemon:
        self.daemon = self.lab.monitor.start_daemon()
        return self.daemon

    def wait_for_step(self, step: str) -> None:
        """The failover is at that step, as the daemon's log says at once."""
        self.lab.monitor.wait_until(
            lambda: f'"state": "{step}"' in self.daemon.log_text,
            30,
            f"it is {step}",
            interval_s=0.001,
        )

    def stop_daemon_at(self, step: str, *, before: str) -> None:
        """The daemon stands still at that step or right after it, and `before` was not reached."""
        self.wait_for_step(step)
        self.daemon.signal(signal.SIGSTOP)
        since = self.daemon.log_text.rpartition('"fencing"')[2]
        assert f'"state": "{before}"' not in since, f"not within {step}: it was {before} too soon"


def would_work(lab: Lab) -> bool:
    """A failover would work right now: nothing is in its way but cooldown or mode."""
    outlook = lab.monitor.status().get("outlook")
    if outlook is None:
        return False
    by_choice = ("cooldown", "mode is")
    return all(obstacle.startswith(by_choice) for obstacle in outlook["obstacles"])


def wait_until_it_would_work(lab: Lab) -> None:
    """The daemon has started, and has seen all that a failover needs."""
    lab.monitor.wait_ready()
    lab.monitor.wait_until(lambda: would_work(lab), 60, "a failover would work")


def with_pg3(lab: Lab) -> None:
    """Another standby, for `watched` to prepare."""
    lab.database_host("pg3", "192.0.2.13").clone_from(lab.servers[0], slot="pg3")


def watched(
    lab: Lab,
    *,
    synchronous: bool = True,
    prepare: Callable[[Lab], None] | None = None,
    rate: float | None = None,
    kind: type[DatabaseHost] = DatabaseHost,
    **sections: Any,
) -> Watched:
    """A pair, the daemon at default settings but for `sections`, and a writing application.

    `prepare` runs when the servers are there and the daemon is not yet configured. `rate`: the
    application's commits a second; None: as fast as the servers answer. `kind`: of pg1's host.
    """
    pg1, pg2 = lab.pair(synchronous=synchronous, kind=kind)
    if prepare is not None:
        prepare(lab)
    lab.monitor.write_config(lab.servers, **sections)
    daemon = lab.monitor.start_daemon()
    wait_until_it_would_work(lab)
    ledger = lab.app.start_ledger([pg1, pg2], rate=rate)
    ledger.wait_for(600 if rate is None else 5, 60)
    return Watched(lab, pg1, pg2, daemon, ledger)
