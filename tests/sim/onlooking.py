"""What several daemons tell each other of the primary, by way of their store, in virtual time.

Followers look, too. What is told, when, and as of which moment it is read is daemon/saying.py's,
as in production; what it counts for is core/other_daemons.py's. Its chances are drawn from a source
of its own, so that what a leader does alone stays what it was.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any

from failoverd.core.events import Observed
from failoverd.core.leadership import BEAT_S, leaves_it
from failoverd.core.model import (
    ClusterView,
    DaemonReport,
    HostReport,
    Instant,
    NodeName,
    NodeReport,
    Outcome,
)
from failoverd.core.restart import followed
from failoverd.core.situation import Machine
from failoverd.daemon.candidacy import IN_DOUBT_S, STANDS_BACK_S
from failoverd.daemon.saying import Others, Saying, word_of
from failoverd.probe.node import Attention
from failoverd.record.codec import loads
from tests.sim.kernel import Owner, Steps
from tests.sim.looking import Eye, look_at_host, look_by_sql
from tests.sim.store import LIMIT_S, STORE, TOLD, Store

if TYPE_CHECKING:
    from tests.sim.daemon import Daemon


class Onlooking:
    """Of one process of a daemon, whether it leads or follows."""

    def __init__(self, d: Daemon, store: Store, process: Owner, lost: Callable[[], None]) -> None:
        self.d = d
        self.store = store
        self.process = process
        self.heard = Others(d.name, TOLD)
        self.machine = d.as_it_was()
        """As a follower has it: of whoever leads, with its own looks."""
        self._lost = lost
        self._text: str | None = None
        self._saying = Saying()
        self._look: NodeReport | None = None
        self._tells = self._more = False
        self._blind_since: Instant | None = None
        self._left_at: Instant | None = None
        self._eyes: dict[NodeName, Eye] = {name: Eye() for name in d.world.hosts}
        self._random = random.Random(f"{store.seed} {d.name}")
        for steps in (self._reads(), self._follows()):
            d.world.kernel.spawn(steps, process)

    @property
    def others(self) -> Mapping[str, DaemonReport]:
        return self.heard.reports

    @property
    def stands_back(self) -> bool:
        """It has left the leadership a moment ago, and somebody else is able."""
        able = any(not one.blind for one in self.others.values())
        at = self._left_at
        return able and at is not None and self.d.monotonic() - at < STANDS_BACK_S

    # Requests, by delays of its own.

    def _delay(self, a: str, b: str) -> float:
        extra = self.d.world.slow.get((a, b), 0.0)
        return self._random.uniform(0.0005, 0.003) + extra * self._random.random()

    def _asked(self, act: Callable[[], Any]) -> Steps:
        """None: silence; what it does there may be done although nobody hears of it."""
        world, store, name, began = self.d.world, self.store, self.d.name, self.d.world.now
        if store.down or not world.passes(name, STORE):
            yield LIMIT_S
            return None
        yield self._delay(name, STORE)
        if world.now - began > LIMIT_S or store.down:
            return None
        answer = act()
        yield self._delay(STORE, name)
        heard = world.passes(STORE, name) and world.now - began <= LIMIT_S
        if not heard:
            yield max(0.0, LIMIT_S - (world.now - began))
        return answer if heard else None

    # What the others said.

    def _reads(self) -> Steps:
        d, store = self.d, self.store
        while True:
            asked_at = Instant(d.monotonic())
            found = yield from self._asked(lambda: store.read_by(d.name, d.world.now))
            if found is not None:
                told, text = found
                self.heard.note(told, asked_at)
                self._takes_over(text)
                yield from self._leaves()
            doubted = self._look is not None and not self._look.heard
            yield IN_DOUBT_S if doubted else BEAT_S

    def _takes_over(self, text: str | None) -> None:
        """Whoever follows shows the leader's machine, and looks at the primary that is in it."""
        if text is not None and text != self._text and self.d.life is None:
            self._text = text
            now = Instant(self.d.monotonic())
            self.machine = followed(loads(Machine, text), self.machine, now)

    def _leaves(self) -> Steps:
        d, store = self.d, self.store
        now = Instant(d.monotonic())
        if not leaves_it(self._blind_since, self.others.values(), now):
            return
        self._left_at = now
        if d.life is not None:
            d.world.tell(d.name, "leaves the leadership to whoever is not blind")
            self._lost()
            yield from self._asked(lambda: store.given_up(d.name))

    # What it sees itself.

    def _follows(self) -> Steps:
        d = self.d
        yield self._random.uniform(0.0, 0.5)
        while True:
            began = d.world.now
            if d.life is None and self.machine.memory.primary is not None:
                yield from self._looks(self.machine.memory.primary)
            yield max(0.01, d.policy.interval_s - (d.world.now - began))

    def _looks(self, primary: NodeName) -> Steps:
        d, began, true_began = self.d, self.d.monotonic(), self.d.world.now
        reports: dict[NodeName, NodeReport] = {}
        for name, eye in self._eyes.items():
            eye.round += 1
            closely = Attention(name == primary, True, True, True, False, None, d.policy.timeout_s)
            held, fresh, server = look_by_sql(d, name, eye, closely, began)
            host = HostReport() if fresh.ok else look_at_host(d, name, local_socket=name == primary)
            reports[name] = NodeReport(
                name, eye.round, Instant(began), held, fresh, server, server, host=host
            )
        silent = reports[primary].fresh.outcome is Outcome.TIMED_OUT
        yield d.policy.timeout_s if silent else self._delay(d.name, primary) * 2
        if d.life is None:
            ours = d.stalled_since(true_began)
            view = ClusterView(reports, ours, daemons=self.others)
            self.machine = self.machine.observing(Observed(view), d.policy)
            self.looked(reports[primary], blind=self.machine.diagnosis == "blind")

    # What it tells them.

    def looked(self, look: NodeReport, *, blind: bool) -> None:
        since, now = self._blind_since, Instant(self.d.monotonic())
        self._look = look
        self._blind_since = (now if since is None else since) if blind else None
        self._more = True
        if not self._tells:
            self._tells = True
            self.d.world.kernel.spawn(self._says(), self.process)

    def _says(self) -> Steps:
        d, store, saying = self.d, self.store, self._saying
        while self._more:
            self._more = False
            assert self._look is not None
            lease = store.lease_of(d.name, d.world.now)
            word = word_of(self._look, blind=self._blind_since is not None)
            now = Instant(d.monotonic())
            if not lease or not saying.is_due(word, lease, now, others_doubt=self.heard.doubt):
                continue
            text, age_s = word.text(d.name, now), now - word.began_at
            done = yield from self._asked(
                lambda t=text, age=age_s, n=lease: store.told(d.name, t, n, age, d.world.now)  # type: ignore[misc]
            )
            if done:
                saying.said(word, lease, now)
        self._tells = False
