"""Ways of the applications; and what nothing of this world depends on: a figure for people."""

from __future__ import annotations

from typing import TYPE_CHECKING

from failoverd.core.effects import CloseTarget, MeasureLoss, Redirect
from failoverd.core.events import NotConfigured, Redirected, TargetClosed
from failoverd.core.model import Evidence
from tests.sim.conduct.on_host import failed
from tests.sim.kernel import Steps
from tests.sim.ways import LIMIT_S

if TYPE_CHECKING:
    from tests.sim.daemon import Daemon


def redirect(d: Daemon, effect: Redirect) -> Steps:
    if not effect.target:
        yield 0.01
        return NotConfigured(Evidence("applications find it by themselves"))
    way = d.world.ways[effect.target]
    yield d.world.random.uniform(0.005, 0.1)
    if way.down:
        yield LIMIT_S
        return failed("not_redirected", f"{way.name} does not answer")
    way.leads_to = effect.primary
    d.world.tell(way.name, f"leads to {effect.primary}, by {d.name}")
    d.world.happened("redirected", (way, d))
    return Redirected(Evidence("it leads there, and was looked at"))


def close_target(d: Daemon, effect: CloseTarget) -> Steps:
    way = d.world.ways[effect.target]
    yield d.world.random.uniform(0.005, 0.1)
    if way.down:
        yield LIMIT_S
        return failed("not_closed", f"{way.name} does not answer")
    if way.leads_to == effect.primary:
        way.leads_to = None
        d.world.tell(way.name, f"is closed by {d.name}")
    return TargetClosed(Evidence("it lets nobody through"))


def measure_loss(d: Daemon, effect: MeasureLoss) -> Steps:
    yield 0.01
    return failed("not_measured", "not of this world")
