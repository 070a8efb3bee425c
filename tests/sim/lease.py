"""Who of several daemons leads: each renews a lease of their store, or waits for the leadership.

What a lease allows is core/leadership.py's, as in production.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from failoverd.core.leadership import BEAT_S, Lease, Term, may_act, owner
from failoverd.core.model import Instant
from tests.sim.kernel import Owner, Steps
from tests.sim.onlooking import Onlooking
from tests.sim.store import Store, asked

if TYPE_CHECKING:
    from tests.sim.daemon import Daemon

GROUP = "group"
LOOK_S = 0.05


class Candidacy:
    """Of one process of a daemon: it renews its lease, or waits for the leadership."""

    def __init__(self, d: Daemon, store: Store, process: Owner) -> None:
        self.d = d
        self.store = store
        self.lease: Lease | None = None
        self.process = process
        self.onlooking = Onlooking(d, store, process, self.lost)
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
                if held is False:
                    self.lost()
                elif held and self.lease is not None:  # it may have left it meanwhile
                    self.lease = Lease(self.lease.term, sent_at, store.ttl_s)
            if self.lease is None and not self.onlooking.stands_back:
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
