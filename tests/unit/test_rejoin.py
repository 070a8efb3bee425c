"""When a fenced node comes back by itself, how often that is tried, and what stops it."""

from __future__ import annotations

from dataclasses import replace

import pytest

from failoverd.core.divergence import Counted
from failoverd.core.effects import Fence, Rejoin
from failoverd.core.events import REJOIN_FAILED, EffectFailed
from failoverd.core.jobs import Job, NodeJob
from failoverd.core.model import Epoch, Evidence, Guard, Timeline
from failoverd.core.policy import RejoinChoice
from failoverd.core.rejoin import TRIES, refuse_rejoin
from failoverd.core.schedule import Rejoining
from failoverd.core.states import Blocked, BlockReason, Fencing
from failoverd.effect.replication import Replication, conninfo, passfile_line, setting, slot_name
from tests.unit.test_divergence import divergence
from tests.unit.vocabulary import (
    FAILED,
    PAIR,
    PG1,
    PG2,
    WORDS,
    cut_off,
    dead,
    gone,
    healthy,
    host,
    sender,
    streaming,
    watching,
)

AUTO = replace(PAIR, can_rejoin=True, rejoin_delay_s=60.0)
BROKEN = EffectFailed(REJOIN_FAILED, Evidence("pg_rewind failed half way"))


def quarantined(policy=AUTO):
    daemon = watching(policy)
    jobs = {PG2: NodeJob(Job.QUARANTINED, Epoch(0))}
    daemon.machine = replace(daemon.machine, jobs=jobs)
    return daemon.sees(healthy(), dead())


def test_it_waits_for_its_delay_and_then_comes_back():
    daemon = quarantined()
    assert daemon.asked(Rejoin) == []
    daemon.sees(healthy(), dead(), after=59)
    assert daemon.asked(Rejoin) == []
    daemon.sees(healthy(), dead(), after=2)
    assert [effect.node for effect in daemon.asked(Rejoin)] == [PG2]


@pytest.mark.parametrize("job", [Job.QUARANTINED, Job.DIVERGED, Job.SUPERSEDED])
def test_a_standby_that_is_ahead_and_a_primary_replaced_by_hand_come_back_alike(job):
    daemon = quarantined()
    daemon.machine = replace(daemon.machine, jobs={PG2: NodeJob(job, Epoch(0))})
    daemon.sees(healthy(), dead()).sees(healthy(), dead(), after=61)
    assert [effect.node for effect in daemon.asked(Rejoin)] == [PG2]


@pytest.mark.parametrize(("wrote_on", "copied"), [(2, True), (1, False)])
def test_whoever_wrote_under_the_number_of_the_primarys_timeline_is_copied(wrote_on, copied):
    """Promoted beside it: what is told apart by its number alone could fit in by chance."""
    daemon = quarantined()
    wrote = divergence(node=PG2, against=PG1, timeline=Timeline(wrote_on))
    memory = replace(daemon.machine.memory, timeline=Timeline(2))
    known = {PG2: Counted(wrote)}
    daemon.machine = replace(daemon.machine, divergences=known, memory=memory)
    primary = healthy(timeline=2)
    daemon.sees(primary, dead()).sees(primary, dead(), after=61)
    assert [effect.copied for effect in daemon.asked(Rejoin)] == [copied]


def test_by_itself_only_where_the_policy_says_so_and_with_credentials():
    for policy in (replace(AUTO, rejoin=RejoinChoice.MANUAL), replace(AUTO, can_rejoin=False)):
        daemon = quarantined(policy).sees(healthy(), dead(), after=100)
        assert daemon.asked(Rejoin) == []


def test_not_while_its_host_does_not_answer_or_the_primary_is_not_well():
    daemon = quarantined().sees(healthy(), gone(), after=100)
    assert daemon.asked(Rejoin) == []
    daemon = quarantined().sees(dead(), dead(), after=100)
    assert daemon.asked(Rejoin) == []


def test_how_far_it_is_is_shown_and_asked_again_each_second():
    daemon = quarantined().sees(healthy(), dead(), after=61)
    daemon.answered(Rejoin, Rejoining(True, Evidence("it is being rewound")))
    assert daemon.machine.jobs[PG2].said == "it is being rewound"
    assert daemon.asked(Rejoin) == []
    daemon.wakes(1.1)
    assert daemon.asked(Rejoin)[0].begun


