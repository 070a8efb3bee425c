"""What each effect does in this world, step by step, as effect/ does it on real hosts.

It looks before it acts, its act expires, its answer may be lost. A new effect of the core must be
given its conduct here: until then the simulator refuses to run it.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from failoverd.core import effects
from failoverd.core.events import EffectFailed
from failoverd.core.model import Evidence
from tests.sim.conduct import dead_man, fence, new_primary, standbys, way_back, ways
from tests.sim.kernel import Steps

if TYPE_CHECKING:
    from tests.sim.daemon import Daemon


def acting(d: Daemon, effect: effects.Effect) -> Steps:
    """Perform an effect: whoever performs one answers exactly once."""
    conduct = CONDUCT.get(type(effect))
    if conduct is None:
        name = type(effect).__name__
        raise AssertionError(f"tests/sim/acting.py must say what {name} does in this world")
    return conduct(d, effect) if d.may_act else _not_leading()


def _not_leading() -> Steps:
    yield 0.001
    return EffectFailed("not_leading", Evidence("this daemon does not hold the leadership"))


CONDUCT: dict[type, Callable[[Daemon, Any], Steps]] = {
    effects.Fence: fence.fence,
    effects.ReadSettings: standbys.read_settings,
    effects.Freeze: standbys.freeze,
    effects.Thaw: standbys.thaw,
    effects.Salvage: standbys.salvage,
    effects.Promote: new_primary.promote,
    effects.Confirm: new_primary.confirm,
    effects.Redirect: ways.redirect,
    effects.CloseTarget: ways.close_target,
    effects.Repoint: standbys.repoint,
    effects.Equip: new_primary.equip,
    effects.Unguard: way_back.unguard_alone,
    effects.ArmDeadMan: dead_man.watch_over,
    effects.DisarmDeadMan: dead_man.watch_over,
    effects.KeepDown: way_back.keep_down,
    effects.Retire: standbys.retire,
    effects.Checkpoint: new_primary.checkpoint,
    effects.MeasureLoss: ways.measure_loss,
    effects.Rejoin: standbys.rejoin,
    effects.SetSynchronous: new_primary.set_synchronous,
    effects.MeasureDivergence: standbys.measure,
    effects.Unfence: way_back.unfence,
    effects.Quarantine: way_back.quarantine,
}
"""A new effect of the core is given its conduct here; a test compares the two."""
