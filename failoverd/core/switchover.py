"""A switchover: the procedure with the primary alive, without loss or not at all.

Everything is asked before anything is touched; then a checkpoint, and applications wait where
they can; only then the clean stop. Up to the promotion it goes back to the old primary.
"""

from __future__ import annotations

from dataclasses import replace

from failoverd.core.decision import begin, begun_now
from failoverd.core.diagnosis import FINE, diagnose
from failoverd.core.effects import Checkpoint, CloseTarget, Effect, ReadSettings
from failoverd.core.election import Terms, elect
from failoverd.core.events import (
    STALE_EPOCH,
    EffectFailed,
    Event,
    Now,
    Observed,
    Replied,
    Trigger,
    Woke,
)
from failoverd.core.memory import direct
from failoverd.core.model import NodeName, WallTime
from failoverd.core.policy import Mode, Policy
from failoverd.core.redirection import pauses
from failoverd.core.schedule import Checkpointed, OperatorCancels, OperatorSwitchover, Scheduled
from failoverd.core.situation import Machine
from failoverd.core.states import (
    Blocked,
    Fencing,
    Preparation,
    Reverting,
    Settling,
    Watching,
    name_of,
)
from failoverd.core.target import closed

GRACE_S = 60.0
"""A scheduled switchover that could not be begun for so long is given up."""


def obstacles(m: Machine, to: NodeName | None, p: Policy) -> tuple[str, ...]:
    """Everything that stands in the way of a switchover now; empty: it may begin."""
    primary = m.memory.primary
    if primary is None:
        return ("the primary is not known yet",)
    if to is not None and to not in p.nodes:
        return (f"no node is called {to!r}: one of {', '.join(sorted(p.nodes))}",)
    if to == primary:
        return (f"{to} is the primary already",)
    found: list[str] = []
    if not isinstance(m.state, Watching):
        found.append(f"it is {name_of(m.state)}: a switchover begins while all is well")
    if p.mode is Mode.OBSERVE or m.memory.other_managers:
        found.append("this daemon only observes")
    diagnosis = diagnose(m.view, m.memory, p)
    if diagnosis not in FINE:
        found.append(f"{primary} is {diagnosis}")
    if not m.view.report(primary).host.look.ok or primary not in m.memory.calibrations:
        found.append(f"the host of {primary} was not seen to answer: it could not be fenced")
    if not p.can_rejoin:
        found.append(
            f"{primary} could not come back as a standby: write replication: {{user: ...}}"
        )
    return (*found, *_candidate(m, to, p))


def _candidate(m: Machine, to: NodeName | None, p: Policy) -> tuple[str, ...]:
    election = elect(m.view, m.memory, p, Terms(p.switchover_max_lag_bytes, to))
    if election.candidate is None:
        return (election.sentence,)
    name = election.candidate
    primary = m.memory.primary
    assert primary is not None
    server = m.view.report(name).server
    if server is None:
        return (f"{name} does not answer",)
    found: list[str] = []
    receiver = server.receiver
    if receiver is None or not receiver.streams or not direct(receiver, primary, p):
        found.append(f"{name} does not stream from {primary}")
    if name in m.jobs:
        found.append(f"{name} is {m.jobs[name].job}")
    if not m.view.report(name).host.look.ok:
        found.append(f"the host of {name} does not answer")
    end, received = m.memory.primary_lsn, server.received_lsn
    if end is None or received is None or end - received > p.switchover_max_lag_bytes:
        found.append(f"{name} is too far behind: it has received {received} of {end}")
    elif server.replayed_lsn is not None and (
        received - server.replayed_lsn > p.switchover_max_lag_bytes
    ):
        found.append(f"{name} has replayed {server.replayed_lsn} of the {received} it received")
    return tuple(found)


def begun(m: Machine, by: str, to: NodeName | None, now: Now, p: Policy) -> Fencing | Blocked:
    """Its first step: nothing is touched in it."""
    incident = begun_now(m, Trigger.SWITCHOVER, diagnose(m.view, m.memory, p), by, to)
    first = begin(incident, m, now, p)
    if isinstance(first, Blocked):
        return first
    return replace(first, preparation=Preparation.CHECKPOINT)


def refuse_switchover(m: Machine, c: OperatorSwitchover, p: Policy) -> str | None:
    """Why it is refused: each reason of them all. What is only scheduled is asked when due."""
    if m.scheduled is not None:
        kind = "a drill is under way" if m.scheduled.home else "a switchover is scheduled"
        return f"{kind} already: failoverd switchover --cancel"
    if c.at is not None:
        unknown = c.to is not None and (c.to not in p.nodes or c.to == m.memory.primary)
        return obstacles(m, c.to, p)[0] if unknown else None
    return "; ".join(obstacles(m, c.to, p)) or None


def due(m: Machine, now: Now, p: Policy) -> Fencing | None:
    """What was scheduled and may begin now; a drill goes home when everything streams again."""
    plan = m.scheduled
    if plan is None:
        return None
    to = _next_leg(m, plan)
    waits = now.wall < plan.at if plan.home is None else to is None or bool(m.jobs)
    if waits or obstacles(m, to, p):
        return None
    first = begun(m, plan.by, to, now, p)
    return None if isinstance(first, Blocked) else first


