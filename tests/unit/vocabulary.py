"""A few words to build views with: `view(primary=dead(), standby=streaming(lag=0), at=5)`.

Each word is what one node is like in one round; a case states only what matters for it.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from typing import TypeVar

from failoverd.core.asked import asks
from failoverd.core.effects import Effect, Fence, Freeze, MeasureDivergence, ReadSettings
from failoverd.core.events import (
    Command,
    EffectFailed,
    Event,
    Fenced,
    FrozenAt,
    Now,
    Observed,
    Replied,
    Result,
    SettingsRead,
    StillAlive,
    Woke,
)
from failoverd.core.model import (
    ClusterView,
    ControlState,
    Epoch,
    Evidence,
    FenceProof,
    Frozen,
    Guard,
    HostFacts,
    HostReport,
    Instant,
    Look,
    Lsn,
    NodeName,
    NodeReport,
    Outcome,
    ProofKind,
    SavedSettings,
    ServerFacts,
    SystemIdentifier,
    Timeline,
    WallTime,
)
from failoverd.core.policy import NodePolicy, Policy
from failoverd.core.replication import Receiver, Sender
from failoverd.core.restart import restored
from failoverd.core.situation import Machine
from failoverd.core.states import State
from failoverd.core.step import Step, step

PG1, PG2, PG3 = (NodeName(name) for name in ("pg1", "pg2", "pg3"))
HOSTS = {PG1: "192.0.2.11", PG2: "192.0.2.12", PG3: "192.0.2.13"}
PAIR = Policy(nodes={name: NodePolicy(HOSTS[name]) for name in (PG1, PG2)})
TRIO = Policy(nodes={name: NodePolicy(HOSTS[name]) for name in (PG1, PG2, PG3)})
SYSTEM = SystemIdentifier("7000000000000000001")
HERE = 0x5000000
"""Where the primary's WAL ends."""
WORDS = Evidence("said")
OWN = SavedSettings((("primary_conninfo", "host=192.0.2.11"),))

NodeIs = Callable[[NodeName, float], NodeReport]
Asked = TypeVar("Asked", bound=Effect)


def look(outcome: Outcome, at: float, took: float = 0.01) -> Look:
    return Look(outcome, Instant(at), Instant(at + took))


def server(at: float, *, in_recovery: bool, lsn: int = HERE, timeline: int = 1) -> ServerFacts:
    return ServerFacts(
        seen_at=Instant(at),
        system_identifier=SYSTEM,
        in_recovery=in_recovery,
        timeline=Timeline(timeline),
        version=160004,
        postmaster_started="1700000000",
        backend_pid=11,
        data_directory="/data",
        written_lsn=None if in_recovery else Lsn(lsn),
        received_lsn=Lsn(lsn) if in_recovery else None,
        replayed_lsn=Lsn(lsn) if in_recovery else None,
    )


def host(
    at: float,
    *,
    runs: bool = True,
    control: ControlState = ControlState.IN_PRODUCTION,
    boot: str = "boot",
    guard: Guard = Guard.NONE,
    epoch: int = 0,
    socket: Outcome = Outcome.NOT_TRIED,
    checkpoint: int = HERE - 1000,
    timeline: int = 1,
) -> HostReport:
    facts = HostFacts(
        seen_at=Instant(at),
        boot_id=boot,
        uptime_s=1000.0,
        user="postgres",
        directory_identity="8:1",
        system_identifier=SYSTEM,
        control_state=control,
        control_timeline=Timeline(timeline),
        checkpoint_lsn=Lsn(checkpoint),
        processes=((10, "S"), (11, "S")) if runs else (),
        postmaster_pid=10 if runs else None,
        postmaster_started="1700000000",
        listener=runs,
        guard=guard,
        guard_epoch=None,
        epoch=Epoch(epoch),
    )
    return HostReport(look(Outcome.OK, at), facts, look(socket, at))


