"""What must hold of the applications' ways: where they lead, and for how long they are closed."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field

from failoverd.core.model import NodeName, Outcome
from failoverd.core.states import Reverting
from tests.sim.daemon import Daemon
from tests.sim.reach import connect_outcome
from tests.sim.ways import Way
from tests.sim.world import World

OPEN_S = 4.0


@dataclass(slots=True)
class Led:
    world: World
    fail: Callable[[str], None]
    closed_since: dict[tuple[str, str], float] = field(default_factory=dict[tuple[str, str], float])

    def redirected(self, way: Way, d: Daemon, promoted: NodeName | None) -> None:
        """Applications are sent to whoever was promoted last, and to nobody before that."""
        name = way.leads_to
        assert name is not None
        server = self.world.server(name)
        if server.recovery and not server.standby_signal:
            self.fail(f"{d.name} sends applications to {name}, which is no primary")
        if promoted not in (None, name):
            self.fail(f"{d.name} sends applications to {name}, and {promoted} was promoted")

    def sample(self, d: Daemon) -> None:
        """On the way back a way is opened at once, and not when the guard is gone."""
        m, now = d.machine, self.world.now
        name = m.memory.primary
        for way in self.world.ways.values():
            serves = name is not None and connect_outcome(self.world, d.name, name) is Outcome.OK
            waits = way.leads_to is None and not way.down and isinstance(m.state, Reverting)
            if not (waits and serves) or d.journal_fails:
                self.closed_since.pop((d.name, way.name), None)
            elif now - self.closed_since.setdefault((d.name, way.name), now) > OPEN_S:
                self.fail(f"{d.name} leaves {way.name} closed to {name}, which is well")