def _next_leg(m: Machine, plan: Scheduled) -> NodeName | None:
    """Of a drill: home, once it is away."""
    if plan.home is None:
        return plan.to
    return None if m.memory.primary == plan.home else plan.home


def planned(m: Machine, event: Event, now: Now, p: Policy) -> Machine:
    """What is scheduled, as commands and time change it. In every state."""
    match event:
        case OperatorSwitchover(by=by, to=to, at=at, drill=drill) if drill or at is not None:
            home = m.memory.primary if drill else None
            plan = Scheduled(by, to, at if at is not None else WallTime(now.wall), home)
            return replace(m, scheduled=plan, plan_ended="")
        case OperatorCancels():
            return replace(m, scheduled=None)
        case Observed() | Woke() if why := given_up(m, now, p):
            return replace(m, scheduled=None, plan_ended=why)
        case _:
            return m


def given_up(m: Machine, now: Now, p: Policy) -> str:
    """Why what is scheduled will not be done any more; empty: it stands."""
    plan = m.scheduled
    if plan is None or m.incident is not None:
        return ""
    if plan.home is not None:
        home_again = m.memory.primary == plan.home and isinstance(m.state, Watching) and not m.jobs
        if home_again and now.wall > plan.at:
            return f"the drill is over: {plan.home} is the primary again"
        late = now.wall > plan.at + DRILL_LIMIT_S
        return "the drill took too long and ends where it is" if late else ""
    if now.wall < plan.at or not m.looked_at:
        return ""
    if now.wall <= plan.at + GRACE_S:
        return ""
    why = "; ".join(obstacles(m, plan.to, p)) or "nobody watched when it was due"
    return f"the switchover that {plan.by} had scheduled was refused: {why}"


DRILL_LIMIT_S = 3600.0


def preparing(s: Fencing, m: Machine, e: Event, p: Policy) -> Fencing | Reverting:
    """The primary serves and nothing is touched: whatever disturbs it ends it."""
    match e:
        case Replied(effect=Checkpoint(), result=Checkpointed()):
            return _paused_all(replace(s, preparation=Preparation.PAUSE), m)
        case Replied(effect=Checkpoint(), result=EffectFailed() as failed):
            return _back(s, f"no checkpoint: {failed.evidence.sentence}")
        case Replied(effect=CloseTarget(target=target)):
            return _paused_all(replace(s, paused=s.paused | {target}), m)
        case Observed():
            diagnosis = diagnose(m.view, m.memory, p)
            if diagnosis not in FINE:
                return _back(s, f"{s.primary} is {diagnosis}")
            reasons = _candidate(m, s.incident.wanted, p)
            return _back(s, "; ".join(reasons)) if reasons else s
        case _:
            return s


def goes_back(s: Fencing, failed: EffectFailed, m: Machine) -> bool:
    """A stop that was asked for on purpose and is not proved is taken back at once."""
    planned_one = s.incident.trigger is Trigger.SWITCHOVER
    return planned_one and not m.asked and failed.reason != STALE_EPOCH


def _paused_all(s: Fencing, m: Machine) -> Fencing:
    waiting = {effect.target for effect in pauses(m)} - s.paused
    if s.preparation is not Preparation.PAUSE or waiting:
        return s
    return replace(s, preparation=Preparation.DONE)


def _back(s: Fencing, why: str) -> Reverting:
    return Reverting(s.primary, False, None, f"the switchover is given up: {why}", guard_owed=False)


def preparations(s: Fencing, m: Machine) -> tuple[Effect, ...]:
    """Asked while the primary serves."""
    unread = tuple(ReadSettings(n, m.epoch) for n in s.standbys if n not in m.saved)
    if s.preparation is Preparation.CHECKPOINT:
        return (Checkpoint(s.primary, m.epoch), *unread)
    return (*pauses(m), *unread)


def _drill_taken_back(before: Machine, after: Machine) -> Machine:
    """One leg that came to nothing is the end of it."""
    plan, over = after.scheduled, before.incident is not None and after.incident is None
    if plan is None or plan.home is None or not over or isinstance(before.state, Settling):
        return after
    if before.memory.primary != after.memory.primary:
        return after
    why = f"the drill ends here: a switchover was taken back, {after.memory.primary} is the primary"
    return replace(after, scheduled=None, plan_ended=why)


def noted(before: Machine, after: Machine, now: Now) -> Machine:
    """When the old primary was asked to stop; and what is scheduled is begun, and no more."""
    after = _drill_taken_back(before, after)
    state = after.state
    if not isinstance(state, Fencing) or state.incident.trigger is not Trigger.SWITCHOVER:
        return after
    fenced_now = state.preparation is Preparation.DONE and after.stopping_since is None
    if state.preparation is Preparation.PAUSE:
        after = replace(after, targets=closed(after.targets, pausing=True))
    if not isinstance(before.state, Fencing):
        plan = after.scheduled
        kept = plan if plan is not None and plan.home is not None else None
        return replace(after, scheduled=kept, stopping_since=None)
    return replace(after, stopping_since=now.monotonic) if fenced_now else after
