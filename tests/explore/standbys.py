"""What is done to standbys: frozen, thawed, led over, carried to, promoted, brought back."""

from __future__ import annotations

from dataclasses import replace

from failoverd.core.divergence import Divergence
from failoverd.core.effects import (
    Freeze,
    MeasureDivergence,
    Promote,
    ReadSettings,
    Rejoin,
    Repoint,
    Retire,
    Salvage,
    Thaw,
    Unfence,
    Unguard,
)
from failoverd.core.events import (
    REJOIN_FAILED,
    DivergenceMeasured,
    EffectFailed,
    FrozenAt,
    Promoted,
    Repointed,
    Result,
    Retired,
    SettingsRead,
    StillAlive,
    Thawed,
    Unfenced,
    Unguarded,
)
from failoverd.core.model import PROOF_LIFETIME_S, Frozen, Instant, Lsn, Timeline, WalEnd, WalLoss
from failoverd.core.schedule import Rejoined, Rejoining
from failoverd.core.wal_answers import NotSalvaged, Salvaged
from tests.explore.world import DEAD, FAILED, FREEZE, HUNG, OWN, SAID, UP, World

Done = tuple[World, Result]


def read_settings(world: World, effect: ReadSettings) -> Done:
    server = world[effect.node]
    if server.process != UP:
        return world, FAILED
    return world, SettingsRead(FREEZE if server.frozen else OWN, SAID)


def freeze(world: World, effect: Freeze) -> Done:
    node, server = effect.node, world[effect.node]
    if server.process != UP or not server.recovery:
        return world, FAILED
    frozen = Frozen(node, Lsn(server.position), Timeline(server.timeline), effect.saved)
    return world.having(node, replace(server, frozen=effect.epoch)), FrozenAt(frozen, SAID)


def thaw(world: World, effect: Thaw) -> Done:
    server = world[effect.node]
    if server.process != UP:
        return world, FAILED
    return world.having(effect.node, replace(server, frozen=0)), Thawed(SAID)


def retire(world: World, effect: Retire) -> Done:
    server = world[effect.node]
    if not server.recovery or server.timeline > effect.timeline:
        return world, FAILED
    return world.having(effect.node, replace(server, process=DEAD)), Retired(SAID)


def repoint(world: World, effect: Repoint) -> Done:
    server, upstream = world[effect.node], effect.upstream
    if server.process != UP or not server.recovery:
        return world, FAILED
    # What it holds of the old timeline was received before that forked off.
    timeline = max(server.timeline, world[upstream].timeline)
    told = replace(server, frozen=0, follows=upstream, timeline=timeline)
    return world.having(effect.node, told), Repointed(SAID)


def unguard(world: World, effect: Unguard) -> Done:
    server = world[effect.node]
    guard = 0 if server.guard <= effect.epoch else server.guard
    return world.having(effect.node, replace(server, guard=guard)), Unguarded(SAID)


def unfence(world: World, effect: Unfence) -> Done:
    started = replace(world[effect.node], guard=0, process=UP, recovery=False)
    return world.having(effect.node, started), Unfenced(SAID)


def measured(world: World, effect: MeasureDivergence) -> Done:
    server = world[effect.node]
    if not server.host or not world[effect.against].host:
        return world, FAILED
    running, fork = server.process in (UP, HUNG) and not server.recovery, Lsn(0)
    found = Divergence(effect.node, effect.against, effect.timeline, fork, 0, 0, True, running, ())
    return world, DivergenceMeasured(found, SAID)


def salvaged(world: World, effect: Salvage) -> Done:
    """Over both hosts, and only into a standby that is frozen by this epoch."""
    assert effect.source is not None
    source, server = world[effect.source], world[effect.candidate]
    if not source.host or not server.answers or not server.recovery:
        return world, NotSalvaged(SAID)
    if server.frozen != effect.epoch:
        return world, NotSalvaged(SAID)
    position = max(server.position, source.position)
    end = WalEnd(Timeline(source.timeline), Lsn(position - 1), Lsn(position))
    world = world.having(effect.candidate, replace(server, position=position))
    return world, Salvaged(WalLoss(0, True, "nothing"), SAID, end)


def promoted(world: World, effect: Promote, now: Instant) -> Done:
    old, server = world[effect.proof.node], world[effect.candidate]
    if old.answers and not old.recovery:
        return world, StillAlive(SAID)
    if not server.answers or now - effect.proof.proved_at > PROOF_LIFETIME_S:
        return world, FAILED
    if not server.recovery:
        return world, Promoted(SAID)
    if server.frozen != effect.epoch or Lsn(server.position) < effect.position:
        return world, EffectFailed("refused", SAID)
    timeline = max(s.timeline for s in world.servers) + 1
    new = replace(server, recovery=False, timeline=timeline)
    return world.having(effect.candidate, new), Promoted(SAID)


def rejoined(world: World, effect: Rejoin) -> Done:
    """It starts as a standby or not at all; of what it had written alone nothing is left."""
    server, source = world[effect.node], world[effect.primary]
    if server.process in (UP, HUNG) and not server.recovery:
        return world, EffectFailed(REJOIN_FAILED, SAID)
    if not source.answers or source.recovery:
        return world, Rejoining(False, SAID)
    back = replace(
        server, process=UP, recovery=True, guard=0, frozen=0, follows=effect.primary,
        timeline=source.timeline, position=source.position,
    )  # fmt: skip
    return world.having(effect.node, back), Rejoined(SAID)
