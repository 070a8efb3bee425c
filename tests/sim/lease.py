"""The store of several daemons: who leads, until when, and the journal that they share.

It is etcd as far as the daemons meet it: one transaction at a time, its own clock, links that drop
and delay, answers that are lost. What a lease allows is core/leadership.py's, as in production.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from failoverd.core.leadership import BEAT_S, Lease, Term, may_act, owner
from failoverd.core.model import Instant, WallTime
from tests.sim.kernel import Owner, Steps

if TYPE_CHECKING:
    from tests.sim.daemon import Daemon
    from tests.sim.world import World

STORE = "etcd"
GROUP = "group"
LIMIT_S = 2.0
"""Of one request: daemon/lease.py, RENEW_LIMIT_S."""
LOOK_S = 0.05
START = WallTime(0.0)


@dataclass(slots=True)
class Store:
    """`ends`: when the lease of its leader ends, if it is not renewed."""

    ttl_s: float
    down: bool = False
    revision: int = 0
    leader: str = ""
    term: int = 0
    ends: float = 0.0
    journal: str | None = None
    journal_at: WallTime = START

    def leads(self, name: str, now: float) -> bool:
        return self.leader == name and now < self.ends

    def renewed(self, name: str, now: float) -> bool:
        if not self.leads(name, now):
            return False
        self.ends = now + self.ttl_s
        return True

    def granted(self, name: str, now: float) -> int:
        """The term; 0: somebody else leads."""
        if now < self.ends:
            return 0
        self.revision += 1
        self.leader, self.term, self.ends = name, self.revision, now + self.ttl_s
        return self.term

    def appended(self, name: str, term: int, text: str, at: WallTime, now: float) -> bool:
        """The transaction that compares the lease and writes the state."""
        if not self.leads(name, now) or self.term != term:
            return False
        self.journal, self.journal_at = text, at
        return True


def asked(world: World, place: str, store: Store, act: Callable[[], Any]) -> Steps:
    """One request: what it does there may be done although nobody hears of it. None: silence."""
    began = world.now
    if store.down or not world.passes(place, STORE):
        yield LIMIT_S
        return None
    yield world.delay(place, STORE)
    if world.now - began > LIMIT_S or store.down:
        yield max(0.0, LIMIT_S - (world.now - began))
        return None
    answer = act()
    yield world.delay(STORE, place)
    if not world.passes(STORE, place) or world.now - began > LIMIT_S:
        yield max(0.0, LIMIT_S - (world.now - began))
        return None
    return answer


class Candidacy:
    """Of one process of a daemon: it renews its lease, or waits for the leadership."""

    def __init__(self, d: Daemon, store: Store, process: Owner) -> None:
        self.d = d
        self.store = store
        self.lease: Lease | None = None
        self.process = process
        d.world.kernel.spawn(self._keeps(), process)
        d.world.kernel.spawn(self._stops_in_time(), process)

    @property
    def may_act(self) -> bool:
        return may_act(self.lease, Instant(self.d.monotonic()))

    @property
    def owner(self) -> str:
        return owner(GROUP, Term(0) if self.lease is None else self.lease.term)

    def _keeps(self) -> Steps:
        d, store = self.d, self.store
        yield d.world.random.uniform(0.0, 0.3)
        while True:
            began, sent_at = d.world.now, Instant(d.monotonic())
            if self.lease is not None:
                held = yield from asked(
                    d.world, d.name, store, lambda: store.renewed(d.name, d.world.now)
                )
                if held:
                    self.lease = Lease(self.lease.term, sent_at, store.ttl_s)
                elif held is False:
                    self.lost()
            if self.lease is None:
                sent_at = Instant(d.monotonic())
                term = yield from asked(
                    d.world, d.name, store, lambda: store.granted(d.name, d.world.now)
                )
                if term:
                    self.lease = Lease(Term(term), sent_at, store.ttl_s)
                    d.world.tell(d.name, f"leads, term {term}")
            yield from self._takes_up()
            yield max(0.01, BEAT_S - (d.world.now - began))

    def _takes_up(self) -> Steps:
        """What the one before has journaled; only from there does it go on."""
        d, store = self.d, self.store
        if d.life is not None or not self.may_act:
            return
        kept = yield from asked(d.world, d.name, store, lambda: (store.journal, store.journal_at))
        if kept is not None and self.may_act and d.life is None:
            d.journal, d.journal_at = kept
            d.take_up()

    def _stops_in_time(self) -> Steps:
        """Whoever cannot renew its lease does not wait to hear that it has none."""
        while True:
            if self.d.life is not None and not self.may_act:
                self.d.stands_down()
            yield LOOK_S

    def lost(self) -> None:
        self.lease = None
        self.d.stands_down()
