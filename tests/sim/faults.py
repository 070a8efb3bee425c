"""What goes wrong, drawn from a seed before the run, so that a story can be shortened.

Each fault names whom it hits by role ("writer", "a standby"), since who that is is seen only then,
and heals by itself after `lasts` seconds; at the end of the trouble all of them have.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace

from failoverd.core.events import (
    OperatorAcknowledges,
    OperatorAdopts,
    OperatorFailover,
    OperatorFences,
    OperatorPause,
    OperatorResume,
    OperatorUnfences,
    OperatorVouches,
    Trigger,
)
from failoverd.core.model import NodeName, Outcome, WallTime
from failoverd.core.policy import Mode
from failoverd.core.schedule import OperatorCancels, OperatorSwitchover
from failoverd.core.states import Blocked
from tests.sim.daemon import Daemon
from tests.sim.postgres import Host, SyncNames
from tests.sim.reach import connect_outcome
from tests.sim.world import APPLICATIONS, World


@dataclass(frozen=True, slots=True)
class Fault:
    at: float
    kind: str
    whom: str = "writer"
    lasts: float = 0.0
    number: int = 0

    def __str__(self) -> str:
        lasts = f" for {self.lasts:.1f} s" if self.lasts else ""
        return f"{self.at:.2f} s: {self.kind} ({self.whom}{lasts}, {self.number})"


Conduct = Callable[["Stage", Fault, Host], Callable[[], None] | None]
"""Does it, and returns what heals it."""


@dataclass(slots=True)
class Stage:
    world: World
    daemons: list[Daemon]


# Servers and hosts.


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
    s.world.kernel.after(f.lasts, lambda: _started(s.world, host, "its operator"))


def _started(world: World, host: Host, by: str) -> None:
    if not host.server.processes and host.up:
        world.start(host.name, by=by)


def _clean_stop(s: Stage, f: Fault, host: Host) -> None:
    s.world.shut_down(host.server)
    if f.number % 2:
        s.world.kernel.after(f.lasts, lambda: _started(s.world, host, "its operator"))


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
        host.disk_full = False

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


# Links.


def _cut(s: Stage, links: list[tuple[str, str]]) -> Callable[[], None]:
    new = [link for link in links if link not in s.world.cut]
    s.world.cut.update(new)

    def healed() -> None:
        s.world.cut.difference_update(new)
        for server in s.world.servers():
            s.world.release(server)

    return healed


def _daemons(s: Stage, f: Fault) -> list[str]:
    names = [d.name for d in s.daemons]
    return names if f.number % 3 else names[:1]


def _cut_from_daemon(s: Stage, f: Fault, host: Host) -> Callable[[], None]:
    ways = [(d, host.name) for d in _daemons(s, f)] + [(host.name, d) for d in _daemons(s, f)]
    return _cut(s, ways)


def _one_way(s: Stage, f: Fault, host: Host) -> Callable[[], None]:
    to = f.number % 2 == 0
    return _cut(s, [(d, host.name) if to else (host.name, d) for d in _daemons(s, f)])


def _isolated(s: Stage, f: Fault, host: Host) -> Callable[[], None]:
    """From daemons and other nodes; applications reach it, or not."""
    others = [n for n in s.world.hosts if n != host.name] + [d.name for d in s.daemons]
    if f.number % 2:
        others.append(APPLICATIONS)
    return _cut(s, [pair for o in others for pair in ((o, host.name), (host.name, o))])


def _cut_from_standbys(s: Stage, f: Fault, host: Host) -> Callable[[], None]:
    others = [n for n in s.world.hosts if n != host.name]
    return _cut(s, [pair for o in others for pair in ((o, host.name), (host.name, o))])


def _one_link(s: Stage, f: Fault, host: Host) -> Callable[[], None]:
    others = [n for n in s.world.hosts if n != host.name]
    other = others[f.number % len(others)]
    ways = [(host.name, other), (other, host.name)]
    return _cut(s, ways[: 1 + f.number % 2])


def _we_are_cut_off(s: Stage, f: Fault, host: Host) -> Callable[[], None]:
    me = s.daemons[f.number % len(s.daemons)].name
    return _cut(s, [pair for n in s.world.hosts for pair in ((me, n), (n, me))])


def _slow(s: Stage, f: Fault, host: Host) -> Callable[[], None]:
    extra = (0.1, 0.6, 1.5, 3.0)[f.number % 4]
    links = [pair for d in s.daemons for pair in ((d.name, host.name), (host.name, d.name))]
    links += [(host.name, n) for n in s.world.hosts if n != host.name]
    s.world.slow.update(dict.fromkeys(links, extra))

    def fast() -> None:
        for link in links:
            s.world.slow.pop(link, None)

    return fast


def _ssh_broken(s: Stage, f: Fault, host: Host) -> Callable[[], None]:
    host.ssh_broken = True

    def mended() -> None:
        host.ssh_broken = False

    return mended


def _answers_lost(s: Stage, f: Fault, host: Host) -> Callable[[], None]:
    host.answers_lost = 1 + f.number % 3

    def none() -> None:
        host.answers_lost = 0

    return none


def _slow_acts(s: Stage, f: Fault, host: Host) -> Callable[[], None]:
    host.slow_acts = (0.5, 3.0, 8.0, 25.0)[f.number % 4]

    def fast() -> None:
        host.slow_acts = 0.0

    return fast


# Daemons and their clocks.


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


# Operators and other hands.


def _order(s: Stage, f: Fault, host: Host) -> Callable[[], None] | None:
    d = s.daemons[f.number % len(s.daemons)]
    if not d.alive:
        return None
    primary = d.machine.memory.primary or NodeName("pg1")
    others = [n for n in s.world.hosts if n != primary]
    other, by = others[f.number % len(others)], "operator"
    until = WallTime(d.now().wall + 5.0)
    command = {
        "failover": OperatorFailover(Trigger.COMMAND, by),
        "failover to": OperatorFailover(Trigger.COMMAND, by, other),
        "accept loss": OperatorFailover(Trigger.COMMAND, by, None, 1 << 30),
        "pause": OperatorPause(by),
        "pause for 5 s": OperatorPause(by, until),
        "ack": OperatorAcknowledges(by),
        "adopt": OperatorAdopts(by, other),
        "fence": OperatorFences(by, other),
        "unfence": OperatorUnfences(by, primary),
        "vouch": OperatorVouches(by, primary, "it is off"),
        "switchover": OperatorSwitchover(by),
        "switchover later": OperatorSwitchover(by, at=WallTime(d.now().wall + 2.0)),
        "cancel": OperatorCancels(by),
    }[f.whom]
    if f.whom == "vouch" and s.world.server(primary).may_commit():
        if connect_outcome(s.world, d.name, primary) is Outcome.OK:
            s.world.happened("falsely vouched", (d, primary, d.submit(command)))
        return None
    if f.whom in ("adopt", "fence"):
        s.world.hands = True
    refused = d.submit(command)
    if f.whom == "vouch" and refused is None:
        s.world.server(primary).powered_off = True
    s.world.tell("operator", f"{f.whom} on {d.name}: {refused or 'accepted'}")
    return (lambda: _resume(s)) if f.whom == "pause" else None


def _resume(s: Stage) -> None:
    for d in s.daemons:
        if d.alive:
            d.submit(OperatorResume("operator"))


def _promoted_by_hand(s: Stage, f: Fault, host: Host) -> None:
    s.world.hands = True
    s.world.ask_to_promote(host.server, "a hand", 0.1)


def _started_by_hand(s: Stage, f: Fault, host: Host) -> None:
    """Somebody takes a guard away and starts what we had stopped, read-write."""
    server = host.server
    if not host.up or server.marker is None or server.recovery is False:
        return
    s.world.hands = True
    s.world.die(server)
    server.standby_signal, server.marker, server.by_hand = False, None, True
    s.world.start(host.name, by="a hand, read-write")


def _standby_read_write(s: Stage, f: Fault, host: Host) -> None:
    """Somebody takes a standby's `standby.signal` away and restarts it: the same timeline."""
    server = host.server
    if not host.up or not server.recovery or not server.postmaster:
        return
    s.world.hands = True
    s.world.die(server)
    server.standby_signal, server.marker, server.by_hand = False, None, True
    s.world.start(host.name, by="a hand, read-write")