def report(
    name: NodeName,
    at: float,
    sql: Outcome,
    facts: ServerFacts | None = None,
    on_host: HostReport | None = None,
    **more: object,
) -> NodeReport:
    taken = 1.0 if sql is Outcome.TIMED_OUT else 0.01
    held = Outcome.OK if sql is Outcome.OK else Outcome.LOST
    whole = NodeReport(
        name, int(at * 10) + 1, Instant(at), look(held, at), look(sql, at, taken),
        facts, facts, host=on_host or HostReport(),
    )  # fmt: skip
    return replace(whole, **more)  # type: ignore[arg-type]


def healthy(
    lsn: int = HERE,
    *,
    timeline: int = 1,
    sync: str = "",
    senders: tuple[Sender, ...] = (),
    epoch: int = 0,
    **more: object,
) -> NodeIs:
    def node(name: NodeName, at: float) -> NodeReport:
        facts = server(at, in_recovery=False, lsn=lsn, timeline=timeline)
        facts = replace(facts, synchronous_standby_names=sync, senders=senders, **more)  # type: ignore[arg-type]
        wrote = look(Outcome.OK, at)
        return report(name, at, Outcome.OK, facts, host(at, epoch=epoch), write=wrote)

    return node


def dead(control: ControlState = ControlState.IN_PRODUCTION, **more: object) -> NodeIs:
    """Its host answers: nothing of it runs."""

    def node(name: NodeName, at: float) -> NodeReport:
        on_host = host(at, runs=False, control=control, socket=Outcome.REFUSED, **more)  # type: ignore[arg-type]
        return report(name, at, Outcome.REFUSED, None, on_host)

    return node


def hung(socket: Outcome = Outcome.TIMED_OUT) -> NodeIs:
    """Its processes are there, and say nothing."""
    return lambda name, at: report(
        name, at, Outcome.TIMED_OUT, None, host(at, socket=socket), held=look(Outcome.TIMED_OUT, at)
    )


def gone() -> NodeIs:
    """Neither it nor its host answers."""
    return lambda name, at: report(
        name, at, Outcome.TIMED_OUT, None, HostReport(look(Outcome.TIMED_OUT, at))
    )


def says(outcome: Outcome) -> NodeIs:
    """It answers with a refusal of this kind."""
    return lambda name, at: report(name, at, outcome, None, host(at), held=look(outcome, at))


def streaming(
    lag: int = 0,
    *,
    age: float = 0.1,
    upstream: str = HOSTS[PG1],
    timeline: int = 1,
    reach: Outcome = Outcome.NOT_TRIED,
    **more: object,
) -> NodeIs:
    def node(name: NodeName, at: float) -> NodeReport:
        facts = server(at, in_recovery=True, lsn=HERE - lag, timeline=timeline)
        receiver = Receiver("streaming", upstream, 5432, age)
        facts = replace(facts, **{"receiver": receiver, **more})  # type: ignore[arg-type]
        return report(name, at, Outcome.OK, facts, host(at), reach_primary=look(reach, at))

    return node


def cut_off(lag: int = 0, *, reach: Outcome = Outcome.REFUSED, **more: object) -> NodeIs:
    """A standby whose stream has ended, and whose host tried the primary."""
    return streaming(lag, reach=reach, **{"receiver": None, **more})  # type: ignore[arg-type]


def held_down(name: NodeName, at: float) -> NodeReport:
    """The old primary, started by somebody under our guard."""
    facts = server(at, in_recovery=True)
    return report(name, at, Outcome.OK, facts, host(at, guard=Guard.OURS))


def frozen_elsewhere(name: NodeName, at: float) -> NodeReport:
    """A standby that another daemon has frozen."""
    seen = cut_off()(name, at)
    assert seen.server is not None
    facts = replace(seen.server, primary_slot_name="failoverd_frozen_7")
    return replace(seen, server=facts, last_server=facts)


def sender(node: NodeName, sync: str = "async", lsn: int = HERE, *, name: str = "") -> Sender:
    """What the primary says of a standby that streams; it calls itself by its node's name."""
    return Sender(name or node, HOSTS[node], "streaming", sync, Lsn(lsn))


def view(
    primary: NodeIs, standby: NodeIs, third: NodeIs | None = None, at: float = 0
) -> ClusterView:
    nodes = {PG1: primary(PG1, at), PG2: standby(PG2, at)}
    if third is not None:
        nodes[PG3] = third(PG3, at)
    return ClusterView(nodes)


