"""How closely a round looks: what is due, what the state asks for. No I/O, no clock."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

from failoverd.core.diagnosis import ROW_OF, Calls
from failoverd.core.jobs import RECORDED
from failoverd.core.model import Instant, NodeName
from failoverd.core.policy import Policy
from failoverd.core.situation import Machine
from failoverd.core.states import Paused, Suspect, Watching
from failoverd.probe.node import Attention

HOST_LOOK_EVERY_S = 10.0


class Pacing(Protocol):
    """How often the host of a calm cluster's node is looked at, beside all the others."""

    @property
    def host_look_every_s(self) -> float: ...
    def may_look(self) -> bool: ...


class Unpaced:
    """As often as a cluster that is alone."""

    @property
    def host_look_every_s(self) -> float:
        return HOST_LOOK_EVERY_S

    def may_look(self) -> bool:
        return True


UNPACED = Unpaced()


@dataclass(slots=True)
class LookedAt:
    """When one node was last looked at in the ways that are not due in each round."""

    pace: Pacing = UNPACED
    host_at: Instant | None = None
    fresh_at: Instant | None = None
    wrote_at: Instant | None = None

    def attention(
        self,
        name: NodeName,
        now: Instant,
        machine: Machine,
        policy: Policy,
        *,
        doubt: bool,
        primary_address: tuple[str, int] | None,
    ) -> Attention:
        """Of the round that begins now; what it looks at is not due again for a while."""
        primary = machine.memory.primary
        calm = isinstance(machine.state, (Watching, Paused))
        due = (
            self.host_at is None
            or now - self.host_at >= self.pace.host_look_every_s
            or name not in machine.memory.calibrations
            or _is_back(machine, name)
        )
        host = not calm or (due and self.pace.may_look())
        if host:
            self.host_at = now
        in_doubt = doubt or not calm
        write = (
            policy.write_check
            and name == primary
            and self._write_due(now, policy, in_doubt=in_doubt)
        )
        return Attention(
            is_primary=name == primary,
            in_doubt=in_doubt,
            host=host,
            fresh=self._fresh_due(now, policy),
            write_check=write,
            primary_address=primary_address,
            timeout_s=policy.timeout_s,
        )

    def _write_due(self, now: Instant, policy: Policy, *, in_doubt: bool) -> bool:
        every = policy.write_check_interval_s
        if not in_doubt and self.wrote_at is not None and now - self.wrote_at < every:
            return False
        self.wrote_at = now
        return True

    def _fresh_due(self, now: Instant, policy: Policy) -> bool:
        # A round that begins a little early on its beat is not one too few.
        every = policy.fresh_interval_s - policy.interval_s / 2
        if self.fresh_at is not None and now - self.fresh_at < every:
            return False
        self.fresh_at = now
        return True


def _is_back(machine: Machine, name: NodeName) -> bool:
    """It streams, and counts as fenced still: its host tells whether our guard is gone."""
    server, job = machine.view.report(name).server, machine.jobs.get(name)
    streams = server is not None and server.receiver is not None and server.receiver.streams
    return streams and job is not None and job.job in RECORDED


def first_of_two(machine: Machine, policy: Policy) -> Instant | None:
    """When the first of two conclusive looks began, where the second need not wait for its beat."""
    state = machine.state
    if not isinstance(state, Suspect) or machine.memory.primary is None or not policy.fast_path:
        return None
    twice = ROW_OF[state.diagnosis].calls is Calls.AFTER_TWO_LOOKS
    return state.looked_at if twice else None
