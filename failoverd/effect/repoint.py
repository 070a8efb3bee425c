"""Tell a standby whom to follow: its slot is made on its upstream first, then it is told.

Its user, password file, application_name and other options stay its own; only host and port
change. Whether it streams then is seen by the next rounds of looks, on both ends.
"""

from __future__ import annotations

import base64
import re

from failoverd.core.effects import Repoint
from failoverd.core.events import WAL_GONE, EffectFailed, Repointed
from failoverd.core.model import SavedSettings
from failoverd.effect.conninfo import NotUnderstood, led_to
from failoverd.effect.retained import gone
from failoverd.effect.world import Node, Runs, World, act_now, note_clock, why
from failoverd.transport.host import HostAnswer

CONNINFO, SLOT = "primary_conninfo", "primary_slot_name"
DELAYS = ("max_standby_archive_delay", "max_standby_streaming_delay")
_SLOT_NAME = re.compile(r"[a-z0-9_]{1,63}")


async def repoint(effect: Repoint, world: World) -> Repointed | EffectFailed:
    """It has been told, and its slot is there. Repeating it does no harm."""
    runs = Runs()
    node, upstream = world.nodes[effect.node], world.nodes[effect.upstream]
    asked_at = world.monotonic()
    said = runs.add(
        await node.host.call("upstream", world.arguments(node), timeout_s=world.limits.freeze_s)
    )
    note_clock(world, node, said, asked_at)
    if not said.done:
        return EffectFailed("not_told", runs.evidence(f"whom it follows: {why(said)}"))
    if said.field("in_recovery") != "true":
        return EffectFailed("not_told", runs.evidence(f"{node.name} is not in recovery"))
    if effect.attempt and effect.upstream == world.memory.primary:
        lacking = await gone(world, node, upstream, runs)
        if lacking is not None:
            by_hand = f"failoverd rejoin {node.name}"
            return EffectFailed(WAL_GONE, runs.evidence(lacking), by_hand)
    frozen = said.field("frozen") == "yes"
    if frozen and effect.saved is None:
        sentence = "it is frozen, and its own settings are not known here"
        return EffectFailed("not_told", runs.evidence(sentence))
    slot = _own(SLOT, effect.saved, said)
    try:
        conninfo = _conninfo(_own(CONNINFO, effect.saved, said), upstream)
    except NotUnderstood as error:
        return EffectFailed("not_told", runs.evidence(str(error)), _by_hand(node, upstream))
    if slot and not _SLOT_NAME.fullmatch(slot):
        return EffectFailed("not_told", runs.evidence("its slot has no name that there can be"))
    if slot:
        made = await _make_slot(effect, world, upstream, slot, runs)
        if made is not None:
            return EffectFailed("no_slot", runs.evidence(made))
    told = await act_now(
        world, node, "follow", effect.epoch, _to_set(conninfo, slot, effect.saved),
        world.limits.freeze_s, runs,
    )  # fmt: skip
    if not told.done:
        return EffectFailed("not_told", runs.evidence(f"it was not told: {why(told)}"))
    with_slot = f" with its slot {slot}" if slot else ""
    sentence = f"{node.name} was told to follow {upstream.name}{with_slot}"
    return Repointed(runs.evidence(sentence))


def _conninfo(own: str, upstream: Node) -> str:
    if not own.strip():
        raise NotUnderstood("no primary_conninfo of its own is known, to lead it elsewhere")
    return led_to(own, upstream.address.host, upstream.address.port)


def _own(setting: str, saved: SavedSettings | None, said: HostAnswer) -> str:
    """What stood there before the freeze, else now; else what postgresql.conf has."""
    below = _decoded(said.field(f"saved_below_{setting}_b64"))
    if saved is not None:
        before = dict(saved.values).get(setting)
        return below if before is None else before
    return _decoded(said.field(f"saved_{setting}_b64")) or below


def _decoded(text: str) -> str:
    return base64.b64decode(text).decode(errors="replace")


async def _make_slot(
    effect: Repoint, world: World, upstream: Node, slot: str, runs: Runs
) -> str | None:
    more = {"slots": slot}
    made = await act_now(world, upstream, "slots", effect.epoch, more, world.limits.freeze_s, runs)
    return None if made.done else f"its slot on {upstream.name}: {why(made)}"


def _to_set(conninfo: str, slot: str, saved: SavedSettings | None) -> dict[str, str]:
    found = {f"restore_{CONNINFO}_b64": _encoded(conninfo), f"restore_{SLOT}_b64": _encoded(slot)}
    for setting, value in () if saved is None else saved.values:
        if setting in DELAYS:
            key = "unset" if value is None else "b64"
            found[f"restore_{setting}_{key}"] = "yes" if value is None else _encoded(value)
    return found


def _encoded(text: str) -> str:
    return base64.b64encode(text.encode()).decode()


def _by_hand(node: Node, upstream: Node) -> str:
    host, port = upstream.address.host, upstream.address.port
    return (
        f"on {node.name}: ALTER SYSTEM SET primary_conninfo = 'host={host} port={port} user=...';"
        " SELECT pg_reload_conf();"
    )
