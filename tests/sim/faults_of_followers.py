"""What goes wrong between whoever leads, whoever follows, and the primary that both look at."""

from __future__ import annotations

from collections.abc import Callable

from tests.sim.daemon import Daemon
from tests.sim.fault import Conduct, Fault, Stage
from tests.sim.postgres import Host
from tests.sim.store import STORE
from tests.sim.world import APPLICATIONS


def _leader(s: Stage) -> Daemon:
    store = s.world.store
    led = [d for d in s.daemons if store is not None and d.name == store.leader]
    return (led or s.daemons)[0]


def _follower(s: Stage, f: Fault) -> Daemon:
    followers = [d for d in s.daemons if d is not _leader(s)]
    return followers[f.number % len(followers)] if followers else s.daemons[0]


def _cut(s: Stage, pairs: list[tuple[str, str]]) -> Callable[[], None]:
    both = [link for a, b in pairs for link in ((a, b), (b, a))]
    new = [link for link in both if link not in s.world.cut]
    s.world.cut.update(new)

    def healed() -> None:
        s.world.cut.difference_update(new)
        for server in s.world.servers():
            s.world.release(server)

    return healed


def _followers_alone(s: Stage, f: Fault, host: Host) -> Callable[[], None]:
    """Neither whoever leads nor any standby hears it; applications do, or not."""
    deaf = [name for name in s.world.hosts if name != host.name]
    deaf += [_leader(s).name, *([APPLICATIONS] if f.number % 2 else [])]
    return _cut(s, [(name, host.name) for name in deaf])


def _leader_sees_nobody(s: Stage, f: Fault, host: Host) -> Callable[[], None]:
    return _cut(s, [(_leader(s).name, name) for name in s.world.hosts])


def _follower_is_cut_off(s: Stage, f: Fault, host: Host) -> Callable[[], None]:
    """From the store: what it said last is there until its lease ends."""
    return _cut(s, [(_follower(s, f).name, STORE)])


def _follower_stalls(s: Stage, f: Fault, host: Host) -> None:
    _follower(s, f).stall(f.lasts)


FOLLOWERS: dict[str, Conduct] = {
    "followers alone reach it": _followers_alone,
    "the leader sees nobody": _leader_sees_nobody,
    "a follower is cut from etcd": _follower_is_cut_off,
    "a follower stalls": _follower_stalls,
}
