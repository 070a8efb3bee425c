"""One cluster's leadership in etcd: who holds it, what is journaled, and what the others see."""

from __future__ import annotations

import asyncio
import contextlib
import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace

from failoverd.core.leadership import (
    BEAT_S,
    Lease,
    Term,
    leaves_it,
    may_act,
    owner,
)
from failoverd.core.model import ClusterView, DaemonReport, Instant, NodeReport
from failoverd.core.situation import Machine
from failoverd.daemon import clock
from failoverd.daemon.journal import Journal, JournalFailed
from failoverd.daemon.leadership import Follows, Leads, NotLeading, Standing, Turned
from failoverd.daemon.lease import LeaseKept
from failoverd.daemon.saying import Others, Saying, word_of
from failoverd.daemon.terms import Held, Terms
from failoverd.daemon.told_in_etcd import Shared, read_named, read_shared
from failoverd.daemon.told_so_far import ToldSoFar
from failoverd.record.codec import VERSION, RecordError, dumps
from failoverd.record.record import Record
from failoverd.transport.etcd import Beside, EtcdClient, EtcdFailed, Kept, Refused

LOOK_LIMIT_S = 1.0
APPEND_LIMIT_S = 2.0
STANDS_BACK_S = 10.0
IN_DOUBT_S = 0.25
"""Between two looks at what the others see, while the primary does not answer here."""


@dataclass(frozen=True, slots=True)
class Named:
    """How this daemon is called, and where people find it."""

    name: str
    address: str


