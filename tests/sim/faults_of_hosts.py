"""What goes wrong with a server or its host."""

from __future__ import annotations

from collections.abc import Callable

from tests.sim.fault import Conduct, Fault, Stage
from tests.sim.postgres import Host
from tests.sim.world import World


def _crash(s: Stage, f: Fault, host: Host) -> Callable[[], None]:
    s.world.die(host.server)
    return lambda: None


def _crash_orphaned(s: Stage, f: Fault, host: Host) -> Callable[[], None]:
    s.world.die(host.server, orphan=True)

    def end() -> None:
        if host.server.orphan:
            host.server.orphan = False
            host.server.waiting = []

    return end


def _crash_and_restart(s: Stage, f: Fault, host: Host) -> None:
    s.world.die(host.server)
    s.world.kernel.after(f.lasts, started, s.world, host, "its operator")


def started(world: World, host: Host, by: str) -> None:
    if not host.server.processes and host.up:
        world.start(host.name, by=by)


def _clean_stop(s: Stage, f: Fault, host: Host) -> None:
    s.world.shut_down(host.server)
    if f.number % 2:
        s.world.kernel.after(f.lasts, started, s.world, host, "its operator")


def _slow_stop(s: Stage, f: Fault, host: Host) -> None:
    server = host.server
    if not server.postmaster:
        return
    server.shutting_down, life = True, server.life

    def end() -> None:
        if server.life == life and server.shutting_down:
            s.world.shut_down(server)

    s.world.kernel.after(f.lasts, end)


def _hang(s: Stage, f: Fault, host: Host) -> Callable[[], None]:
    server, life = host.server, host.server.life
    server.stopped = server.processes

    def go_on() -> None:
        if server.life == life:
            server.stopped = False
            s.world.release(server)

    return go_on


def _half_hang(s: Stage, f: Fault, host: Host) -> Callable[[], None]:
    server, life = host.server, host.server.life
    server.postmaster_stopped = server.postmaster

    def go_on() -> None:
        if server.life == life:
            server.postmaster_stopped = False

    return go_on


def _power_loss(s: Stage, f: Fault, host: Host) -> Callable[[], None]:
    s.world.power_off(host)
    return lambda: s.world.power_on(host)


def _booted_and_left(s: Stage, f: Fault, host: Host) -> Callable[[], None]:
    """Its unit is not enabled: the host is back, and nothing runs there."""
    host.enabled = False
    s.world.power_off(host)

    def back() -> None:
        s.world.power_on(host)
        host.enabled = True

    return back


def _moved(s: Stage, f: Fault, host: Host) -> Callable[[], None]:
    host.paused = True

    def go_on() -> None:
        host.paused = False
        s.world.release(host.server)

    return go_on


def _disk_full(s: Stage, f: Fault, host: Host) -> Callable[[], None]:
    host.disk_full = True
    if f.number % 2 and not host.server.recovery:
        s.world.die(host.server)

    def freed() -> None:
        host.disk_full, host.disk_freed_at = False, s.world.now

    return freed


def _slots_full(s: Stage, f: Fault, host: Host) -> Callable[[], None]:
    server = host.server
    server.slots_full = True

    def freed() -> None:
        server.slots_full = False

    return freed


def _role_broken(s: Stage, f: Fault, host: Host) -> Callable[[], None]:
    server = host.server
    server.role_broken = True

    def mended() -> None:
        server.role_broken = False

    return mended


def _replay_paused(s: Stage, f: Fault, host: Host) -> Callable[[], None]:
    server = host.server
    server.replay_paused = True

    def goes_on() -> None:
        server.replay_paused = False

    return goes_on


def _restarting(s: Stage, f: Fault, host: Host) -> None:
    """A unit with Restart=, and then a crash."""
    host.restarts = True
    s.world.die(host.server)


SERVERS: dict[str, Conduct] = {
    "crash": _crash,
    "crash with an orphan": _crash_orphaned,
    "crash and restart": _crash_and_restart,
    "clean stop": _clean_stop,
    "slow stop": _slow_stop,
    "hang": _hang,
    "half hang": _half_hang,
    "power loss": _power_loss,
    "booted and left": _booted_and_left,
    "machine paused": _moved,
    "disk full": _disk_full,
    "slots full": _slots_full,
    "role broken": _role_broken,
    "replay paused": _replay_paused,
    "service restarts": _restarting,
}
