"""What nothing of this world depends on: ways of the applications, figures for people."""

from __future__ import annotations

from typing import TYPE_CHECKING

from failoverd.core.effects import ArmDeadMan, CloseTarget, DisarmDeadMan, MeasureLoss, Redirect
from failoverd.core.events import NotConfigured, TargetClosed
from failoverd.core.model import Evidence
from tests.sim.conduct.on_host import failed
from tests.sim.kernel import Steps

if TYPE_CHECKING:
    from tests.sim.daemon import Daemon


def measure_loss(d: Daemon, effect: MeasureLoss) -> Steps:
    """A figure for people alone: nothing here depends on it."""
    yield 0.01
    return failed("not_measured", "not of this world")


def redirect(d: Daemon, effect: Redirect) -> Steps:
    yield 0.01
    return NotConfigured(Evidence("applications find it by themselves"))


def close_target(d: Daemon, effect: CloseTarget) -> Steps:
    yield 0.01
    return TargetClosed(Evidence("there is no way to close"))


def dead_man(d: Daemon, effect: ArmDeadMan | DisarmDeadMan) -> Steps:
    """No host of this world has one: its timing is explored in tests/explore, tried in the lab."""
    yield 0.01
    return failed("not_armed", "there is none here")
