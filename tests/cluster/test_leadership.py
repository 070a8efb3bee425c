"""The lease and the shared journal, against a real etcd on this machine."""

from __future__ import annotations

import asyncio
import contextlib
import signal
from dataclasses import dataclass, field, replace

import pytest

from failoverd.config.daemon import Daemon
from failoverd.config.leadership import Leadership as Section
from failoverd.core.events import Trigger
from failoverd.core.incident import Entry, EntryKind
from failoverd.core.leadership import parted
from failoverd.core.model import Epoch, Instant, Look, NodeName, NodeReport, Outcome, WallTime
from failoverd.core.situation import Machine
from failoverd.core.states import StateName
from failoverd.daemon import clock
from failoverd.daemon.candidacy import Candidacy, Named
from failoverd.daemon.coordination import seen_in_etcd
from failoverd.daemon.journal import Journal, JournalFailed
from failoverd.daemon.leadership import Alone, Follows, Leads, NotLeading
from failoverd.daemon.lease import LeaseKept
from failoverd.record.record import Record
from failoverd.transport.etcd import Etcd, EtcdClient
from tests.cluster.etcd import Store
from tests.waiting import until

pytestmark = [pytest.mark.lab, pytest.mark.timeout(90)]  # needs etcd, and no root
TTL_S = 6.0
LONG_S = 60.0
"""A TTL that no test waits for."""


@dataclass
class Member:
    """One daemon, without what it watches."""

    name: str
    client: EtcdClient
    lease: LeaseKept
    journal: Journal
    candidacy: Candidacy
    accepts: bool = True
    turns: list[Leads | Follows] = field(default_factory=list)
    tasks: list[asyncio.Task[None]] = field(default_factory=list)

    def turned(self, turned):
        self.turns.append(turned)
        if isinstance(turned, Leads) and self.accepts:
            self.candidacy.accept()

    def begin(self):
        self.tasks = [
            asyncio.create_task(self.lease.run()),
            asyncio.create_task(self.candidacy.run(self.turned)),
        ]

    async def die(self):
        """Without a word to anybody."""
        for task in self.tasks:
            task.cancel()
        await asyncio.gather(*self.tasks, return_exceptions=True)
        await self.client.close()

    @property
    def leads(self):
        return self.candidacy.standing.leads


@contextlib.asynccontextmanager
async def members(store, tmp_path, *names, ttl_s=TTL_S):
    made = [joined(store, tmp_path, name, ttl_s) for name in names]
    try:
        for one in made:
            one.begin()
        yield made
    except AssertionError as failed:
        for one in made:
            failed.add_note(f"{one.name}: {one.candidacy.standing.sentence}; turns: {one.turns}")
        raise
    finally:
        for one in made:
            await one.die()
            one.journal.close()


def joined(store, tmp_path, name, ttl_s=TTL_S):
    (tmp_path / name).mkdir(exist_ok=True)
    client = EtcdClient(Etcd((store.url,)))
    journal = Journal.open(tmp_path / name)
    lease = LeaseKept(client, ttl_s)
    named = Named(name, f"http://{name}.example")
    return Member(
        name, client, lease, journal, Candidacy("main", "/t/", named, client, lease, journal)
    )


def record(epoch, visit=1):
    at = StateName.WATCHING
    entry = Entry(EntryKind.DIAGNOSIS, at, at, Trigger.AUTOMATIC, "said")
    return Record("main", WallTime(1.0), Epoch(0), entry, Machine(epoch=Epoch(epoch), visit=visit))


async def test_one_leads_and_the_next_one_takes_up_what_it_had_journaled(store, tmp_path):
    async with members(store, tmp_path, "a", "b") as (a, b):
        await until(lambda: a.leads or b.leads, "one of them leads")
        first, second = (a, b) if a.leads else (b, a)
        assert not second.leads
        await first.candidacy.append(record(3))
        with pytest.raises(NotLeading):
            await second.candidacy.append(record(9))
        await until(lambda: second.candidacy.standing.leader == first.name, "it knows who leads")
        # Who follows is shown it, too.
        await until(
            lambda: any(t.machine is not None for t in second.turns),
            "it is shown what was journaled",
        )
        term = first.candidacy.term
        await first.die()
        await until(lambda: second.leads, "the other one leads")
        (taken,) = [turn for turn in second.turns if isinstance(turn, Leads)]
        assert taken.machine is not None
        assert taken.machine.epoch == 3
        assert second.candidacy.term > term
        assert parted(second.candidacy.owner)[0] == first.journal.identity
        await second.candidacy.append(record(3, visit=2))


def told(epoch, visit, source, target):
    entry = Entry(EntryKind.TRANSITION, source, target, Trigger.AUTOMATIC, f"now {target}")
    machine = Machine(epoch=Epoch(epoch), visit=visit)
    return Record("main", WallTime(visit), Epoch(epoch), entry, machine)


