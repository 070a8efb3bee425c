"""When a failover may begin, and what must be so when it is confirmed."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field

from failoverd.core.events import Trigger
from failoverd.core.model import Epoch, NodeName
from failoverd.core.policy import Mode
from failoverd.core.situation import Machine
from failoverd.core.states import Confirming, Fencing
from tests.sim.beliefs import Beliefs
from tests.sim.daemon import Daemon
from tests.sim.losses import Losses
from tests.sim.sights import Sights
from tests.sim.world import World

ANSWERED_S = 0.05
"""Whoever dies between its answer and the step that believes it was confirmed rightly."""


@dataclass(slots=True)
class Known:
    """What is remembered of one daemon, over all its lives."""

    epochs: list[int] = field(default_factory=list[int])
    confirmed_at: float | None = None
    forward_then: float = 0.0
    automatic: int = 0
    saw_well: set[NodeName] = field(default_factory=set[NodeName])
    state_metric: str = ""
    stood: set[tuple[Epoch, NodeName]] = field(default_factory=set[tuple[Epoch, NodeName]])
    """Whom it has heard to be frozen, in which incident."""


@dataclass(slots=True)
class Failovers:
    world: World
    fail: Callable[[str], None]
    sights: Sights
    beliefs: Beliefs
    losses: Losses
    wrote_at: dict[NodeName, float] = field(default_factory=dict[NodeName, float])
    """When whoever was promoted wrote for its confirmation."""

    def begins(self, d: Daemon, known: Known, after: Machine, *, alone: bool) -> None:
        assert isinstance(after.state, Fencing)
        incident, primary = after.state.incident, after.state.primary
        if known.epochs and incident.epoch <= max(known.epochs):
            self.fail(f"{d.name}: epoch {incident.epoch} was used before")
        known.epochs.append(incident.epoch)
        self.beliefs.begins(d, after, primary)
        if alone and not self._somebody(d, primary):
            self.fail(f"{d.name} fences {primary}, and nobody could take over")
        if incident.trigger is not Trigger.AUTOMATIC:
            return
        if d.policy.mode is not Mode.AUTOMATIC:
            self.fail(f"{d.name} begins a failover by itself, and its mode is {d.policy.mode}")
        if primary not in known.saw_well:
            self.fail(f"{d.name} fences {primary}, which it has never seen healthy")
        jumped = d.wall_forward > known.forward_then
        self._in_haste(d, primary, incident.diagnosis)
        if known.confirmed_at is not None and not jumped:
            passed = self.world.now - known.confirmed_at
            if passed < d.policy.cooldown_s - 0.01:
                self.fail(f"{d.name} begins a failover {passed:.1f} s after the last one")
        if known.automatic >= d.policy.max_per_day and not jumped:
            self.fail(f"{d.name} begins its failover number {known.automatic + 1} of the day")

    def _somebody(self, d: Daemon, primary: NodeName) -> bool:
        """A standby of this cluster that this daemon could reach in the last seconds.

        One whose postmaster is suspended answers in a held session, as if it were well: that it
        could take nothing over is known by its host alone.
        """
        now, system = self.world.now, self.world.server(primary).system
        return any(
            s.name != primary
            and s.recovery
            and s.system == system
            and (
                now - self.sights.spoke_at.get((d.name, s.name), -9.0) < 3.0
                or (
                    now - self.beliefs.host_at.get((d.name, s.name), -9.0) > 3.0
                    and self.beliefs.holds(d, s.name)
                )
            )
            for s in self.world.servers()
        )

    def _in_haste(self, d: Daemon, primary: NodeName, diagnosis: str) -> None:
        """What is conclusive takes two looks; what is not, the whole threshold."""
        now, server = self.world.now, self.world.server(primary)
        host, key = self.world.hosts[primary], (d.name, primary)
        crashed = diagnosis == "crashed" and not server.processes and host.runs
        if crashed and now - self.sights.died_at.get(primary, 0.0) < 0.19:
            self.fail(f"{d.name} begins after one look at {primary}")
        if (
            server.processes
            and host.runs
            and self.sights.silent_at.get(key, 0.0) == self.sights.bad_at.get(key)
        ):
            well = [t for t in (self.sights.ok_at.get(key, 0.0),) if t]
            since = d.policy.threshold_s - d.policy.interval_s - 0.35
            if well and 1.1 < now - well[-1] < since:
                self.fail(f"{d.name} begins {now - well[-1]:.1f} s after {primary} was well")
        seen = self.sights.boots.get(key)
        dead = crashed and self.world.both_ways(d.name, primary)
        another = seen is not None and seen != host.boot
        if dead and another and not (host.ssh_broken or host.agent):
            self.fail(f"{d.name} begins by a look of another boot of {primary}")

    def confirmed(self, d: Daemon, known: Known, before: Machine, after: Machine) -> None:
        assert isinstance(before.state, Confirming)
        candidate = before.state.candidate
        server = self.world.server(candidate)
        incident = before.incident
        if incident is None or incident.trigger is not Trigger.SWITCHOVER:
            known.confirmed_at, known.forward_then = self.world.now, d.wall_forward
        if incident is not None and incident.trigger is Trigger.AUTOMATIC:
            known.automatic += 1
        if self.world.hands or self.world.lied:
            return
        just_now = self.world.now - self.wrote_at.get(candidate, -9.0) < ANSWERED_S
        if server.recovery or not (server.may_commit() or just_now):
            self.fail(f"{candidate} is confirmed, and takes no commits")
        self.losses.promises_kept(d, before, server)
        self.losses.said(d, before, after)