def _mode_observe(s: Stage, f: Fault, host: Host) -> Callable[[], None]:
    """The configuration of every daemon is changed, and later changed back; both are reloaded."""
    before = {d.name: d.policy for d in s.daemons}
    for d in s.daemons:
        d.policy = replace(d.policy, mode=Mode.OBSERVE)

    def changed_back() -> None:
        for d in s.daemons:
            d.policy = before[d.name]

    return changed_back


def _started_under_guard(s: Stage, f: Fault, host: Host) -> None:
    if host.server.marker is not None:
        _started(s.world, host, "somebody who does not know of the guard")


def _synchronous(s: Stage, f: Fault, host: Host) -> None:
    server = host.server
    others = tuple(n for n in s.world.hosts if n != host.name)
    choices: tuple[SyncNames | None, ...] = (
        None,
        SyncNames(any_of=True, count=1, names=others),
        SyncNames(any_of=False, count=1, names=others),
        SyncNames(any_of=True, count=len(others), names=others),
    )
    server.sync, server.sync_since = choices[f.number % 4], s.world.now
    s.world.release(server)


def _blocked_vouch(s: Stage, f: Fault, host: Host) -> None:
    """An operator who answers a daemon that asks for a proof: turns it off, and says so."""
    for d in s.daemons:
        primary = d.machine.memory.primary if d.alive else None
        if primary is None or not isinstance(d.machine.state, Blocked):
            continue
        s.world.power_off(s.world.hosts[primary])
        s.world.server(primary).powered_off = True
        refused = d.submit(OperatorVouches("operator", primary, "I turned it off"))
        s.world.tell("operator", f"turns {primary} off and vouches: {refused or 'accepted'}")


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
LINKS: dict[str, Conduct] = {
    "cut from daemon": _cut_from_daemon,
    "one way cut": _one_way,
    "isolated": _isolated,
    "cut from standbys": _cut_from_standbys,
    "one link": _one_link,
    "we are cut off": _we_are_cut_off,
    "slow link": _slow,
    "ssh broken": _ssh_broken,
    "answers lost": _answers_lost,
    "slow acts": _slow_acts,
}
DAEMONS: dict[str, Conduct] = {
    "daemon dies": _daemon_dies,
    "journal lost": _journal_lost,
    "daemon dies at a write": _daemon_dies_at_a_write,
    "daemon stalls": _daemon_stalls,
    "journal fails": _journal_fails,
    "wall clock jumps": _wall_clock,
}
ORDERS = (
    "failover", "failover to", "accept loss", "pause", "pause for 5 s", "ack", "adopt", "fence",
    "unfence", "vouch", "switchover", "switchover later", "cancel",
)  # fmt: skip
HANDS: dict[str, Conduct] = {
    "promoted by hand": _promoted_by_hand,
    "started by hand": _started_by_hand,
    "started under guard": _started_under_guard,
    "standby started read-write": _standby_read_write,
}
OTHERS: dict[str, Conduct] = {
    "order": _order,
    "synchronous changed": _synchronous,
    "turned off and vouched": _blocked_vouch,
    "mode observe": _mode_observe,
}
CONDUCT: dict[str, Conduct] = {**SERVERS, **LINKS, **DAEMONS, **HANDS, **OTHERS}
TROUBLE_BEGINS, TROUBLE_ENDS = 4.0, 40.0
DEADLY = (
    "crash", "crash", "crash", "crash with an orphan", "hang", "power loss", "isolated",
    "clean stop", "disk full", "machine paused", "crash and restart", "service restarts",
)  # fmt: skip


