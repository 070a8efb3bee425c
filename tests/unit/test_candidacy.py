"""A leadership that is lost and had again is another one, and nothing is done in it unoffered."""

from __future__ import annotations

from failoverd.core.model import Instant
from failoverd.daemon import clock
from failoverd.daemon.candidacy import Candidacy, Named
from failoverd.daemon.journal import Journal
from failoverd.daemon.leadership import Follows, Leads
from failoverd.transport.etcd import Kept


class Store:
    """Of one daemon: its keys go with its lease."""

    def __init__(self):
        self.revision = 0
        self.keys = {}

    async def read(self, prefix, limit_s, *, before=""):
        assert limit_s
        return {
            key: kept
            for key, kept in self.keys.items()
            if key.startswith(prefix) and (not before or key < before)
        }

    async def claim(self, key, value, lease, limit_s):
        assert limit_s
        self.revision += 1
        self.keys.setdefault(key, Kept(value, self.revision, self.revision, lease))
        return True


class Lease:
    ttl_s = 5.0
    failing = ""

    def __init__(self):
        self.id = 1

    @property
    def renewed_at(self):
        return Instant(clock.boottime())


async def test_a_leadership_that_is_had_again_is_not_acted_in_before_it_is_taken_up(tmp_path):
    store, lease, turns, acted = Store(), Lease(), [], []
    journal = Journal.open(tmp_path)
    one = Candidacy("main", "/t/", Named("a", ""), store, lease, journal)
    one._tell = turns.append
    await one._beat()
    assert one.accept()
    assert one.may_act()
    first = one.term
    # Its lease is gone from there with all that hung on it, and it has another one.
    store.keys.clear()
    lease.id = 2
    kept = one._terms.keep
    one._terms.keep = lambda cluster, held: (acted.append(one.may_act()), kept(cluster, held))
    await one._beat()
    assert one.term > first
    assert acted == [False], "before its term is on disk"
    assert not one.may_act(), "before it is taken up"
    assert [type(turn) for turn in turns] == [Leads, Follows, Leads]
    assert one.accept()
    assert one.may_act()
    journal.close()
