"""Perform an effect: one match, and whoever performs one answers exactly once."""

from __future__ import annotations

from typing import assert_never

from failoverd.core.effects import (
    Confirm,
    Effect,
    Fence,
    Freeze,
    Promote,
    ReadSettings,
    Redirect,
    Salvage,
    Thaw,
    Unfence,
    Unguard,
)
from failoverd.core.events import NotConfigured, Result
from failoverd.core.model import Evidence
from failoverd.effect.confirm import confirm
from failoverd.effect.fence import fence
from failoverd.effect.freeze import freeze, read_settings, thaw
from failoverd.effect.promote import promote
from failoverd.effect.unfence import unfence, unguard
from failoverd.effect.world import World


async def perform(effect: Effect, world: World) -> Result:
    """What was asked for with its proof, or why not."""
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
            return NotConfigured(Evidence("salvage: not configured in this version"))
        case Promote():
            return await promote(effect, world)
        case Confirm():
            return await confirm(effect, world)
        case Redirect():
            return NotConfigured(Evidence("redirect: not configured"))
        case Unguard():
            return await unguard(effect, world)
        case Unfence():
            return await unfence(effect, world)
    assert_never(effect)
