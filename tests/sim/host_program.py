"""What the host program does on a host of this world, verb by verb (failoverd/host_program/*.sh).

The checks of right.sh are its own: identity, one act at a time, expiry by the host's clock, the
epoch and its owner. They are properties of hosts, not decisions of the daemon.
"""

from __future__ import annotations

from dataclasses import replace

from failoverd.core.effects import StopMode
from failoverd.core.leadership import admits, frozen_slot
from failoverd.core.model import (
    Epoch,
    Guard,
    HostFacts,
    Instant,
    SavedSettings,
    SystemIdentifier,
    Timeline,
)
from tests.sim.act import (
    ALIVE,
    DONE,
    EXPIRED,
    FOREIGN_GUARD,
    NOT_DONE,
    STALE_EPOCH,
    WRONG_CLUSTER,
    Act,
    Answer,
)
from tests.sim.dead_man_verbs import DEAD_MAN, armed
from tests.sim.kernel import Steps
from tests.sim.postgres import Host, lsn
from tests.sim.world import World


def facts(world: World, host: Host, seen_at: float) -> HostFacts:
    server = host.server
    processes: list[tuple[int, str]] = []
    letter = "T" if server.stopped else "S"
    if server.postmaster:
        processes = [
            (server.life * 10, "T" if server.postmaster_stopped else letter),
            (server.life * 10 + 1, letter),
        ]
    elif server.orphan:
        processes = [(server.life * 10 + 1, letter)]
    marker = server.marker
    return HostFacts(
        seen_at=Instant(seen_at),
        boot_id=f"{host.name}-{host.boot}",
        uptime_s=host.uptime(world.now),
        user="postgres",
        directory_identity=f"1:{server.directory}",
        system_identifier=SystemIdentifier(server.system),
        control_state=server.control,
        control_timeline=Timeline(server.timeline),
        checkpoint_lsn=lsn(server.checkpoint),
        processes=tuple(processes),
        postmaster_pid=server.life * 10 if server.postmaster else None,
        postmaster_started=str(int(server.started_at)),
        listener=server.postmaster,
        guard=server.guard,
        guard_epoch=Epoch(marker[0]) if marker is not None else None,
        epoch=Epoch(host.epoch),
        dead_man=_said_of_dead_man(host),
    )


def _said_of_dead_man(host: Host) -> str:
    watcher = host.dead_man
    return "" if watcher is None or watcher.boot != host.boot else watcher.ended or "armed"


def perform(world: World, host: Host, act: Act) -> Steps:
    """As the host runs it, whether anybody still waits for its answer or not."""
    if act.verb == "status":
        yield 0.01
        return Answer(DONE, facts=facts(world, host, 0.0))
    if act.verb == "settings":
        yield 0.01
        return _settings(host)
    if act.verb == "wal_end":
        yield 0.05
        return _wal_end(host)
    if act.verb in DEAD_MAN:
        yield 0.01
        return DEAD_MAN[act.verb](world, host, act)
    if act.system != host.server.system:
        return Answer(WRONG_CLUSTER, "another cluster's data directory")
    waited = 0.0
    while host.locked:
        yield 0.1
        waited += 0.1
        if waited > 2.0:
            return Answer(NOT_DONE, "another act is under way")
    refused = _may_act(world, host, act)
    if refused is not None:
        return refused
    host.locked = True
    boot, began = host.boot, world.now
    yield 0.01 + host.slow_acts
    if host.boot != boot or not host.up:
        return None
    act = replace(act, began=began)
    answer: Answer = yield from _VERBS[act.verb](world, host, act)
    if host.boot == boot:
        host.locked = False
    return answer


def _may_act(world: World, host: Host, act: Act) -> Answer | None:
    if act.boot != f"{host.name}-{host.boot}":
        return Answer(EXPIRED, "booted since the look that led here")
    if host.uptime(world.now) > act.expires:
        return Answer(EXPIRED, "the look that led here is too old")
    seen = (Epoch(host.epoch), host.owner)
    if not admits(seen, (Epoch(act.epoch), act.owner)):
        return Answer(STALE_EPOCH, f"epoch {act.epoch} of {act.owner} comes after {seen}")
    host.epoch, host.owner = act.epoch, act.owner
    world.happened("acts", act)
    return None


