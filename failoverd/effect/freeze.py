"""Detach a standby from its upstream and put it back: what was there is journaled first."""

from __future__ import annotations

import base64

from failoverd.core.effects import Freeze, ReadSettings, Thaw
from failoverd.core.events import FROZEN_ALREADY, EffectFailed, FrozenAt, SettingsRead, Thawed
from failoverd.core.model import Frozen, Lsn, SavedSettings, Timeline
from failoverd.effect.world import Runs, World, act_now, note_clock, why
from failoverd.transport.host import HostAnswer

SETTINGS = (
    "primary_conninfo",
    "primary_slot_name",
    "max_standby_archive_delay",
    "max_standby_streaming_delay",
)


async def read_settings(effect: ReadSettings, world: World) -> SettingsRead | EffectFailed:
    """What a freeze would overwrite. Changes nothing."""
    runs = Runs()
    node = world.nodes[effect.node]
    asked_at = world.monotonic()
    answer = runs.add(
        await node.host.call("settings", world.arguments(node), timeout_s=world.limits.freeze_s)
    )
    note_clock(world, node, answer, asked_at)
    if answer.field("already_frozen") == "yes":
        return EffectFailed(FROZEN_ALREADY, runs.evidence(f"its settings: {why(answer)}"))
    if not answer.done:
        return EffectFailed("not_read", runs.evidence(f"its settings: {why(answer)}"))
    saved = SavedSettings(tuple((name, _saved(answer, name)) for name in SETTINGS))
    return SettingsRead(saved, runs.evidence(f"the settings of {node.name} are kept"))


def _saved(answer: HostAnswer, setting: str) -> str | None:
    if answer.field(f"saved_{setting}_unset") == "yes":
        return None
    return base64.b64decode(answer.field(f"saved_{setting}_b64")).decode()


async def freeze(effect: Freeze, world: World) -> FrozenAt | EffectFailed:
    """The standby follows nobody, and its position stands still."""
    runs = Runs()
    node = world.nodes[effect.node]
    answer = await act_now(world, node, "freeze", effect.epoch, {}, world.limits.freeze_s, runs)
    if not answer.done:
        return EffectFailed("not_frozen", runs.evidence(f"it could not be frozen: {why(answer)}"))
    try:
        position = Lsn.parse(answer.field("position"))
        timeline = Timeline(int(answer.field("timeline") or "0"))
    except ValueError:
        return EffectFailed("not_frozen", runs.evidence("its position was not understood"))
    world.frozen_at[node.name, effect.epoch] = world.boottime()
    frozen = Frozen(node.name, position, timeline, effect.saved)
    return FrozenAt(frozen, runs.evidence(f"{node.name} stands still at {position}"))


async def thaw(effect: Thaw, world: World) -> Thawed | EffectFailed:
    """Its own settings are in force again."""
    runs = Runs()
    node = world.nodes[effect.node]
    restore = _restore(effect.saved)
    for key in [key for key in world.frozen_at if key[0] == node.name]:
        del world.frozen_at[key]
    answer = await act_now(world, node, "thaw", effect.epoch, restore, world.limits.freeze_s, runs)
    if not answer.done:
        return EffectFailed("not_thawed", runs.evidence(f"it could not be thawed: {why(answer)}"))
    return Thawed(runs.evidence(f"{node.name} has its own settings again"))


def _restore(saved: SavedSettings) -> dict[str, str]:
    arguments: dict[str, str] = {}
    for setting, value in saved.values:
        if value is None:
            arguments[f"restore_{setting}_unset"] = "yes"
        else:
            arguments[f"restore_{setting}_b64"] = base64.b64encode(value.encode()).decode()
    return arguments
