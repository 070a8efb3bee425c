"""An application that comes by a way of its own, and knows nothing of the servers."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from tests.lab.cluster import Watched, wait_until_it_would_work
from tests.lab.lab import Lab
from tests.lab.ledger import Ledger


@dataclass(frozen=True)
class Way:
    """What the application connects to, under a name for its log."""

    name: str
    address: str


def coming_by(
    lab: Lab,
    way: Way,
    targets: list[dict[str, Any]],
    *,
    prepare: Callable[[Lab], None] | None = None,
    connect_timeout_s: float = 0.5,
    **sections: Any,
) -> Watched:
    """A watched pair whose application knows nothing but `way`."""
    pg1, pg2 = lab.pair(synchronous=True)
    if prepare is not None:
        prepare(lab)
    lab.monitor.write_config(lab.servers, redirect=targets, **sections)
    daemon = lab.monitor.start_daemon()
    wait_until_it_would_work(lab)
    lab.monitor.wait_until(lambda: all_lead_to(lab, "pg1"), 15, "every way leads to pg1")
    ledger = lab.app.start_ledger([way], connect_timeout_s=connect_timeout_s)  # type: ignore[list-item]
    ledger.wait_for(300, 30)
    return Watched(lab, pg1, pg2, daemon, ledger)


def all_lead_to(lab: Lab, primary: str) -> bool:
    targets = lab.monitor.status().get("targets", {})
    return bool(targets) and all(
        one["leads_to"] == [primary] and one["owed"] is False for one in targets.values()
    )


def wait_for_timeline(ledger: Ledger, timeline: int, w: Watched, timeout_s: float = 20) -> None:
    """Until a commit on that timeline, or a later one, was acknowledged."""
    w.wait(
        lambda: any(each.timeline >= timeline for each in ledger.acknowledgements()[-200:]),
        timeout_s,
        f"a commit on timeline {timeline} is acknowledged",
    )


def wait_for_new_primary(w: Watched, timeout_s: float = 30) -> None:
    w.wait(
        lambda: (s := w.status()).get("primary") == "pg2" and s["state"] == "watching",
        timeout_s,
        "pg2 is the primary",
    )


def went_on(w: Watched) -> None:
    """No acknowledged commit is missing, and none was taken by the old primary afterwards."""
    w.ledger.wait_for(300)
    account = w.ledger.check(w.pg2, enough=500)
    assert account.lost == ()
    assert account.timelines == (1, 2)
