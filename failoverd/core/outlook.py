"""What would be done if the primary died this second, and what stands in the way."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from failoverd.core.decision import cooldown_remaining_s, trial
from failoverd.core.events import Now
from failoverd.core.model import Instant, NodeName, Outcome
from failoverd.core.operator import beside, in_procedure
from failoverd.core.policy import Mode, Policy
from failoverd.core.situation import Machine
from failoverd.core.states import Paused, name_of

DAY_S = 86400.0


@dataclass(frozen=True, slots=True)
class Outlook:
    would: str
    why: str
    obstacles: tuple[str, ...]
    by_looks: tuple[str, ...] = ()
    """Of the obstacles, those that the latest looks alone are the reason of."""


@dataclass(frozen=True, slots=True)
class Steady:
    """Since when looks have stood in the way of a failover, one or the other, without a break."""

    since: Instant | None = None

    def lasting(self, found: Outlook, now: Instant, policy: Policy) -> tuple[Steady, bool]:
        """And whether a failover may be called impossible by now.

        One look that was late, perhaps by our own fault, is none: it takes as long as the watch
        itself waits before it takes a silence for one.
        """
        if not found.by_looks:
            return Steady(), bool(found.obstacles)
        since = now if self.since is None else self.since
        by_rules = len(found.obstacles) > len(found.by_looks)
        return Steady(since), by_rules or now - since >= policy.failures * policy.interval_s


def outlook(m: Machine, now: Now, policy: Policy) -> Outlook:
    """A trial election on the facts as they are, and every rule that would hold it back."""
    if m.memory.primary is None:
        return Outlook("nothing", "the primary is not known yet", ("no primary is known",))
    election = trial(None, m, policy)
    rules, by_looks = tuple(rules_in_the_way(m, now, policy)), _without_proof(m, m.memory.primary)
    if election.candidate is None:
        by_looks = (*by_looks, f"no candidate: {election.sentence}")
        return Outlook("nothing", "no standby could take over", (*rules, *by_looks), by_looks)
    would = f"fence {m.memory.primary} and promote {election.candidate}"
    loss = election.loss.sentence if election.loss is not None else "unknown"
    why = f"{election.sentence}; would be lost: {loss}"
    return Outlook(would, why, (*rules, *by_looks), by_looks)


def rules_in_the_way(m: Machine, now: Now, policy: Policy) -> Iterator[str]:
    """Why no automatic failover would be begun, whoever could take over."""
    if in_procedure(m):
        yield f"a failover is under way ({name_of(m.state)})"
    if isinstance(m.state, Paused):
        yield f"paused by {m.state.by} (failoverd resume ends it)"
    if beside(m):
        yield f"{beside(m)}: beside another manager this daemon only observes"
    elif policy.mode is not Mode.AUTOMATIC:
        yield f"mode is {policy.mode}: it would wait for an operator"
    if not m.memory.seen_healthy:
        yield "the primary was never seen healthy"
    remaining = cooldown_remaining_s(m, now, policy)
    if remaining > 0:
        yield f"cooldown for another {remaining:.0f} s (failoverd ack ends it)"
    today = [at for at in m.failovers if at > now.wall - DAY_S]
    if len(today) >= policy.max_per_day:
        yield f"{len(today)} automatic failovers in a day are enough (failoverd ack starts anew)"


def _without_proof(m: Machine, primary: NodeName) -> tuple[str, ...]:
    """What could not be fenced cannot be failed over from."""
    look = m.view.report(primary).host.look
    if primary not in m.memory.calibrations:
        return (f"no fence proof: the host of {primary} has not seen its server alive yet",)
    if look.outcome not in (Outcome.OK, Outcome.NOT_TRIED):
        return (f"no fence proof: the host of {primary} does not answer ({look.outcome})",)
    return ()
