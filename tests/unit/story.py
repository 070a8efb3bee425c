"""A failover as the core tells it: real steps over scripted views and answers."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field, replace

from failoverd.core.asked import effects
from failoverd.core.effects import (
    Checkpoint,
    Confirm,
    Effect,
    Equip,
    Fence,
    Freeze,
    KeepDown,
    Promote,
    Quarantine,
    ReadSettings,
    Redirect,
    Rejoin,
    Repoint,
    Retire,
    Salvage,
    Thaw,
    Unfence,
    Unguard,
    node_of,
)
from failoverd.core.events import (
    Confirmed,
    EffectFailed,
    Equipped,
    Event,
    Fenced,
    FrozenAt,
    KeptDown,
    NotConfigured,
    Now,
    Observed,
    Promoted,
    Quarantined,
    Replied,
    Repointed,
    Result,
    Retired,
    SettingsRead,
    StillAlive,
    Thawed,
    Unfenced,
    Unguarded,
)
from failoverd.core.incident import Entry, describe
from failoverd.core.model import (
    ClusterView,
    CommandRun,
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
    RungTried,
    SavedSettings,
    ServerFacts,
    SystemIdentifier,
    Timeline,
    WalLoss,
    WallTime,
)
from failoverd.core.policy import NodePolicy, Policy
from failoverd.core.replication import Receiver
from failoverd.core.schedule import Checkpointed, Rejoined
from failoverd.core.situation import Machine
from failoverd.core.step import step
from failoverd.core.wal_answers import Salvaged

PG1, PG2 = NodeName("pg1"), NodeName("pg2")
ADDRESSES = {PG1: "192.0.2.11", PG2: "192.0.2.12"}
POLICY = Policy({name: NodePolicy(host) for name, host in ADDRESSES.items()})
SYSTEM = SystemIdentifier("7123456789012345678")
SAVED = SavedSettings((("primary_conninfo", "host=192.0.2.11 password=hunter2"),))
WALL = 1_700_000_000.0


def look(outcome: Outcome, at: float, detail: str = "") -> Look:
    return Look(outcome, Instant(at), Instant(at + 0.01), detail)


def server(at: float, *, in_recovery: bool, lsn: int, timeline: int = 1) -> ServerFacts:
    return ServerFacts(
        seen_at=Instant(at),
        system_identifier=SYSTEM,
        in_recovery=in_recovery,
        timeline=Timeline(timeline),
        version=160004,
        postmaster_started="1699990000",
        backend_pid=77,
        data_directory="/data",
        written_lsn=None if in_recovery else Lsn(lsn),
        received_lsn=Lsn(lsn) if in_recovery else None,
        replayed_lsn=Lsn(lsn) if in_recovery else None,
        receiver=Receiver("streaming", "192.0.2.11", 5432, 0.1) if in_recovery else None,
        replay_lag_s=0.25 if in_recovery else None,
    )


def host(at: float, *, running: bool) -> HostReport:
    facts = HostFacts(
        seen_at=Instant(at),
        boot_id="b",
        uptime_s=1000.0,
        user="postgres",
        directory_identity="8:1:42",
        system_identifier=SYSTEM,
        control_state=ControlState.IN_PRODUCTION,
        control_timeline=Timeline(1),
        checkpoint_lsn=Lsn(0x3000028),
        processes=((70, "S"), (77, "S")) if running else (),
        postmaster_pid=70 if running else None,
        postmaster_started="1699990000" if running else "",
        listener=running,
        guard=Guard.NONE,
        guard_epoch=None,
        epoch=Epoch(0),
    )
    return HostReport(look(Outcome.OK, at), facts)


def well(name: NodeName, number: int, at: float, lsn: int = 0x3000148) -> NodeReport:
    facts = server(at, in_recovery=name == PG2, lsn=lsn)
    ok = look(Outcome.OK, at)
    return NodeReport(
        name, number, Instant(at), ok, ok, facts, facts, ok if name == PG1 else Look(),
        host(at, running=True),
    )  # fmt: skip


def dead(name: NodeName, number: int, at: float) -> NodeReport:
    refused = look(Outcome.REFUSED, at, "Connection refused")
    lost = look(Outcome.LOST, at, "server closed the connection unexpectedly")
    return NodeReport(name, number, Instant(at), lost, refused, host=host(at, running=False))


@dataclass
class Story:
    """Steps, each journaled as the daemon would."""

    machine: Machine = field(default_factory=Machine)
    policy: Policy = POLICY
    at: float = 100.0
    steps: list[tuple[Machine, Event, Machine, Entry | None, Now]] = field(default_factory=list)
    rounds: int = 0

    @property
    def now(self) -> Now:
        return Now(Instant(self.at), WallTime(WALL + self.at))

    @property
    def entries(self) -> list[Entry]:
        return [entry for _, _, _, entry, _ in self.steps if entry is not None]

    def happens(self, event: Event, after_s: float = 0.02) -> Machine:
        self.at += after_s
        before = self.machine
        self.machine = step(before, event, self.now, self.policy).machine
        entry = describe(before, event, self.machine, self.policy)
        self.steps.append((before, event, self.machine, entry, self.now))
        return self.machine

    def sees(self, *reports: NodeReport) -> Machine:
        return self.happens(Observed(ClusterView({r.name: r for r in reports})))

    def all_well(self, rounds: int = 3) -> Story:
        for _ in range(rounds):
            self.rounds += 1
            self.at += 1
            self.sees(well(PG1, self.rounds, self.at), well(PG2, self.rounds, self.at))
        return self

    def primary_dies(self) -> Story:
        """Seen in two conclusive looks, 0.2 s apart."""
        for _ in range(2):
            self.rounds += 1
            self.at += 0.25
            standby = well(PG2, self.rounds, self.at)
            assert standby.server is not None
            lost = replace(standby.server, receiver=None)
            standby = replace(standby, server=lost, last_server=lost)
            self.sees(dead(PG1, self.rounds, self.at), standby)
        return self

    def stumbles(self) -> Story:
        """The primary does not answer in one round, and its host says that it runs."""
        self.rounds += 1
        self.at += 1
        silent = look(Outcome.TIMED_OUT, self.at, "no answer")
        primary = replace(well(PG1, self.rounds, self.at), held=silent, fresh=silent, server=None)
        self.sees(primary, well(PG2, self.rounds, self.at))
        return self

    def answers(self, *results: type, limit: int = 30) -> Story:
        """Answer what is asked, until nothing is; `results` replace the good answers."""
        other = {kind.__name__: kind for kind in results}
        for _ in range(limit):
            asked = effects(self.machine)
            if not asked:
                return self
            self.happens(Replied(self.machine.visit, asked[0], answer(asked[0], self.now, other)))
        return self


def evidence(sentence: str, node: NodeName = PG1, *rungs: RungTried) -> Evidence:
    run = CommandRun(node, "kill -0 70\n", "no such process `70`\n```\n", 0.031, 1)
    return Evidence(sentence, (run,), rungs)


def fenced(effect: Fence, now: Now, other: dict[str, type]) -> Fenced | StillAlive:
    node = effect.node
    if "StillAlive" in other:
        tried = RungTried("stop", "still_alive")
        return StillAlive(evidence(f"a postmaster runs on {node}", PG1, tried))
    tried = RungTried("stop", "fenced")
    proof = FenceProof(
        ProofKind.STOPPED, node, effect.epoch, now.monotonic, ControlState.IN_PRODUCTION, None,
        evidence("no process of its data directory is left", PG1, tried),
    )  # fmt: skip
    return Fenced(proof)


def answer(effect: Effect, now: Now, other: dict[str, type]) -> Result:
    said = evidence(f"{type(effect).__name__} was done", node_of(effect))
    match effect:
        case Fence():
            return fenced(effect, now, other)
        case ReadSettings() if "EffectFailed" in other:
            return EffectFailed("not_read", evidence("its settings could not be read"))
        case ReadSettings():
            return SettingsRead(SAVED, said)
        case Freeze(node=node, saved=saved):
            return FrozenAt(Frozen(node, Lsn(0x3000148), Timeline(1), saved), said)
        case Salvage() if "Salvaged" in other:
            return Salvaged(WalLoss(0, True, "nothing"), said)
        case Salvage():
            return NotConfigured(Evidence("salvage: not configured"))
        case Promote():
            return Promoted(said)
        case Confirm():
            lines = ("LOG:  received promote request", "LOG:  selected new timeline ID: 2")
            return Confirmed(Timeline(2), Lsn(0x3000200), False, lines, "", said)
        case Redirect():
            return NotConfigured(Evidence("redirect: not configured"))
        case _:
            return SIMPLY[type(effect)](said)


SIMPLY: dict[type[Effect], Callable[[Evidence], Result]] = {
    Thaw: Thawed,
    Unguard: Unguarded,
    Unfence: Unfenced,
    Quarantine: Quarantined,
    KeepDown: KeptDown,
    Repoint: Repointed,
    Equip: Equipped,
    Retire: Retired,
    Rejoin: Rejoined,
    Checkpoint: Checkpointed,
}


def failover() -> Story:
    """Three good rounds, a crash, and the whole procedure."""
    return Story().all_well().primary_dies().answers()


def lines(story: Story) -> Iterator[str]:
    for entry in story.entries:
        yield f"{entry.from_state}->{entry.to_state} [{entry.trigger}] {entry.sentence}"
