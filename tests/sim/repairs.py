"""People who put things right: once the trouble is over, and now and then in between."""

from __future__ import annotations

from failoverd.core.states import Watching
from tests.sim.daemon import Daemon
from tests.sim.kernel import Steps
from tests.sim.postgres import Host, Server
from tests.sim.world import World


def all_is_mended(world: World, daemons: list[Daemon]) -> None:
    """The trouble is over: what is dead and a standby by right is started again."""
    world.tell("world", "the trouble is over")
    world.cut.clear()
    if world.store is not None:
        world.store.down = False
    world.slow.clear()
    for way in world.ways.values():
        way.down = False
    for host in world.hosts.values():
        host.paused = host.disk_full = host.ssh_broken = False
        host.answers_lost, host.slow_acts = 0, 0.0
        host.agent = "honest" if host.agent in ("slow", "broken", "lying") else host.agent
        server = host.server
        server.stopped = server.postmaster_stopped = server.slots_full = False
        server.role_broken = server.replay_paused = server.orphan = False
        if not host.up:
            world.power_on(host)
        elif not server.processes and server.standby_signal and server.marker is None:
            world.start(host.name, by="its operator")
        world.release(server)
    for d in daemons:
        d.journal_fails = False
        d.kills_at_write = 0
        d.come_back()


def rebuilds(world: World, daemons: list[Daemon]) -> Steps:
    """Now and then an operator makes standbys of whatever follows nobody."""
    while True:
        yield 1.0
        ready = [d for d in daemons if d.alive]
        if not ready or not all(isinstance(d.machine.state, Watching) for d in ready):
            continue
        writers = [s for s in world.servers() if s.may_commit()]
        if len(writers) != 1 or any(d.machine.memory.primary != writers[0].name for d in ready):
            continue
        for host in world.hosts.values():
            owed = any(host.name in d.machine.jobs for d in ready)
            if host.server is writers[0] or not owed or not host.runs or host.disk_full:
                continue
            if not world.both_ways(host.name, writers[0].name):
                continue
            # A copy takes longer than what is still under way there: that ends before, or with it.
            if world.now - host.rebuilt_at < 8.0 or host.locked:
                continue
            host.rebuilt_at = world.now
            _rebuilt(world, host, writers[0])


def _rebuilt(world: World, host: Host, primary: Server) -> None:
    server = host.server
    world.tell(host.name, f"is rebuilt by its operator as a standby of {primary.name}")
    world.die(server)
    server.orphan = False
    server.wal, server.timeline = list(primary.wal), primary.timeline
    server.history, server.checkpoint = primary.history, max(0, len(primary.wal) - 1)
    server.standby_signal, server.marker = True, None
    server.slot, server.conninfo = "", primary.name
    server.by_hand = server.powered_off = False
    server.directory += 1
    host.kept_down = False
    world.start(host.name, by="its operator")