@dataclass(frozen=True, slots=True)
class Theme:
    """What a run is mostly about, so that rare things come together often enough."""

    kinds: tuple[str, ...]
    more: tuple[int, ...] = (1, 2, 3)
    again: bool = False
    """Whoever takes writes is hit a second time."""


THEMES = (
    Theme((*SERVERS, *LINKS, *DAEMONS, *OTHERS), (0, 1, 1, 2, 2, 3, 4, 6)),
    Theme((*SERVERS, *LINKS)),
    Theme((*SERVERS, *DAEMONS)),
    Theme(("daemon dies at a write", "daemon dies", "answers lost", "daemon stalls"), (1, 2, 3)),
    Theme(("ssh broken", "answers lost", "slow acts", "one way cut", "slow link", "order")),
    Theme((*SERVERS, "order", "wall clock jumps"), (0, 1, 2), again=True),
    Theme(("daemon dies", "order", "one link", "crash"), (0, 1, 2), again=True),
    Theme((*HANDS, *HANDS, "order", "crash", "one link", "answers lost", "daemon dies")),
    Theme(("order", "turned off and vouched", "ssh broken", "cut from daemon", "power loss")),
    Theme(("synchronous changed", "one link", "crash", "power loss", "replay paused", "order")),
    Theme(("isolated", "cut from daemon", "cut from standbys", "one link", "we are cut off")),
)


