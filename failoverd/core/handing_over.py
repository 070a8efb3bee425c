"""A candidate that was asked to promote and did not hands over to the next.

A request cannot be revoked: it may still be promoted in a minute. So it is stopped and proved
stopped before anybody else is asked, or the old primary is started again.
"""

from __future__ import annotations

from dataclasses import replace

from failoverd.core.decision import retry_at, terms_of
from failoverd.core.election import elect
from failoverd.core.events import REPLAYING, EffectFailed, Now, Result, Retired
from failoverd.core.model import NodeName
from failoverd.core.policy import Policy
from failoverd.core.proof import prove_again
from failoverd.core.situation import Machine
from failoverd.core.states import Blocked, BlockReason, Fencing, Promoting

ASKED_OFTEN = 2
"""Visits in which it was asked in vain, before another one is asked."""


def in_vain(s: Promoting, failed: EffectFailed, m: Machine, now: Now, p: Policy) -> Blocked:
    """It is not seen to be promoted: asked again, or given up; or it was, and must be started."""
    why = f"{s.candidate} was asked to promote: {failed.evidence.sentence}"
    advice = failed.advice
    if _was_promoted(m, s.candidate):
        why = f"{s.candidate} was promoted, as its disk shows, and nothing of it runs"
        advice = start_it(s.candidate)
    again = prove_again(s.proof, m, p, why, s.attempt + 1)
    again = replace(again, gives_up=_given_up(s, failed.reason, m, p))
    at = retry_at(now, s.attempt)
    return Blocked(BlockReason.PROMOTION_PENDING, why, now.monotonic, at, advice, again)


def start_it(node: NodeName) -> str:
    """What to do about whoever was promoted, and is down."""
    return (
        f"start {node}, which may hold commits that nobody else has;"
        f" to go on without them: failoverd fenced {node}"
    )


def _given_up(s: Promoting, reason: str, m: Machine, p: Policy) -> NodeName | None:
    """Whom to stop, since another one can take over, or since nothing of it runs any more.

    Whoever replays what it has, and gets on with it, is waited for. Whose promotion is on its disk
    cannot be given up: it may have acknowledged commits since.
    """
    if s.candidate not in m.asked or reason == REPLAYING or s.attempt + 1 < ASKED_OFTEN:
        return None
    if _was_promoted(m, s.candidate):
        return None
    if _is_down(m, s.candidate):
        return s.candidate
    assert m.incident is not None
    without = replace(m.incident, given_up=(*m.incident.given_up, s.candidate))
    others = {n: f for n, f in m.frozen.items() if n != s.candidate}
    election = elect(m.view, m.memory, p, terms_of(without, p, s.proof, others))
    return None if election.candidate is None else s.candidate


def _was_promoted(m: Machine, node: NodeName) -> bool:
    """And has been stopped, or has died, since."""
    facts = m.view.report(node).host.facts
    later = facts is not None and facts.control_timeline > m.memory.timeline
    return later and _is_down(m, node)


def _is_down(m: Machine, node: NodeName) -> bool:
    report = m.view.report(node)
    facts = report.host.facts
    return report.host.look.ok and report.host_of_now and facts is not None and not facts.processes


def not_configured(s: Fencing, m: Machine, now: Now, p: Policy) -> Blocked | None:
    """Whoever was asked is none of our nodes any more: it is neither asked again nor stopped."""
    gone = sorted(m.asked - p.nodes.keys())
    if not gone:
        return None
    why = f"{gone[0]} was asked to promote, and is not in the configuration any more"
    advice = (
        f"write {gone[0]} into the configuration again, then: failoverd reload;"
        f" or make sure that it is off for good, then: failoverd fenced {gone[0]}"
    )
    again = replace(s, gives_up=None, attempt=s.attempt + 1)
    since, reason = now.monotonic, BlockReason.PROMOTION_PENDING
    return Blocked(reason, why, since, retry_at(now, s.attempt), advice, again)


def gave_up(s: Fencing, node: NodeName, result: Result, now: Now) -> Fencing | Blocked:
    """Stopped: the fence is proved once more, and another is elected. Else it is asked again."""
    again = replace(s, gives_up=None, attempt=s.attempt + 1)
    match result:
        case Retired():
            incident = replace(s.incident, given_up=(*s.incident.given_up, node))
            return replace(again, incident=incident)
        case EffectFailed(evidence=evidence, advice=advice):
            why, at = evidence.sentence, retry_at(now, s.attempt)
            return Blocked(BlockReason.PROMOTION_PENDING, why, now.monotonic, at, advice, again)
        case _:
            return s
