"""A fence in doubt, and then nobody who could take over: the old primary is the primary again."""

from __future__ import annotations

from collections.abc import Callable

from tests.lab.cluster import Watched
from tests.lab.lab import Lab


def old_primary_takes_writes_again(lab: Lab, w: Watched, end: Callable[[], object]) -> None:
    """Ended while its host cannot be asked; its standby is gone when the host answers again."""
    lab.drop(lab.monitor, w.pg1, 22)
    end()
    lab.monitor.wait_for_state("blocked", 60)
    lab.link_down(w.pg2)
    w.pg1.run_in_network(["nft", "flush", "chain", "inet", "lab", "input"])
    w.wait(
        lambda: (s := w.status())["nodes"]["pg1"]["role"] == "primary" and s["primary"] == "pg1",
        90,
        "pg1 takes writes again",
    )
    assert not (w.pg1.data / "standby.signal").exists()
