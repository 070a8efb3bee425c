"""What would be done if the primary died this second, and what stands in the way."""

from __future__ import annotations

from dataclasses import dataclass

from failoverd.core.decision import cooldown_remaining_s, terms_of
from failoverd.core.election import elect
from failoverd.core.events import Now
from failoverd.core.policy import Mode, Policy
from failoverd.core.situation import Machine
from failoverd.core.states import Paused


@dataclass(frozen=True, slots=True)
class Outlook:
    would: str
    why: str
    obstacles: tuple[str, ...]


def outlook(m: Machine, now: Now, policy: Policy) -> Outlook:
    """A trial election on the facts as they are, and every rule that would hold it back."""
    if m.memory.primary is None:
        return Outlook("nothing", "the primary is not known yet", ("no primary is known",))
    election = elect(m.view, m.memory, policy, terms_of(None, policy, None, None))
    obstacles: list[str] = []
    if election.candidate is None:
        obstacles.append(f"no candidate: {election.sentence}")
    if m.memory.primary not in m.memory.calibrations:
        obstacles.append(
            f"no fence proof: the host of {m.memory.primary} has not seen its server alive yet"
        )
    if not m.memory.seen_healthy:
        obstacles.append("the primary was never seen healthy")
    remaining = cooldown_remaining_s(m, now, policy)
    if remaining > 0:
        obstacles.append(f"cooldown for another {remaining:.0f} s (failoverd ack ends it)")
    if isinstance(m.state, Paused):
        obstacles.append(f"paused by {m.state.by} (failoverd resume ends it)")
    if policy.mode is not Mode.AUTOMATIC:
        obstacles.append(f"mode is {policy.mode}: it would wait for an operator")
    if election.candidate is None:
        return Outlook("nothing", "no standby could take over", tuple(obstacles))
    would = f"fence {m.memory.primary} and promote {election.candidate}"
    loss = election.loss.sentence if election.loss is not None else "unknown"
    return Outlook(would, f"{election.sentence}; would be lost: {loss}", tuple(obstacles))