def test_one_that_failed_stays_fenced_says_why_and_is_tried_a_few_times_only():
    daemon = quarantined()
    tried = 0
    for _ in range(3 * TRIES):
        daemon.sees(healthy(), dead(), after=1000).sees(healthy(), dead(), after=1000)
        if daemon.asked(Rejoin):
            tried += 1
            daemon.answered(Rejoin, BROKEN)
    job = daemon.machine.jobs[PG2]
    assert tried == TRIES
    assert (job.job, job.said) == (Job.QUARANTINED, "pg_rewind failed half way")


def test_an_answer_that_is_not_known_is_asked_again():
    daemon = quarantined().sees(healthy(), dead(), after=61).answered(Rejoin, FAILED)
    assert daemon.machine.jobs[PG2].job is Job.REJOINING
    assert daemon.wakes(11).asked(Rejoin)


def test_started_read_write_by_somebody_it_is_fenced_again():
    daemon = quarantined().sees(healthy(timeline=2), dead(), after=61)
    memory = replace(daemon.machine.memory, timeline=2)
    daemon.machine = replace(daemon.machine, memory=memory)
    daemon.sees(healthy(timeline=2), healthy(timeline=1))
    assert daemon.machine.jobs[PG2].job is Job.QUARANTINED
    assert [e.node for e in daemon.asked(Fence)] == [PG2]


def under_guard(name, at):
    """It streams, and our marker still lies beside its standby.signal."""
    found = streaming()(name, at)
    return replace(found, host=host(at, guard=Guard.OURS))


def test_one_that_streams_under_our_guard_is_not_back_before_the_marker_is_gone():
    """A late look had found it taking writes on its way back, which ends that way."""
    daemon = quarantined().sees(healthy(), under_guard)
    assert daemon.machine.jobs[PG2].job is Job.QUARANTINED
    assert refuse_rejoin(daemon.machine, PG2, AUTO) is None
    daemon.sees(healthy(), under_guard, after=61)
    assert [effect.node for effect in daemon.asked(Rejoin)] == [PG2]


def test_nobody_is_fenced_for_one_that_is_kept_out():
    """It would not be frozen: the failover would be for nothing."""
    daemon = quarantined().sees(healthy(), under_guard)
    for _ in range(3):
        daemon.sees(dead(), cut_off())
    assert isinstance(daemon.state, Blocked)
    assert daemon.state.reason is BlockReason.NO_CANDIDATE
    assert "pg2: is kept out until it is brought back as a standby" in daemon.state.why


def test_one_that_was_brought_back_may_take_over():
    daemon = quarantined().sees(healthy(), streaming())
    for _ in range(3):
        daemon.sees(dead(), cut_off())
    assert isinstance(daemon.state, Fencing)


def test_one_that_somebody_has_brought_back_without_a_guard_is_owed_nothing():
    daemon = quarantined().sees(healthy(), streaming())
    assert PG2 not in daemon.machine.jobs
    assert "streams" in refuse_rejoin(daemon.machine, PG2, AUTO)


def test_a_restarted_daemon_goes_on_with_it():
    daemon = quarantined().sees(healthy(), dead(), after=61)
    daemon.restarted()
    daemon.sees(healthy(), dead()).sees(healthy(), dead())
    assert [effect.node for effect in daemon.asked(Rejoin)] == [PG2]


def test_it_is_no_standby_to_freeze_until_it_is_back():
    sends = healthy(senders=(sender(PG2),))
    daemon = quarantined().sees(sends, dead(), after=61).sees(sends, streaming())
    assert daemon.machine.jobs[PG2].job is Job.REJOINING
    assert daemon.machine.standbys(AUTO) == ()
    assert PG1 not in daemon.machine.jobs
    assert WORDS.sentence


def test_what_is_written_on_the_host_is_quoted_as_libpq_and_postgresql_read_it():
    options = Replication("re'p", sslrootcert="/etc/a b").to("192.0.2.1", 5432)
    written = conninfo({**options, "password": "it's a \\ word"})
    assert "user='re\\'p'" in written
    assert "sslrootcert='/etc/a b'" in written
    assert "password='it\\'s a \\\\ word'" in written
    assert setting("a", "it's \\") == "a = 'it''s \\\\'"
    assert passfile_line("a:b\\c") == "*:*:*:*:a\\:b\\\\c"
    assert slot_name("PG-1.example") == "pg_1_example"
    assert "password" not in repr(Replication("x", password=lambda: "secret"))
