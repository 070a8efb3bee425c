"""The store of several daemons: who leads, until when, the journal that they share, what they say.

It is etcd as far as the daemons meet it: one transaction at a time, its own clock, links that drop
and delay, answers that are lost.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from failoverd.core.model import WallTime
from failoverd.transport.etcd import Kept
from tests.sim.kernel import Steps

if TYPE_CHECKING:
    from tests.sim.world import World

STORE = "etcd"
TOLD = "daemons/"
LIMIT_S = 2.0
"""Of one request: daemon/lease.py, RENEW_LIMIT_S."""
START = WallTime(0.0)


@dataclass(slots=True)
class Store:
    """`ends`: when the lease of its leader ends, if it is not renewed."""

    ttl_s: float
    seed: int = 0
    down: bool = False
    revision: int = 0
    leader: str = ""
    term: int = 0
    ends: float = 0.0
    journal: str | None = None
    journal_at: WallTime = START
    words: dict[str, Kept] = field(default_factory=dict[str, Kept])
    """What each daemon said last; it hangs on a lease of that daemon's."""
    latest: dict[str, float] = field(default_factory=dict[str, float])
    """To when its look may be dated: when it began, and as long as the word was on its way."""
    leases: dict[str, tuple[int, float]] = field(default_factory=dict[str, tuple[int, float]])
    changes: int = 0

    # Who leads.

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

    def given_up(self, name: str) -> bool:
        if self.leader == name:
            self.leader, self.ends = "", 0.0
        return True

    def appended(self, name: str, term: int, text: str, at: WallTime, now: float) -> bool:
        """The transaction that compares the lease and writes the state."""
        if not self.leads(name, now) or self.term != term:
            return False
        self.journal, self.journal_at = text, at
        return True

    # What they say.

    def lease_of(self, name: str, now: float) -> int:
        """Its number; 0: it has none, or none any more."""
        number, ends = self.leases.get(name, (0, 0.0))
        return number if now < ends else 0

    def read_by(self, name: str, now: float) -> tuple[Mapping[str, Kept], str | None]:
        """What is said by whoever is there, and the journal; that keeps its own lease alive."""
        number = self.lease_of(name, now)
        if not number:
            self.changes += 1
            number = self.changes
        self.leases[name] = (number, now + self.ttl_s)
        said = {
            f"{TOLD}{other}": kept
            for other, kept in self.words.items()
            if kept.lease == self.lease_of(other, now)
        }
        return said, self.journal

    def told(self, name: str, text: str, lease: int, age_s: float, now: float) -> bool:
        """`age_s`: of the look, when it was sent."""
        if lease != self.lease_of(name, now):
            return False
        self.changes += 1
        self.words[name] = Kept(text, self.changes, self.changes, lease)
        self.latest[name] = now - age_s
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