async def test_what_the_last_leader_has_told_of_the_incident_is_in_the_next_ones_journal(
    store, tmp_path
):
    watching, suspect, fencing = StateName.WATCHING, StateName.SUSPECT, StateName.FENCING
    async with members(store, tmp_path, "a", "b") as (a, b):
        await until(lambda: a.leads or b.leads, "one of them leads")
        first, second = (a, b) if a.leads else (b, a)
        await first.candidacy.append(told(0, 1, watching, suspect))
        await first.candidacy.append(told(7, 2, suspect, fencing))
        await first.candidacy.append(told(7, 3, fencing, StateName.ELECTING))
        await first.die()
        await until(lambda: second.leads, "the other one leads")
        sentences = [one.entry.sentence for one in second.journal.entries("main", 7)]
        assert sentences == ["now suspect", "now fencing", "now electing"]
        await second.candidacy.append(told(7, 4, StateName.ELECTING, StateName.PROMOTING))
        assert len(second.journal.entries("main", 7)) == 4
        # And what is looked at once a second does not grow with it.
        beat = await second.client.read("/t/main/", 10.0, before="/t/main/told/")
        assert "/t/main/machine" in beat
        assert not [key for key in beat if "told" in key]
        # The words of one incident go with the next one.
        await second.candidacy.append(told(8, 5, watching, fencing))
        kept = await second.client.read("/t/main/told/", 10.0)
        assert ["now fencing" in one.value for one in kept.values()] == [True]


async def test_who_gives_its_lease_back_is_followed_at_once(store, tmp_path):
    async with members(store, tmp_path, "a", "b", ttl_s=LONG_S) as (a, b):
        await until(lambda: a.leads or b.leads, "one of them leads")
        first, second = (a, b) if a.leads else (b, a)
        await first.lease.give_back()
        for task in first.tasks:
            task.cancel()
        await until(lambda: second.leads, "the other one leads", LONG_S / 3)


async def test_nothing_is_journaled_before_what_was_offered_is_taken_up(store, tmp_path):
    async with members(store, tmp_path, "a") as (a,):
        a.accepts = False
        await until(
            lambda: any(isinstance(turn, Leads) for turn in a.turns), "the leadership is offered"
        )
        assert not a.candidacy.may_act()
        with pytest.raises(NotLeading):
            await a.candidacy.append(record(1))
        assert a.candidacy.accept()
        await a.candidacy.append(record(1))


async def test_a_lease_that_was_in_doubt_for_a_moment_is_offered_anew(store, tmp_path):
    async with members(store, tmp_path, "a") as (a,):
        await until(lambda: a.leads, "it leads")
        a.lease.renewed_at = Instant(clock.boottime() - TTL_S)
        with pytest.raises(NotLeading):
            await a.candidacy.append(record(1))
        assert isinstance(a.turns[-1], Follows)
        await until(lambda: isinstance(a.turns[-1], Leads), "the leadership is offered again")
        await a.candidacy.append(record(1))


async def test_etcd_that_stops_answering_ends_the_leadership_before_the_lease(store, tmp_path):
    async with members(store, tmp_path, "a") as (a,):
        await until(lambda: a.leads, "it leads")
        store.pause()
        began = clock.boottime()
        with pytest.raises((JournalFailed, NotLeading)):
            await a.candidacy.append(record(1))
        await until(lambda: not a.leads, "it leads no more")
        assert clock.boottime() - began <= TTL_S - 1.0
        assert isinstance(a.turns[-1], Follows)
        with pytest.raises(NotLeading):
            await a.candidacy.append(record(1))
        await until(lambda: a.candidacy.standing.failing, "it says that etcd fails")
        assert "nothing is done automatically" in a.candidacy.standing.sentence
        store.process.send_signal(signal.SIGCONT)
        await until(lambda: a.leads, "it leads")
        await a.candidacy.append(record(2))


async def test_who_has_slept_beyond_its_lease_is_refused_by_etcd_whatever_it_believes(
    store, tmp_path
):
    async with members(store, tmp_path, "a") as (a,):
        await until(lambda: a.leads, "it leads")
        await a.candidacy.append(record(1))
        other = joined(store, tmp_path, "b")
        lease, key = a.lease.id, "/t/main/leader"
        await other.client.revoke(lease, 10.0)
        granted = await other.client.grant(10, 10.0)
        assert await other.client.claim(key, '{"name": "b"}', granted.lease, 10.0)
        a.lease.renewed_at = Instant(clock.boottime() + 60)  # it believes so
        with pytest.raises(NotLeading):
            await a.candidacy.append(record(2))
        found = await other.client.read("/t/main/", 10.0)
        assert '"epoch\\":1' in found["/t/main/machine"].value.replace(" ", "")
        await other.die()
        other.journal.close()


async def test_a_write_that_arrived_and_was_not_answered_is_not_taken_for_somebody_elses(
    store, tmp_path
):
    async with members(store, tmp_path, "a") as (a,):
        await until(lambda: a.leads, "it leads")
        await a.candidacy.append(record(1))
        key = "/t/main/machine"
        there = (await a.client.read("/t/main/", 10.0))[key]
        await a.client.put(key, there.value, 0, 10.0)  # at a revision that it does not know
        await a.candidacy.append(record(2))
        await a.candidacy.append(record(3))


