"""Looks and acts on a host of this world, as effect/world.py and effect/last_look.py do them."""

from __future__ import annotations

from typing import TYPE_CHECKING

from failoverd.core.effects import StopMode
from failoverd.core.events import EffectFailed
from failoverd.core.model import Evidence, HostFacts, NodeName, Outcome, SavedSettings
from tests.sim.act import EXPIRED, Act
from tests.sim.kernel import Steps
from tests.sim.reach import Heard, call, session_outcome, with_seen_at

if TYPE_CHECKING:
    from tests.sim.daemon import Daemon

ACT_LIFETIME_S = 2.0
JUST_NOW_S = 0.5
LOOK_LIMIT_S = 5.0
LAST_LOOK_S = 0.25


def failed(reason: str, sentence: str) -> EffectFailed:
    return EffectFailed(reason, Evidence(sentence))


def look_at(d: Daemon, node: NodeName, timeout_s: float = LOOK_LIMIT_S) -> Steps:
    asked_at = d.monotonic()
    heard: Heard = yield from call(d.world, d.name, node, Act("status"), timeout_s)
    if not heard.done or heard.answer is None:
        return heard, None
    return heard, with_seen_at(heard.answer, asked_at).facts


def just_seen(d: Daemon, node: NodeName) -> HostFacts | None:
    host = d.machine.view.report(node).host
    if not host.look.ok or host.facts is None:
        return None
    return host.facts if d.monotonic() - host.facts.seen_at <= JUST_NOW_S else None


def act_on(
    d: Daemon,
    node: NodeName,
    verb: str,
    seen: HostFacts,
    epoch: int,
    timeout_s: float,
    *,
    mode: StopMode | None = None,
    saved: SavedSettings | None = None,
    marker: int = 0,
    carried: tuple[int, ...] = (),
    automatic: bool = False,
) -> Steps:
    act = Act(
        verb,
        d.machine.memory.system_identifier or "",
        d.owner,
        epoch,
        seen.boot_id,
        seen.uptime_s + ACT_LIFETIME_S,
        mode,
        saved,
        marker,
        carried,
        automatic=automatic,
        by=d.name,
    )
    if not d.may_act:
        return Heard(Outcome.NOT_TRIED)
    d.world.happened("acts", act)  # nobody asks any more, and hosts refuse besides
    return (yield from call(d.world, d.name, node, act, timeout_s))


def act_now(
    d: Daemon, node: NodeName, verb: str, epoch: int, saved: SavedSettings | None = None
) -> Steps:
    limit = d.policy.limits.freeze_s
    seen = just_seen(d, node)
    if seen is not None:
        heard: Heard = yield from act_on(d, node, verb, seen, epoch, limit, saved=saved)
        if heard.answer is None or heard.answer.status != EXPIRED:
            return heard
    heard, seen = yield from look_at(d, node)
    if seen is None:
        return heard
    return (yield from act_on(d, node, verb, seen, epoch, limit, saved=saved))


def serves(d: Daemon, node: NodeName) -> Steps:
    """The last look: it answers SQL and is not in recovery."""
    outcome = session_outcome(d, node)
    yield LAST_LOOK_S if outcome is Outcome.TIMED_OUT else 0.004
    return outcome is Outcome.OK and not d.world.server(node).recovery
