"""What must come of it: one confirmed primary, or a reason to stand still that the world bears out.

Reasons that only a human can end are told apart from a daemon that does not come to its end.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from failoverd.core.jobs import TO_FOLLOW, Job
from failoverd.core.leadership import frozen_slot
from failoverd.core.model import Epoch, NodeName
from failoverd.core.policy import Mode
from failoverd.core.situation import Machine
from failoverd.core.states import Blocked, BlockReason, Suspect, Watching, name_of
from tests.sim.daemon import Daemon
from tests.sim.postgres import Host
from tests.sim.world import World

BOUND_S = 90.0
"""After the last fault is over: by then one confirmed primary, or a reason that is true."""


@dataclass(frozen=True, slots=True)
class Rest:
    world: World
    daemons: list[Daemon]
    forgot: set[str]
    """Whose journal was lost, and with it what they owed."""
    fail: Callable[[str], None]

    @property
    def settled(self) -> bool:
        return self.nobody_leads() is None and not any(map(self.unsettled, self.daemons))

    def nobody_leads(self) -> str | None:
        """Of daemons that share a lease."""
        waits = self.world.store is not None and not any(d.alive for d in self.daemons)
        return "no daemon leads" if waits else None

    def unsettled(self, d: Daemon) -> str | None:
        """Why this daemon has not come to rest with one confirmed primary; None: it has."""
        if not d.alive and self.world.store is not None:
            return None
        m = d.machine
        if not isinstance(m.state, Watching):
            why = f" ({m.state.reason}: {m.state.why})" if isinstance(m.state, Blocked) else ""
            return f"{d.name} is {name_of(m.state)}{why}"
        writers = [
            s.name for s in self.world.servers() if s.may_commit() and s.system == self._system
        ]
        if writers != [m.memory.primary]:
            return f"{d.name} watches {m.memory.primary}, and {writers} take commits"
        led = {way.leads_to for way in self.world.ways.values()}
        if led - {m.memory.primary}:
            return f"{d.name} watches {m.memory.primary}, and applications are led to {led}"
        for host in self.world.hosts.values() if d.name not in self.forgot else ():
            job = m.jobs[host.name].job if host.name in m.jobs else None
            server = host.server
            frozen = server.slot.startswith("failoverd_frozen_") and server.postmaster
            if (
                frozen
                and server.recovery
                and job not in TO_FOLLOW
                and not self._kept_by_other(d, host)
                and not self._frozen_by_who_forgot(host)
            ):
                return f"{host.name} is frozen, and {d.name} owes it {job}"
            if job is Job.OWED_THAW and host.name not in m.saved:
                return f"{d.name} owes {host.name} a thaw, and has not frozen it"
            reached = host.runs and self.world.both_ways(d.name, host.name)
            owed = job is Job.OWED_GUARD and d.policy.mode is Mode.AUTOMATIC
            if owed and reached and not self._guarded_by_other(d, host):
                return f"{host.name} is within reach, and {d.name} has not guarded it"
            ours = server.standby_signal and server.marker is not None
            # Who follows the primary is its standby by right by now, whatever lies beside it.
            ours = ours and server.stream is None
            if ours and job is None and not self._kept_by_other(d, host):
                return f"{host.name} is guarded, and {d.name} owes it nothing"
        return None

    @property
    def _system(self) -> str:
        return self.world.servers()[0].system

    def _kept_by_other(self, d: Daemon, host: Host) -> bool:
        return any(host.name in o.machine.jobs for o in self.daemons if o is not d and o.alive)

    def _frozen_by_who_forgot(self, host: Host) -> bool:
        """By one of two that know nothing of each other, whose journal was lost since."""
        frozen = frozen_slot(Epoch(host.epoch), host.owner)
        return host.owner in self.forgot and host.server.slot == frozen

    def _guarded_by_other(self, d: Daemon, host: Host) -> bool:
        """Down, and guarded by one that keeps it so; its later number bars everybody else there."""
        server = host.server
        marker = server.marker if server.standby_signal else None
        later = marker is not None and marker[0] > d.machine.epoch and marker[1] != d.owner
        return later and not server.processes and self._kept_by_other(d, host)

    def ends_in_order(self) -> None:
        waits = self.nobody_leads()
        if waits is not None:
            self.fail(f"after {BOUND_S:.0f} s without trouble: {waits}")
        for d in self.daemons:
            why = self.unsettled(d)
            if why is not None and not self._true_reason(d):
                self.fail(f"after {BOUND_S:.0f} s without trouble: {why}")

    def _true_reason(self, d: Daemon) -> bool:
        """Reasons to stand still that only a human can end, where the world bears them out."""
        m, world = d.machine, self.world
        if isinstance(m.state, Watching) and not world.lied and not self._turned_on_again():
            return False
        if world.hands or world.lied or any(s.powered_off for s in world.servers()):
            return True
        if d.policy.mode is not Mode.AUTOMATIC:
            return True
        primary = m.memory.primary
        if primary is None and not any(s.may_commit() for s in world.servers()):
            return True  # it has never known who the primary is: rule 15 says to wait
        if len(self.daemons) > 1 and world.store is None:
            # Two that know nothing of each other may wait for an operator (decision 11).
            return isinstance(m.state, Blocked | Suspect)
        if primary is not None and not self._calibrated(d, primary):
            return True  # its host's look has not seen this life of it: silence proves nothing
        if not isinstance(m.state, Blocked):
            return False
        match m.state.reason:
            case BlockReason.TOO_MANY_FAILOVERS | BlockReason.NEVER_SEEN_HEALTHY:
                return True
            case BlockReason.NO_CANDIDATE | BlockReason.LOSS_TOO_LARGE:
                return True
            case BlockReason.UNCONFIRMED:  # promoted, and dead before it was confirmed
                return not any(world.server(n).processes for n in m.asked)
            case BlockReason.PROMOTION_PENDING:
                # Promoted all the same, and down before that was seen: it may have acknowledged
                # commits, so nobody else may be asked, and only somebody there can start it.
                return any(self._promoted_and_down(m, n) for n in m.asked)
            case _:
                return False

    def _promoted_and_down(self, m: Machine, name: NodeName) -> bool:
        server = self.world.server(name)
        later = server.timeline > m.memory.timeline
        return later and not server.standby_signal and not server.processes

    def _turned_on_again(self) -> bool:
        return any(s.powered_off and s.processes for s in self.world.servers())

    def _calibrated(self, d: Daemon, name: NodeName) -> bool:
        known, host = d.machine.memory.calibrations.get(name), self.world.hosts[name]
        return known is not None and known.boot_id == f"{name}-{host.boot}"
