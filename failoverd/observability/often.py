"""What is wanted in every step of every cluster, and need not be found anew each time."""

from __future__ import annotations

from dataclasses import dataclass, field

from failoverd.core.events import Now
from failoverd.core.model import Instant
from failoverd.core.outlook import Steady, outlook
from failoverd.core.policy import Policy
from failoverd.core.situation import Machine

OUTLOOK_EVERY_S = 5.0
"""A trial election is the dearest part of a step: while nothing that it hangs on has changed but
positions, once in so many seconds. In doubt it is made in each."""


@dataclass(slots=True)
class Possible:
    """Whether a failover of one cluster is possible now."""

    steady: Steady = field(default_factory=Steady)
    impossible: bool = False
    _of: tuple[object, ...] = ()
    _again_at: Instant = Instant(0.0)

    def look(self, m: Machine, now: Now, policy: Policy) -> bool:
        """What makes it impossible is seen at once, or `OUTLOOK_EVERY_S` later at the most."""
        of = _hangs_on(m, policy)
        if of != self._of or now.monotonic >= self._again_at:
            found = outlook(m, now, policy)
            self.steady, self.impossible = self.steady.lasting(found, now.monotonic, policy)
            doubtful = bool(found.by_looks)
            self._of, wait_s = of, 0.0 if doubtful else OUTLOOK_EVERY_S
            self._again_at = Instant(now.monotonic + wait_s)
        return self.impossible


def _hangs_on(m: Machine, policy: Policy) -> tuple[object, ...]:
    looks = [(name, one.server is None, one.host.look.ok) for name, one in m.view.nodes.items()]
    return (m.visit, m.diagnosis, m.paused_by, m.memory.primary, policy, m.jobs, *looks)
