"""What effects do: the world after, and what is answered. A new effect is given its act here."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

from failoverd.core import effects
from failoverd.core.dead_man import Arming
from failoverd.core.effects import (
    CloseTarget,
    Confirm,
    Effect,
    Fence,
    MeasureLoss,
    Promote,
    ReadSettings,
    Redirect,
    Salvage,
    Unfence,
)
from failoverd.core.events import (
    FROZEN_ALREADY,
    STALE_EPOCH,
    Confirmed,
    EffectFailed,
    Equipped,
    NotConfigured,
    Redirected,
    Result,
    StillAlive,
    TargetClosed,
)
from failoverd.core.model import Instant, Lsn, NodeName, Timeline, WalLoss
from failoverd.core.schedule import Checkpointed
from failoverd.core.wal_answers import LossMeasured
from tests.explore import standbys
from tests.explore.fences import (
    armed_on,
    disarmed,
    expired,
    fenced,
    kept_down,
    powered_off,
    quarantined,
)
from tests.explore.world import FAILED, SAID, UP, World

STALE = EffectFailed(STALE_EPOCH, SAID)
TAKEN = EffectFailed(FROZEN_ALREADY, SAID)

Done = tuple[World, Result]


def performed(
    world: World, effect: Effect, now: Instant, armed: Arming | None = None, owner: int = 0
) -> Done:
    """`armed`: what this daemon process knows of its dead-man. `owner`: which of two daemons."""
    elsewhere = BESIDE_HOSTS.get(type(effect))
    if elsewhere is not None:
        return elsewhere(world, effect)
    if isinstance(effect, Promote | Unfence) and owner:
        # Of a single daemon that look is taken to be blind: the worst case.
        node = effect.candidate if isinstance(effect, Promote) else effect.node
        if _others_serve(world, node):
            return world, StillAlive(SAID) if isinstance(effect, Promote) else FAILED
    if isinstance(effect, Promote):
        return standbys.promoted(world, effect, now)
    server = world[effect.node]  # type: ignore[union-attr]
    if isinstance(effect, Fence) and not server.host and (world.agent or armed is not None):
        return (
            powered_off(world, effect, now) if world.agent else expired(world, effect, now, armed)
        )
    if not server.host:
        return world, FAILED
    if isinstance(effect, ReadSettings):
        taken = owner and server.process == UP and server.frozen
        return (world, TAKEN) if taken else standbys.read_settings(world, effect)
    return _by_right(world, effect, now, owner)


def _by_right(world: World, effect: Any, now: Instant, owner: int) -> Done:
    """On its host, which takes no act of an older epoch, nor of another daemon's."""
    server = world[effect.node]
    of_another = effect.epoch == server.epoch and server.owner not in (0, owner)
    if effect.epoch < server.epoch or of_another:
        return world, STALE
    taken_by = owner if effect.epoch > server.epoch else server.owner
    world = world.having(effect.node, replace(server, epoch=effect.epoch, owner=taken_by))
    timed = AT_A_TIME.get(type(effect))
    return timed(world, effect, now) if timed is not None else ON_HOSTS[type(effect)](world, effect)


def _others_serve(world: World, but: NodeName) -> bool:
    """The last look, at every node."""
    return any(world[n].answers and not world[n].recovery for n in world.names if n != but)


# Nothing of a host is changed.


def _salvage(world: World, effect: Salvage) -> Done:
    return (
        (world, NotConfigured(SAID)) if effect.source is None else standbys.salvaged(world, effect)
    )


def _measure_loss(world: World, effect: MeasureLoss) -> Done:
    lost = WalLoss(0, True, "nothing")
    return world, LossMeasured(lost, SAID) if world[effect.node].host else FAILED


def _redirect(world: World, effect: Redirect) -> Done:
    return replace(world, leads_to=effect.primary if effect.target else ""), Redirected(SAID)


def _close(world: World, effect: CloseTarget) -> Done:
    return replace(world, leads_to=""), TargetClosed(SAID)


def _equip(world: World, effect: effects.Equip) -> Done:
    return world, Equipped(SAID) if world[effect.node].answers else FAILED


def _checkpoint(world: World, effect: effects.Checkpoint) -> Done:
    served = world[effect.node].answers and not world[effect.node].recovery
    return world, Checkpointed(SAID) if served else FAILED


def _confirm(world: World, effect: Confirm) -> Done:
    server = world[effect.candidate]
    if not server.answers or server.recovery or server.timeline <= effect.old_timeline:
        return world, FAILED
    timeline, lsn = Timeline(server.timeline), Lsn(server.position)
    return world, Confirmed(timeline, lsn, False, ("selected new timeline",), "", SAID)


BESIDE_HOSTS: dict[type, Callable[[World, Any], Done]] = {
    effects.Salvage: _salvage,
    effects.MeasureLoss: _measure_loss,
    effects.Redirect: _redirect,
    effects.CloseTarget: _close,
    effects.Equip: _equip,
    effects.MeasureDivergence: standbys.measured,
    effects.Checkpoint: _checkpoint,
    effects.Confirm: _confirm,
}
ON_HOSTS: dict[type, Callable[[World, Any], Done]] = {
    effects.Freeze: standbys.freeze,
    effects.Thaw: standbys.thaw,
    effects.Retire: standbys.retire,
    effects.Repoint: standbys.repoint,
    effects.Unguard: standbys.unguard,
    effects.Unfence: standbys.unfence,
    effects.Quarantine: quarantined,
    effects.KeepDown: kept_down,
    effects.Rejoin: standbys.rejoined,
    effects.DisarmDeadMan: disarmed,
}
AT_A_TIME: dict[type, Callable[[World, Any, Instant], Done]] = {
    effects.Fence: fenced,
    effects.ArmDeadMan: armed_on,
}
BY_THEMSELVES = (effects.Promote, effects.ReadSettings)
"""What `performed` does at once: no epoch is taken by them."""
NOT_OF_THIS_WORLD = (effects.SetSynchronous,)
"""Replication is asynchronous here."""
