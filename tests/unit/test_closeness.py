"""How closely a round looks at the primary."""

from __future__ import annotations

from dataclasses import replace

from failoverd.core.jobs import Job, NodeJob
from failoverd.core.model import Epoch, Instant, NodeName, NodeReport, Outcome
from failoverd.daemon.closeness import LookedAt
from tests.unit.vocabulary import PAIR, PG1, PG2, Daemon, healthy, look, streaming, watching


def cannot_write(name: NodeName, at: float) -> NodeReport:
    return replace(healthy()(name, at), write=look(Outcome.FAILING, at))


def writes_are_checked(daemon: Daemon, looked: LookedAt, at: float) -> bool:
    return looked.attention(
        PG1, Instant(at), daemon.machine, PAIR, doubt=False, primary_address=None
    ).write_check


def test_while_all_is_well_a_write_is_tried_at_its_own_interval():
    daemon, looked = watching(), LookedAt()
    tried = [at for at in range(25) if writes_are_checked(daemon, looked, 100.0 + at)]
    assert tried == [0, 10, 20]


def test_a_write_that_has_failed_is_tried_again_in_every_round():
    """A disk that was freed is not held against the primary for ten seconds more."""
    daemon, looked = watching(), LookedAt()
    daemon.sees(cannot_write, streaming())
    assert all(writes_are_checked(daemon, looked, daemon.at + after) for after in range(5))


def test_the_host_of_one_that_streams_and_counts_as_fenced_is_looked_at_in_every_round():
    """What it waits for is that our guard is seen to be gone."""
    daemon, looked = watching(), LookedAt()

    def at_its_host(after: float) -> bool:
        moment = Instant(daemon.at + after)
        of = daemon.machine
        return looked.attention(PG2, moment, of, PAIR, doubt=False, primary_address=None).host

    assert [at_its_host(after) for after in range(3)] == [True, False, False]
    jobs = {PG2: NodeJob(Job.QUARANTINED, Epoch(1))}
    daemon.machine = replace(daemon.machine, jobs=jobs)
    assert all(at_its_host(after) for after in range(3, 6))
