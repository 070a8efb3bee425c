"""What goes wrong, drawn from a seed before the run, so that a story can be shortened.

Each fault names whom it hits by role ("writer", "a standby"), since who that is is seen only then,
and heals by itself after `lasts` seconds; at the end of the trouble all of them have.
"""

from __future__ import annotations

import random
from collections.abc import Iterator
from dataclasses import dataclass, replace

from tests.sim.fault import Conduct, Fault, Stage
from tests.sim.faults_of_daemons import DAEMONS
from tests.sim.faults_of_followers import FOLLOWERS
from tests.sim.faults_of_hosts import SERVERS
from tests.sim.faults_of_leases import LEASES
from tests.sim.faults_of_links import LINKS
from tests.sim.faults_of_people import HANDS, ON_PURPOSE, ORDERS, OTHERS
from tests.sim.faults_of_ways import WAYS
from tests.sim.postgres import Host
from tests.sim.world import World

CONDUCT: dict[str, Conduct] = {
    **SERVERS, **LINKS, **DAEMONS, **HANDS, **OTHERS, **ON_PURPOSE, **WAYS, **LEASES, **FOLLOWERS,
}  # fmt: skip
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


ISOLATING = ("isolated", "isolated", "isolated", "power loss", "machine paused", "cut from daemon",
             "cut from standbys", "we are cut off", "one way cut", "hang", "crash")  # fmt: skip
BESIDE = ("way down", "way forgets", "daemon stops", "daemon stalls", "daemon dies", "one link",
          "answers lost", "slow link", "order", "disk full", "hang")  # fmt: skip


def drawn_beside(rng: random.Random) -> tuple[Fault, ...]:
    """For a cluster with a dead-man or a way: an isolation, and what goes wrong about it."""
    at = rng.uniform(7.0, 11.0)
    lasts = rng.choice((4.0, 8.0, 16.0, 24.0)) * rng.uniform(0.8, 1.2)
    faults = [Fault(at, rng.choice(ISOLATING), "writer", lasts, rng.randrange(60))]
    for _ in range(rng.choice((0, 1, 1, 2))):
        kind, when = rng.choice(BESIDE), at + rng.uniform(-2.0, 9.0)
        whom = rng.choice(ORDERS) if kind == "order" else _whom(rng)
        faults.append(Fault(when, kind, whom, _duration(rng), rng.randrange(60)))
    return tuple(sorted(faults, key=lambda f: f.at))


OF_LEASES = ("etcd down", "cut from etcd", "cut from etcd", "daemon stalls", "daemon stalls",
             "daemon dies", "daemon dies at a write", "we are cut off")  # fmt: skip


def drawn_of_leases(rng: random.Random, others: tuple[Fault, ...]) -> list[Fault]:
    """Mostly a moment after what a daemon reacts to."""
    first = min((f.at for f in others), default=6.0)
    found: list[Fault] = []
    for _ in range(rng.choice((0, 1, 1, 2))):
        at = max(3.5, first + rng.uniform(-4.0, 8.0))
        lasts = rng.choice((1.0, 4.0, 7.0, 12.0)) * rng.uniform(0.8, 1.2)
        found.append(Fault(at, rng.choice(OF_LEASES), "writer", lasts, rng.randrange(60)))
    return found


def drawn_of_followers(rng: random.Random, others: tuple[Fault, ...]) -> list[Fault]:
    """Whoever leads loses sight of the primary, or a follower its voice."""
    first = min((f.at for f in others), default=6.0)
    found: list[Fault] = []
    for _ in range(rng.choice((0, 0, 1, 1, 2))):
        at = max(3.5, first + rng.uniform(-3.0, 8.0))
        lasts = rng.choice((2.0, 6.0, 14.0)) * rng.uniform(0.8, 1.2)
        kind = rng.choice((*FOLLOWERS, "followers alone reach it"))
        found.append(Fault(at, kind, "writer", lasts, rng.randrange(60)))
    return found


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


__all__ = [
    "CONDUCT",
    "Fault",
    "Stage",
    "befall",
    "drawn",
    "drawn_beside",
    "drawn_of_followers",
    "drawn_of_leases",
    "over_at",
    "shorter",
]
