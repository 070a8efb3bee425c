"""What goes wrong between two places."""

from __future__ import annotations

from collections.abc import Callable

from tests.sim.fault import Conduct, Fault, Stage
from tests.sim.postgres import Host
from tests.sim.world import APPLICATIONS


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
