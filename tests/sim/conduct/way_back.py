"""An old primary: its guard is taken back, it is started again, or kept out."""

from __future__ import annotations

from typing import TYPE_CHECKING

from failoverd.core.effects import KeepDown, Quarantine, StopMode, Unfence, Unguard
from failoverd.core.events import EffectFailed, KeptDown, Quarantined, Unfenced, Unguarded
from failoverd.core.model import Epoch, Evidence, Guard, NodeName, Outcome
from tests.sim.conduct.on_host import act_now, act_on, failed, look_at, serves
from tests.sim.kernel import Steps
from tests.sim.reach import Heard, session_outcome

if TYPE_CHECKING:
    from tests.sim.daemon import Daemon


def _unguard(d: Daemon, node: NodeName, epoch: Epoch, mode: StopMode | None = None) -> Steps:
    heard, seen = yield from look_at(d, node)
    if seen is None:
        return failed("not_unguarded", heard.why)
    if seen.guard is not Guard.OURS:
        return Unguarded(Evidence("it has no guard of ours"))
    if seen.guard_epoch is not None and seen.guard_epoch > epoch:
        return failed("not_unguarded", "its guard is of a newer incident")
    marker = seen.guard_epoch or epoch
    limit = d.policy.limits.freeze_s
    heard = yield from act_on(d, node, "unguard", seen, epoch, limit, mode=mode, marker=marker)
    return Unguarded(Evidence("done")) if heard.done else failed("not_unguarded", heard.why)


def unguard_alone(d: Daemon, effect: Unguard) -> Steps:
    return (yield from _unguard(d, effect.node, effect.epoch))


def unfence(d: Daemon, effect: Unfence) -> Steps:
    for other in sorted(d.world.hosts):
        if other != effect.node and (yield from serves(d, other)):
            return failed("others_write", f"{other} takes writes")
    released = yield from _unguard(d, effect.node, effect.epoch, StopMode.FAST)
    if isinstance(released, EffectFailed):
        return released
    heard, seen = yield from look_at(d, effect.node)
    if seen is None:
        return failed("not_started", heard.why)
    if not seen.processes:
        limit = d.policy.limits.promote_s
        heard = yield from act_on(d, effect.node, "start", seen, effect.epoch, limit)
        if not heard.done:
            return failed("not_started", heard.why)
    deadline = d.monotonic() + d.policy.limits.promote_s
    while d.monotonic() < deadline:
        if (yield from serves(d, effect.node)):
            return Unfenced(Evidence("it is the primary again"))
        if session_outcome(d, effect.node) in (Outcome.REFUSED, Outcome.TIMED_OUT):
            heard, seen = yield from look_at(d, effect.node)
            states = {} if seen is None else dict(seen.processes)
            if seen is not None and states.get(seen.postmaster_pid, "T") == "T":
                return failed("not_started", "no postmaster runs there, or it is stopped")
        yield 0.5
    return failed("not_writable", "it was started, and does not take writes")


def quarantine(d: Daemon, effect: Quarantine) -> Steps:
    heard, seen = yield from look_at(d, effect.node)
    if seen is None:
        return failed("not_guarded", heard.why)
    limit = d.policy.limits.fence_s
    mode = StopMode.FAST
    heard = yield from act_on(d, effect.node, "stop", seen, effect.epoch, limit, mode=mode)
    if not heard.done:
        return failed("not_guarded", heard.why)
    return Quarantined(Evidence("guarded and stopped at first contact"))


def keep_down(d: Daemon, effect: KeepDown) -> Steps:
    heard: Heard = yield from act_now(d, effect.node, "keep_down", effect.epoch)
    return KeptDown(Evidence("done")) if heard.done else failed("not_kept_down", heard.why)