class Candidacy:
    """Of one daemon, for one cluster."""

    def __init__(
        self,
        cluster: str,
        prefix: str,
        named: Named,
        client: EtcdClient,
        lease: LeaseKept,
        journal: Journal,
    ) -> None:
        self._cluster = cluster
        self._named = named
        self._client = client
        self._lease = lease
        self._journal = journal
        self._terms = Terms(journal.directory)
        self._below = f"{prefix}{cluster}/"
        self._leader_key = f"{self._below}leader"
        self._machine_key = f"{self._below}machine"
        self._daemons = f"{self._below}daemons/"
        self._shared = Shared()
        self._told = ToldSoFar(self._below)
        self._made_at = 0
        """The revision at which the leader's key was made by this daemon; 0: it was not."""
        self._made_by = 0
        """The lease on which it hangs."""
        self._group: Held | None = None
        self._offered = False
        """The supervisor was told that it leads."""
        self._active = False
        """And has taken it up: only then anything is journaled for it, and done."""
        self._tell: Callable[[Turned], None] = lambda _: None
        self._leader = ("", "")
        self._failing = "etcd was not asked yet"
        self._others = Others(journal.identity, self._daemons)
        self._look: NodeReport | None = None
        self._has_looked = asyncio.Event()
        self._saying = Saying()
        self._hurry = asyncio.Event()
        self._blind_since: Instant | None = None
        self._left_at: Instant | None = None

    # As a supervisor asks for it.

    @property
    def term(self) -> Term:
        base = 0 if self._group is None else self._group.term
        return Term(base + self._made_at)

    @property
    def owner(self) -> str:
        group = self._journal.identity if self._group is None else self._group.group
        return owner(group, self.term)

    @property
    def others(self) -> Mapping[str, DaemonReport]:
        return self._others.reports

    def may_act(self) -> bool:
        return self._active and may_act(self._held(), clock.boottime())

    def accept(self) -> bool:
        self._active = self._offered
        return self._active

    @property
    def standing(self) -> Standing:
        leads = self.may_act()
        name, address = self._leader
        failing = "" if leads else self._failing or self._lease.failing
        others = tuple(sorted(one.name for one in self.others.values()))
        return Standing("etcd", leads, name, address, int(self.term), failing, others)

    def looked(self, primary: NodeReport, *, blind: bool) -> None:
        self._look = primary
        since = self._blind_since
        self._blind_since = (clock.monotonic() if since is None else since) if blind else None
        self._has_looked.set()
        if not primary.heard:
            self._hurry.set()

    async def append(self, record: Record) -> None:
        """First to etcd, which decides; then here, for reports."""
        held = self._held()
        if held is None or not self.may_act():
            raise self._lost()
        left_s = held.acts_until - clock.boottime()
        text = self._document(record.machine)
        try:
            async with asyncio.timeout(min(APPEND_LIMIT_S, left_s)):
                await self._write(
                    text, self._told.beside(record, self.term), min(APPEND_LIMIT_S, left_s)
                )
        except (TimeoutError, EtcdFailed) as failed:
            # It may have arrived: what is there is seen before the next one.
            self._hurry.set()
            why = str(failed) or f"no answer in {left_s:.1f} s"
            raise JournalFailed(f"etcd: {why}") from None
        self._told.written()
        await self._journal.append(record)
        if not self.may_act():
            raise self._lost()

    async def _write(self, text: str, beside: Beside, limit_s: float) -> None:
        holds = (self._leader_key, self._made_at)
        while True:
            known = self._shared.changed
            there_is = (self._machine_key, known)
            done = await self._client.write_if(holds, there_is, text, beside, limit_s)
            if not isinstance(done, Refused):
                self._shared = replace(self._shared, changed=done, text=text)
                return
            leader = done.found.get(self._leader_key)
            if leader is None or leader.created != self._made_at:
                self._made_at = 0
                raise self._lost()
            there = done.found.get(self._machine_key)
            changed = 0 if there is None else there.changed
            if changed == known:
                raise EtcdFailed("it refuses what it should take")
            # Only this daemon may have written: an earlier attempt of it has arrived after all.
            self._shared = replace(self._shared, changed=changed)
            if there is not None and there.value == text:
                return

    def _held(self) -> Lease | None:
        if not self._made_at or self._lease.id != self._made_by:
            return None
        return Lease(self.term, self._lease.renewed_at, self._lease.ttl_s)

    def _document(self, machine: Machine) -> str:
        group = self._group or Held(self._journal.identity, Term(0))
        bare = replace(machine, view=ClusterView({}))
        document = {"version": VERSION, "group": group.group, "terms_from": group.term}
        return json.dumps({**document, "machine": dumps(bare)})

    # Its life.

    async def run(self, tell: Callable[[Turned], None]) -> None:
        """Until cancelled. `tell` is told of each turn, and of what the leader has journaled."""
        self._tell = tell
        async with asyncio.TaskGroup() as group:
            group.create_task(self._watch())
            group.create_task(self._say_what_is_seen())
            group.create_task(self._stop_in_time())

    async def leave(self) -> None:
        made_at, self._made_at = self._made_at, 0
        self._offered = self._active = False
        if made_at:
            with contextlib.suppress(EtcdFailed):
                await self._client.give_up(self._leader_key, made_at, LOOK_LIMIT_S)

    async def _watch(self) -> None:
        while True:
            self._hurry.clear()
            try:
                await self._beat()
                self._failing = ""
            except (EtcdFailed, JournalFailed, RecordError) as failed:
                # What the others said last stands: unheard, they hold back whoever acts.
                self._failing = str(failed)
            doubted = self._look is not None and not self._look.heard
            try:
                async with asyncio.timeout(IN_DOUBT_S if doubted else BEAT_S):
                    await self._hurry.wait()
                await asyncio.sleep(IN_DOUBT_S / 2)
            except TimeoutError:
                pass

    async def _beat(self) -> None:
        """See what is there; lead, if nobody does."""
        asked_at = clock.monotonic()
        found = await self._read()
        leader = found.get(self._leader_key)
        self._others.note(found, asked_at)
        if self._leaves_it_to_others():
            if leader is not None and leader.lease == self._lease.id != 0:
                self._made_at = 0
                self._stop()
                await self._client.give_up(self._leader_key, leader.created, LOOK_LIMIT_S)
                return
        elif leader is None and self._lease.id and not self._lease.failing:
            read_shared(found.get(self._machine_key))  # who cannot read it stands back
            value = json.dumps({"name": self._named.name, "address": self._named.address})
            await self._client.claim(self._leader_key, value, self._lease.id, LOOK_LIMIT_S)
            # Nobody else writes from here on: what is read now is what the last holder left.
            found = await self._read()
            leader = found.get(self._leader_key)
        self._leader = read_named(leader)
        mine = leader is not None and leader.lease == self._lease.id != 0
        if mine and leader is not None:
            await self._lead(leader, found.get(self._machine_key))
        else:
            self._made_at = 0
            self._follow(found.get(self._machine_key))

    async def _read(self) -> Mapping[str, Kept]:
        """Whatever is looked at once a second: not what is told, which is long."""
        return await self._client.read(self._below, LOOK_LIMIT_S, before=self._told.below)

    def _leaves_it_to_others(self) -> bool:
        """And does not stand for a while after that."""
        others, now = self.others.values(), clock.monotonic()
        if leaves_it(self._blind_since, others, now):
            self._left_at = now
        able = any(not one.blind for one in others)
        return able and self._left_at is not None and now - self._left_at < STANDS_BACK_S

    async def _lead(self, leader: Kept, there: Kept | None) -> None:
        if self._offered and self._made_at == leader.created:
            return
        self._stop()  # what was taken up in an earlier holding does not count in this one
        try:
            await self._take_over(leader, there)
        except (RecordError, JournalFailed):
            # Whoever cannot is in nobody's way.
            self._made_at, self._left_at = 0, clock.monotonic()
            await self._client.give_up(self._leader_key, leader.created, LOOK_LIMIT_S)
            raise
        if may_act(self._held(), clock.boottime()):
            self._offered = True
            self._tell(Leads(self._shared.machine))

    async def _take_over(self, leader: Kept, there: Kept | None) -> None:
        """The term is on disk before anything is done in it."""
        self._shared = read_shared(there)
        known = self._terms.of(self._cluster)
        self._group = self._shared.held or known or Held(self._journal.identity, Term(0))
        self._made_at, self._made_by = leader.created, leader.lease
        await asyncio.to_thread(self._terms.keep, self._cluster, Held(self._group.group, self.term))
        found: Mapping[str, Kept] = {}
        with contextlib.suppress(EtcdFailed):
            found = await self._client.read(self._told.below, LOOK_LIMIT_S)
        told = self._told.take_up(found)
        if told and self._shared.machine is not None:
            await self._journal.take_up(self._cluster, told, self._shared.machine)

    def _follow(self, there: Kept | None) -> None:
        self._stop()
        if there is not None and there.changed != self._shared.changed:
            self._shared = read_shared(there)
            self._tell(Follows(self._shared.machine))

    def _lost(self) -> NotLeading:
        """Whoever asked goes on with nothing, until it is offered to it anew."""
        if self._active:
            self._stop()
        return NotLeading()

    def _stop(self) -> None:
        if self._offered:
            self._offered = self._active = False
            self._tell(Follows(None))

    async def _stop_in_time(self) -> None:
        """Whoever cannot renew its lease does not wait to hear that it has none."""
        while True:
            held = self._held()
            now = clock.boottime()
            if not may_act(held, now):
                self._stop()
            wait_s = BEAT_S if held is None else min(BEAT_S, held.acts_until - now)
            await asyncio.sleep(max(0.01, wait_s))

    # What the daemons tell each other.

    async def _say_what_is_seen(self) -> None:
        while True:
            await self._has_looked.wait()
            self._has_looked.clear()
            look, lease = self._look, self._lease.id
            if look is None or not lease or self._lease.failing:
                continue
            word, now = word_of(look, blind=self._blind_since is not None), clock.monotonic()
            if not self._saying.is_due(word, lease, now, others_doubt=self._others.doubt):
                continue
            key, text = f"{self._daemons}{self._journal.identity}", word.text(self._named.name, now)
            with contextlib.suppress(EtcdFailed):  # whoever looks at who leads says so
                await self._client.put(key, text, lease, LOOK_LIMIT_S)
                self._saying.said(word, lease, now)
