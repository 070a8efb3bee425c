"""What goes wrong between daemons and the store of their lease."""

from __future__ import annotations

from collections.abc import Callable

from tests.sim.fault import Conduct, Fault, Stage
from tests.sim.postgres import Host
from tests.sim.store import STORE


def _down(s: Stage, f: Fault, host: Host) -> Callable[[], None] | None:
    """It answers nobody; its leases go on to their end."""
    store = s.world.store
    if store is None:
        return None
    store.down = True

    def back() -> None:
        store.down = False

    return back


def _cut(s: Stage, f: Fault, host: Host) -> Callable[[], None] | None:
    """Whoever leads, mostly; one way or both."""
    store = s.world.store
    if store is None:
        return None
    name = s.daemons[f.number % len(s.daemons)].name
    if f.number % 4 and store.leader:
        name = store.leader
    both = [(name, STORE), (STORE, name)]
    links = both if f.number % 3 else both[f.number % 2 :][:1]
    new = [link for link in links if link not in s.world.cut]
    s.world.cut.update(new)
    return lambda: s.world.cut.difference_update(new)


LEASES: dict[str, Conduct] = {"etcd down": _down, "cut from etcd": _cut}