def drawn(rng: random.Random) -> tuple[Fault, ...]:
    """A few faults of one theme, the first of which hits whoever takes writes in most runs."""
    theme = rng.choice(THEMES)
    at = rng.uniform(TROUBLE_BEGINS, 8.0)
    first = Fault(at, rng.choice(DEADLY), "writer", _duration(rng), rng.randrange(60))
    faults = [first] if rng.random() < 0.85 else []
    if theme.again:
        later = at + rng.choice((1.0, 4.0, 7.0, 10.0, 14.0)) * rng.uniform(0.8, 1.2)
        faults.append(Fault(later, rng.choice(DEADLY), "writer", _duration(rng), rng.randrange(60)))
    for _ in range(rng.choice(theme.more)):
        kind = rng.choice(theme.kinds)
        near = rng.random() < 0.7
        when = at + rng.uniform(-1.0, 6.0) if near else at + rng.uniform(0.0, 18.0)
        whom = rng.choice(ORDERS) if kind == "order" else _whom(rng)
        faults.append(Fault(max(3.5, when), kind, whom, _duration(rng), rng.randrange(60)))
    return tuple(sorted(faults, key=lambda f: f.at))


def over_at(faults: tuple[Fault, ...]) -> float:
    """When the last of it has healed, with time for what follows from it."""
    ends = [f.at + f.lasts for f in faults]
    return min(TROUBLE_ENDS, max(ends, default=TROUBLE_BEGINS) + 6.0)


def _whom(rng: random.Random) -> str:
    return rng.choice(("writer", "a standby", "another standby", "the first node"))


def _duration(rng: random.Random) -> float:
    return rng.choice((0.3, 1.0, 2.5, 5.0, 9.0, 16.0)) * rng.uniform(0.8, 1.2)


def befall(stage: Stage, fault: Fault, over: float) -> None:
    """It happens, and heals by itself, at the latest when the trouble ends."""
    host = _hit(stage.world, fault)
    stage.world.tell(host.name if fault.kind in SERVERS else "world", f"{fault}: {host.name}")
    heal = CONDUCT[fault.kind](stage, fault, host)
    if heal is not None:
        until = min(stage.world.now + fault.lasts, over)

        def healed() -> None:
            stage.world.tell("world", f"{fault.kind} of {host.name} is over")
            heal()

        stage.world.kernel.at(until, healed)


def _hit(world: World, fault: Fault) -> Host:
    writers = [h for h in world.hosts.values() if h.server.may_commit()]
    # Not who was the primary a moment ago, and is dead or guarded now.
    standbys = [h for h in world.hosts.values() if h.server.recovery and h.server.marker is None]
    match fault.whom:
        case "a standby" if standbys:
            return standbys[0]
        case "another standby" if standbys:
            return standbys[-1]
        case "the first node":
            return next(iter(world.hosts.values()))
        case _:
            return writers[0] if writers else next(iter(world.hosts.values()))


def shorter(faults: tuple[Fault, ...]) -> Iterator[tuple[Fault, ...]]:
    """Without each of them; then with each of them simpler."""
    for n in range(len(faults)):
        yield (*faults[:n], *faults[n + 1 :])
    for n, fault in enumerate(faults):
        if fault.lasts > 2.0:
            yield (*faults[:n], replace(fault, lasts=round(fault.lasts / 2, 1)), *faults[n + 1 :])