async def test_others_are_told_what_is_seen_of_the_primary(store, tmp_path):
    async with members(store, tmp_path, "a", "b") as (a, b):
        await until(lambda: a.leads or b.leads, "one of them leads")
        now = clock.monotonic()
        look = Look(Outcome.OK, now, now)
        a.candidacy.looked(NodeReport(NodeName("pg1"), 1, now, look, look), blind=False)
        await until(lambda: b.candidacy.others, "it has heard of the other one")
        (said,) = b.candidacy.others.values()
        assert (said.name, said.primary, said.heard) == ("a", "pg1", True)
        assert now - 2.0 <= said.looked_at <= clock.monotonic()
        shared = await seen_in_etcd(settings(store), "main")
        assert shared is not None
        assert shared.leader in ("a", "b")
        assert shared.others == ("a",)
        silent = Look(Outcome.TIMED_OUT, now, now)
        a.candidacy.looked(NodeReport(NodeName("pg1"), 2, now, silent, silent), blind=False)
        await until(
            lambda: not next(iter(b.candidacy.others.values())).heard, "it has heard of the silence"
        )
        await a.lease.give_back()
        await until(lambda: not b.candidacy.others, "the other one is forgotten")


async def test_what_the_others_said_stands_while_etcd_does_not_answer(store, tmp_path):
    """Else a moment without etcd would be one without anybody who reaches the primary."""
    async with members(store, tmp_path, "a", "b") as (a, b):
        await until(lambda: a.leads or b.leads, "one of them leads")
        now = clock.monotonic()
        look = Look(Outcome.OK, now, now)
        a.candidacy.looked(NodeReport(NodeName("pg1"), 1, now, look, look), blind=False)
        await until(lambda: b.candidacy.others, "it has heard of the other one")
        store.pause()
        await until(lambda: b.candidacy.standing.failing, "it says that etcd fails")
        assert [one.heard for one in b.candidacy.others.values()] == [True]


async def test_who_reaches_nothing_leaves_it_to_one_that_reaches_the_primary(store, tmp_path):
    async with members(store, tmp_path, "a", "b") as (a, b):
        await until(lambda: a.leads or b.leads, "one of them leads")
        blind, sees = (a, b) if a.leads else (b, a)
        while not sees.leads:
            now = clock.monotonic()
            ok, silent = Look(Outcome.OK, now, now), Look(Outcome.TIMED_OUT, now, now)
            pg1 = NodeReport(NodeName("pg1"), 1, now, ok, ok)
            sees.candidacy.looked(pg1, blind=False)
            blind.candidacy.looked(replace(pg1, held=silent, fresh=silent), blind=True)
            await asyncio.sleep(0.2)
        assert not blind.leads


async def test_who_cannot_keep_its_term_on_disk_leaves_it_to_others(store, tmp_path):
    async with members(store, tmp_path, "a", "b") as (a, b):
        await until(lambda: a.leads or b.leads, "one of them leads")
        first, second = (a, b) if a.leads else (b, a)
        (second.journal.directory / "terms.new").mkdir()  # so that it cannot be written
        await first.die()
        await until(
            lambda: "terms.json cannot be written" in second.candidacy.standing.sentence,
            "it says what it cannot write",
        )
        assert not second.leads
        (second.journal.directory / "terms.new").rmdir()
        await until(lambda: second.leads, "the other one leads")


def settings(store):
    section = Section(kind="etcd", endpoints=[store.url], prefix="/t/")
    return Daemon(leadership=section)


async def test_a_check_by_hand_tells_that_etcd_is_gone(store):
    store.end()
    shared = await seen_in_etcd(settings(store), "main")
    assert shared is not None
    assert store.url in shared.failing
    assert await seen_in_etcd(Daemon(), "main") is None


async def test_a_machine_of_a_newer_version_is_left_alone(store, tmp_path):
    client = EtcdClient(Etcd((store.url,)))
    text = '{"version": 999, "group": "g", "terms_from": 0, "machine": "{}"}'
    await client.put("/t/main/machine", text, 0, 10.0)
    await client.close()
    async with members(store, tmp_path, "a") as (a,):
        await until(
            lambda: "newer version" in a.candidacy.standing.sentence, "it says why it stands back"
        )
        assert not a.leads
        await asyncio.sleep(1.5)
        assert "/t/main/leader" not in await a.client.read("/t/main/", 10.0)


async def test_a_term_is_never_used_twice_where_etcd_is_set_up_anew_or_given_up(store, tmp_path):
    async with members(store, tmp_path, "a") as (a,):
        await until(lambda: a.leads, "it leads")
        await a.candidacy.append(record(1))
        term = a.candidacy.term
    anew = Store(tmp_path / "a")
    await asyncio.to_thread(anew.wait)
    try:
        async with members(anew, tmp_path, "a") as (a,):
            await until(lambda: a.leads, "it leads")
            assert a.candidacy.term > term
            owner = a.candidacy.owner
    finally:
        anew.end()
    journal = Journal.open(tmp_path / "a")
    alone = Alone(journal, "main").owner
    journal.close()
    assert parted(alone)[0] == parted(owner)[0]
    assert parted(alone)[1] > parted(owner)[1]
