"""A watched pair with an application on it: what every scenario of the lab begins with."""

from __future__ import annotations

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


def would_work(lab: Lab) -> bool:
    """A failover would work right now: nothing stands in its way but perhaps the cooldown."""
    outlook = lab.monitor.status().get("outlook")
    if outlook is None:
        return False
    return not [obstacle for obstacle in outlook["obstacles"] if "cooldown" not in obstacle]


def watched(lab: Lab, *, synchronous: bool = True, **sections: Any) -> Watched:
    """A pair, the daemon at default settings but for `sections`, and a writing application."""
    pg1, pg2 = lab.pair(synchronous=synchronous)
    lab.monitor.write_config([pg1, pg2], **sections)
    daemon = lab.monitor.start_daemon()
    lab.monitor.wait_ready(20)
    lab.monitor.wait_until(lambda: would_work(lab), 15, "a failover would work")
    ledger = lab.app.start_ledger([pg1, pg2])
    ledger.wait_for(600, 30)
    return Watched(lab, pg1, pg2, daemon, ledger)
