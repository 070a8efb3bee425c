"""What goes wrong with a daemon, its journal and its clocks."""

from __future__ import annotations

from collections.abc import Callable

from tests.sim.fault import Conduct, Fault, Stage
from tests.sim.postgres import Host


def _daemon_dies(s: Stage, f: Fault, host: Host) -> Callable[[], None]:
    d = s.daemons[f.number % len(s.daemons)]
    if f.number % 5 == 0:
        d.clock_offset = s.world.random.uniform(10.0, 500.0) - s.world.now  # its host was booted
    d.die()
    return d.come_back


def _journal_lost(s: Stage, f: Fault, host: Host) -> Callable[[], None]:
    """The state directory is gone: what comes back knows nothing."""
    d = s.daemons[f.number % len(s.daemons)]
    d.die()
    d.journal = d.journaled = None
    s.world.happened("forgot", d)
    return d.come_back


def _daemon_dies_at_a_write(s: Stage, f: Fault, host: Host) -> None:
    d = s.daemons[f.number % len(s.daemons)]
    d.kills_at_write = 1 + f.number % 9


def _daemon_stalls(s: Stage, f: Fault, host: Host) -> None:
    s.daemons[f.number % len(s.daemons)].stall(f.lasts)


def _journal_fails(s: Stage, f: Fault, host: Host) -> Callable[[], None]:
    d = s.daemons[f.number % len(s.daemons)]
    d.journal_fails = True

    def mended() -> None:
        d.journal_fails = False

    return mended


def _wall_clock(s: Stage, f: Fault, host: Host) -> None:
    d = s.daemons[f.number % len(s.daemons)]
    jump = (-86400.0, -60.0, 3600.0, 5.0)[f.number % 4]
    d.wall_offset += jump
    d.wall_forward += max(0.0, jump)


DAEMONS: dict[str, Conduct] = {
    "daemon dies": _daemon_dies,
    "journal lost": _journal_lost,
    "daemon dies at a write": _daemon_dies_at_a_write,
    "daemon stalls": _daemon_stalls,
    "journal fails": _journal_fails,
    "wall clock jumps": _wall_clock,
}
