"""What goes wrong with the applications' ways, and with a dead-man's host."""

from __future__ import annotations

from collections.abc import Callable

from failoverd.core.events import DaemonStops
from tests.sim.fault import Conduct, Fault, Stage
from tests.sim.postgres import Host


def _down(s: Stage, f: Fault, host: Host) -> Callable[[], None]:
    for way in s.world.ways.values():
        way.down = True

    def back() -> None:
        for way in s.world.ways.values():
            way.down = False

    return back


def _forgets(s: Stage, f: Fault, host: Host) -> None:
    """It is started anew, and leads where its file says: to the first node."""
    for way in s.world.ways.values():
        way.leads_to = next(iter(s.world.hosts))


def _stops_in_order(s: Stage, f: Fault, host: Host) -> Callable[[], None]:
    """SIGTERM, while it watches: what is armed is let go before it ends."""
    d = s.daemons[f.number % len(s.daemons)]
    d.happens(DaemonStops())
    life = d.life

    def ends() -> None:
        if d.life is life:
            d.die()

    s.world.kernel.after(3.0, ends)
    return d.come_back


WAYS: dict[str, Conduct] = {
    "way down": _down,
    "way forgets": _forgets,
    "daemon stops": _stops_in_order,
}
