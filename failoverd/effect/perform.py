"""Perform an effect: one match, and whoever performs one answers exactly once."""

from __future__ import annotations

from typing import assert_never

from failoverd.core.effects import (
    ArmDeadMan,
    Checkpoint,
    CloseTarget,
    Confirm,
    DisarmDeadMan,
    Effect,
    Equip,
    Fence,
    Freeze,
    KeepDown,
    MeasureDivergence,
    MeasureLoss,
    Promote,
    Quarantine,
    ReadSettings,
    Redirect,
    Rejoin,
    Repoint,
    Retire,
    Salvage,
    SetSynchronous,
    Thaw,
    Unfence,
    Unguard,
)
from failoverd.core.events import EffectFailed, Result
from failoverd.core.model import Evidence
from failoverd.effect.confirm import confirm
from failoverd.effect.dead_man import watch_over
from failoverd.effect.divergence import measure_divergence
from failoverd.effect.equip import equip
from failoverd.effect.fence.ladder import fence
from failoverd.effect.freeze import freeze, read_settings, thaw
from failoverd.effect.held_host import held_back
from failoverd.effect.keep_down import keep_down
from failoverd.effect.measure import measure
from failoverd.effect.promote import promote
from failoverd.effect.quarantine import quarantine
from failoverd.effect.redirect.target import close_target, redirect
from failoverd.effect.rejoin import checkpoint, rejoin
from failoverd.effect.repoint import repoint
from failoverd.effect.retire import retire
from failoverd.effect.salvage import salvage
from failoverd.effect.synchronous import set_synchronous
from failoverd.effect.unfence import unfence, unguard
from failoverd.effect.world import NOT_LEADING, World


async def perform(effect: Effect, world: World) -> Result:
    """What was asked for with its proof, or why not. Nothing without the leadership."""
    if not world.may_act():
        return EffectFailed("not_leading", Evidence(NOT_LEADING))
    return await _performed(effect, held_back(world))


async def _performed(effect: Effect, world: World) -> Result:
    match effect:
        case Fence():
            return await fence(effect, world)
        case ReadSettings():
            return await read_settings(effect, world)
        case Freeze():
            return await freeze(effect, world)
        case Thaw():
            return await thaw(effect, world)
        case Salvage():
            return await salvage(effect, world)
        case MeasureLoss():
            return await measure(effect, world)
        case Promote():
            return await promote(effect, world)
        case Confirm():
            return await confirm(effect, world)
        case Redirect():
            return await redirect(effect, world)
        case CloseTarget():
            return await close_target(effect, world)
        case Unguard() | Unfence() | Quarantine() | KeepDown() | Rejoin() | Checkpoint():
            return await _on_old_primary(effect, world)
        case (
            Repoint()
            | Retire()
            | Equip()
            | ArmDeadMan()
            | DisarmDeadMan()
            | MeasureDivergence()
            | SetSynchronous()
        ):
            return await _upkeep(effect, world)
    assert_never(effect)


async def _on_old_primary(
    effect: Unguard | Unfence | Quarantine | KeepDown | Rejoin | Checkpoint, world: World
) -> Result:
    """What is done to whoever was, or soon was, the primary."""
    match effect:
        case Unguard():
            return await unguard(effect, world)
        case Unfence():
            return await unfence(effect, world)
        case Quarantine():
            return await quarantine(effect, world)
        case KeepDown():
            return await keep_down(effect, world)
        case Rejoin():
            return await rejoin(effect, world)
        case Checkpoint():
            return await checkpoint(effect, world)
    assert_never(effect)


async def _upkeep(
    effect: Repoint
    | Retire
    | Equip
    | ArmDeadMan
    | DisarmDeadMan
    | MeasureDivergence
    | SetSynchronous,
    world: World,
) -> Result:
    """What is done beside the procedure."""
    match effect:
        case Repoint():
            return await repoint(effect, world)
        case Retire():
            return await retire(effect, world)
        case Equip():
            return await equip(effect, world)
        case ArmDeadMan() | DisarmDeadMan():
            return await watch_over(effect, world)
        case MeasureDivergence():
            return await measure_divergence(effect, world)
        case SetSynchronous():
            return await set_synchronous(effect, world)
    assert_never(effect)