def _under_guard(host: Host) -> bool:
    server = host.server
    marker = server.marker
    return (
        server.guard is Guard.OURS
        and server.postmaster
        and server.recovery
        and marker is not None
        and server.started_at >= marker[2]
    )


def _stop(world: World, host: Host, act: Act) -> Steps:
    server = host.server
    under_guard = _under_guard(host)
    if not under_guard and act.mode is StopMode.DEAD_ONLY and server.postmaster:
        return Answer(ALIVE, "a postmaster runs there", facts(world, host, 0.0))
    if server.guard is Guard.FOREIGN:
        return Answer(FOREIGN_GUARD, "a standby by right")
    if host.disk_full:
        return Answer(NOT_DONE, "the guard could not be written")
    laid = world.now if server.marker is None or server.guard is Guard.NONE else server.marker[2]
    server.marker = (act.epoch, act.owner, laid)
    server.standby_signal = True
    world.tell(host.name, f"is guarded by {act.owner}, epoch {act.epoch}")
    under = {"in_recovery_under_guard": True}
    if under_guard:
        return Answer(DONE, "stopped", facts(world, host, 0.0), under)
    yield 0.01
    if server.processes:
        world.happened("stopping", (server, act))
    if server.postmaster and act.mode is StopMode.FAST and not server.stopped:
        yield world.random.uniform(0.05, 0.5)
        world.shut_down(server)
        yield 0.05
    if server.postmaster and act.mode is not StopMode.DEAD_ONLY and not server.stopped:
        yield 0.05
    world.die(server)
    server.orphan = False
    yield 0.02
    if server.processes:
        if _under_guard(host):
            return Answer(DONE, "stopped", facts(world, host, 0.0), under)
        return Answer(NOT_DONE, "processes are left", facts(world, host, 0.0))
    server.powered_off = False
    world.tell(host.name, "nothing runs there any more")
    return Answer(DONE, "stopped", facts(world, host, 0.0))


def _unguard(world: World, host: Host, act: Act) -> Steps:
    server = host.server
    yield 0.005
    if server.guard is Guard.FOREIGN:
        return Answer(FOREIGN_GUARD, "not ours")
    if server.guard is Guard.NONE:
        server.marker = None
        return Answer(DONE)
    assert server.marker is not None
    if server.marker[0] != act.marker_epoch:
        return Answer(FOREIGN_GUARD, "of another incident")
    if act.mode is StopMode.FAST and _under_guard(host):
        yield 0.05
        enabled, host.enabled = host.enabled, False  # a unit that is stopped is not restarted
        world.shut_down(server)
        host.enabled = enabled
    if server.processes and (server.recovery or not server.serving(world.now)):
        return Answer(ALIVE, "a server runs there in recovery, or does not say")
    if host.disk_full:
        return Answer(NOT_DONE, "the guard could not be removed")
    server.standby_signal, server.marker = False, None
    world.tell(host.name, f"its guard is taken back by {act.owner}")
    return Answer(DONE)


def _settings(host: Host) -> Answer:
    server = host.server
    if not server.postmaster or server.stopped or server.postmaster_stopped:
        return Answer(NOT_DONE, "it does not answer")
    if server.slot.startswith("failoverd_frozen_"):
        return Answer(NOT_DONE, "already_frozen")
    saved = SavedSettings((("primary_conninfo", server.conninfo), ("primary_slot_name", "")))
    return Answer(DONE, fields={"saved": saved})


def _wal_end(host: Host) -> Answer:
    """The last whole record on its disk, and what came before it."""
    server = host.server
    if not server.wal:
        return Answer(NOT_DONE, "no WAL")
    return Answer(DONE, fields={"wal": tuple(server.wal), "timeline": server.timeline})