def proof(
    at: float,
    *,
    epoch: int = 1,
    control: ControlState = ControlState.IN_PRODUCTION,
    checkpoint: int | None = None,
    node: NodeName = PG1,
    kind: ProofKind = ProofKind.STOPPED,
) -> FenceProof:
    shut = Lsn(checkpoint) if checkpoint is not None else None
    return FenceProof(kind, node, Epoch(epoch), Instant(at), control, shut, WORDS)


FAILED = EffectFailed("unknown", Evidence("no answer"), "do it by hand")
ALIVE = StillAlive(Evidence("it answers"))


@dataclass
class Daemon:
    """Steps as the supervisor makes them; keeps what is asked for now."""

    policy: Policy = PAIR
    machine: Machine = field(default_factory=Machine)
    at: float = 100.0
    wall_ahead: float = 1_700_000_000.0
    last: Step | None = None

    @property
    def now(self) -> Now:
        return Now(Instant(self.at), WallTime(self.at + self.wall_ahead))

    @property
    def state(self) -> State:
        return self.machine.state

    @property
    def asks(self) -> tuple[Effect, ...]:
        """What it wants done; what only one of two primaries has is counted beside that."""
        wanted = asks(self.machine, self.policy)
        return tuple(effect for effect in wanted if not isinstance(effect, MeasureDivergence))

    def happens(self, event: Event) -> Daemon:
        self.last = step(self.machine, event, self.now, self.policy)
        self.machine = self.last.machine
        return self

    def sees(
        self, primary: NodeIs, standby: NodeIs, third: NodeIs | None = None, after: float = 1.0
    ) -> Daemon:
        self.at += after
        return self.happens(Observed(view(primary, standby, third, self.at)))

    def wakes(self, after: float) -> Daemon:
        self.at += after
        return self.happens(Woke())

    def told(self, command: Command) -> Daemon:
        return self.happens(command)

    def asked(self, kind: type[Asked]) -> list[Asked]:
        """What of that kind it wants done now."""
        return [effect for effect in self.asks if isinstance(effect, kind)]

    def restarted(self, away_s: float = 0.0) -> Daemon:
        """Killed, and another process goes on with its journal, so many seconds later."""
        self.at += away_s
        self.machine = restored(self.machine, self.now.monotonic, away_s)
        return self

    def answered(self, kind: type[Effect], result: Result, visit: int | None = None) -> Daemon:
        """The first effect of that kind that is asked for now is answered."""
        asked = self.asked(kind)[0]
        return self.happens(Replied(self.machine.visit if visit is None else visit, asked, result))

    def fenced(self, **more: object) -> Daemon:
        found = proof(self.at, epoch=self.machine.epoch, **more)  # type: ignore[arg-type]
        return self.answered(Fence, Fenced(found))

    def froze(self, positions: Mapping[NodeName, int]) -> Daemon:
        """Every standby that is to be frozen: its settings are read, then it stands still."""
        for node, lsn in positions.items():
            ask = next(effect for effect in self.asked(ReadSettings) if effect.node == node)
            self.happens(Replied(self.machine.visit, ask, SettingsRead(OWN, WORDS)))
            freeze = next(effect for effect in self.asked(Freeze) if effect.node == node)
            frozen = Frozen(node, Lsn(lsn), Timeline(0), OWN)
            self.happens(Replied(self.machine.visit, freeze, FrozenAt(frozen, WORDS)))
        return self


def watching(policy: Policy = PAIR, *, primary: NodeIs | None = None) -> Daemon:
    """A daemon that has watched a healthy cluster for three seconds, calibrated."""
    daemon = Daemon(policy)
    third = streaming() if PG3 in policy.nodes else None
    for _ in range(3):
        daemon.sees(primary or healthy(), streaming(), third)
    return daemon


def crashed(policy: Policy = PAIR) -> Daemon:
    """Two looks 200 ms apart have found the primary dead: it is being fenced."""
    third = cut_off() if PG3 in policy.nodes else None
    return watching(policy).sees(dead(), cut_off(), third).sees(dead(), cut_off(), third, 0.21)