def _carry(world: World, host: Host, act: Act) -> Steps:
    """Into a copy of the standby's segment: only what follows what is there already."""
    server = host.server
    yield world.random.uniform(0.02, 0.5)
    if server.slot != frozen_slot(Epoch(act.epoch), act.owner) or not server.recovery:
        return Answer(NOT_DONE, "it is not frozen by this incident")
    if host.disk_full:
        return Answer(NOT_DONE, "no space left on device")
    if tuple(server.wal) != act.carried[: len(server.wal)]:
        return Answer(NOT_DONE, "it has taken another way")
    world.tell(host.name, f"is given {len(act.carried) - len(server.wal)} records by {act.owner}")
    server.wal = list(act.carried)
    return Answer(DONE)


def _freeze(world: World, host: Host, act: Act) -> Steps:
    server = host.server
    if not server.lets_in(world.now):
        return Answer(NOT_DONE, "it does not answer")
    if not server.recovery:
        return Answer(NOT_DONE, "it is not in recovery")
    world.happened("freezing", (server, act))
    server.slot = frozen_slot(Epoch(act.epoch), act.owner)
    world.detach(server)
    yield world.random.uniform(0.01, 0.2)
    if not server.serving(world.now) or not server.recovery:
        return Answer(NOT_DONE, "it went away")
    world.tell(host.name, f"is frozen by {act.owner}, epoch {act.epoch}, at {server.received}")
    found = {"position": lsn(server.received), "timeline": Timeline(server.timeline)}
    return Answer(DONE, fields=found)


def _thaw(world: World, host: Host, act: Act) -> Steps:
    server = host.server
    yield 0.01
    if not server.postmaster or server.stopped or server.postmaster_stopped:
        return Answer(NOT_DONE, "it does not answer")
    if not server.slot.startswith("failoverd_frozen_"):
        return Answer(DONE)
    assert act.saved is not None
    values = dict(act.saved.values)
    server.slot = values.get("primary_slot_name") or ""
    upstream = values.get("primary_conninfo")
    world.attach(server, next((n for n in world.hosts if n == upstream), None))
    world.tell(host.name, f"is thawed by {act.owner}")
    return Answer(DONE)


def _repoint(world: World, host: Host, act: Act) -> Steps:
    server = host.server
    yield 0.01
    silent = server.stopped or server.postmaster_stopped
    if not server.postmaster or silent or not server.recovery:
        return Answer(NOT_DONE, "it is no standby that answers")
    assert act.saved is not None
    values = dict(act.saved.values)
    server.slot = ""
    world.attach(server, next(n for n in world.hosts if n == values["primary_conninfo"]))
    world.tell(host.name, f"is told to follow {server.conninfo} by {act.owner}")
    return Answer(DONE)


def _retire(world: World, host: Host, act: Act) -> Steps:
    """Guarded and stopped, if no promotion is on its disk."""
    server = host.server
    yield 0.02
    if not server.standby_signal or server.timeline > act.marker_epoch or host.disk_full:
        return Answer(NOT_DONE, "it was promoted, or the guard could not be written")
    server.marker = (act.epoch, act.owner, world.now)
    world.tell(host.name, f"is retired by {act.owner}")
    world.die(server)
    return Answer(DONE)


def _keep_down(world: World, host: Host, act: Act) -> Steps:
    """By its service: what runs under our guard is stopped, and not started again."""
    yield 0.05
    host.kept_down = True
    if _under_guard(host):
        world.tell(host.name, f"is kept down by {act.owner}")
        world.shut_down(host.server)
    return Answer(DONE)


def _start(world: World, host: Host, act: Act) -> Steps:
    yield 0.1
    if not host.server.processes:
        world.happened("starting", host.server)
        world.start(host.name, by=act.owner)
    if not host.server.postmaster:
        return Answer(NOT_DONE, "the server did not start", facts(world, host, 0.0))
    return Answer(DONE, facts=facts(world, host, 0.0))


_VERBS = {"stop": _stop, "unguard": _unguard, "freeze": _freeze, "thaw": _thaw, "start": _start,
          "carry": _carry, "repoint": _repoint,
    "keep_down": _keep_down,
    "retire": _retire, "dead_man_arm": armed}  # fmt: skip
