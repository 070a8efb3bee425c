"""Standbys: frozen, thawed, led to another upstream; and what one lacks is carried over."""

from __future__ import annotations

from typing import TYPE_CHECKING

from failoverd.core.divergence import Divergence
from failoverd.core.effects import (
    Freeze,
    MeasureDivergence,
    ReadSettings,
    Rejoin,
    Repoint,
    Retire,
    Salvage,
    Thaw,
)
from failoverd.core.events import (
    FROZEN_ALREADY,
    REJOIN_FAILED,
    DivergenceMeasured,
    FrozenAt,
    NotConfigured,
    NotSalvaged,
    Repointed,
    Retired,
    Salvaged,
    SettingsRead,
    Thawed,
)
from failoverd.core.model import Evidence, Frozen, Instant, SavedSettings, Timeline, WalEnd, WalLoss
from failoverd.core.schedule import Rejoined, Rejoining
from tests.sim.act import Act
from tests.sim.conduct.on_host import LOOK_LIMIT_S, act_now, act_on, failed, look_at
from tests.sim.kernel import Steps
from tests.sim.postgres import RECORD_BYTES, lsn
from tests.sim.reach import Heard, call

if TYPE_CHECKING:
    from tests.sim.daemon import Daemon


def read_settings(d: Daemon, effect: ReadSettings) -> Steps:
    limit = d.policy.limits.freeze_s
    heard: Heard = yield from call(d.world, d.name, effect.node, Act("settings"), limit)
    if heard.answer is not None and heard.answer.reason == "already_frozen":
        return failed(FROZEN_ALREADY, "it is frozen already")
    if not heard.done or heard.answer is None:
        return failed("not_read", heard.why)
    saved = heard.answer.fields["saved"]
    assert isinstance(saved, SavedSettings)
    return SettingsRead(saved, Evidence("read"))


def freeze(d: Daemon, effect: Freeze) -> Steps:
    heard: Heard = yield from act_now(d, effect.node, "freeze", effect.epoch)
    if not heard.done or heard.answer is None:
        return failed("not_frozen", heard.why)
    found = heard.answer.fields
    assert d.life is not None
    d.life.frozen_at[effect.node, effect.epoch] = Instant(d.monotonic())
    frozen = Frozen(effect.node, found["position"], found["timeline"], effect.saved)  # type: ignore[arg-type]
    return FrozenAt(frozen, Evidence("frozen"))


def thaw(d: Daemon, effect: Thaw) -> Steps:
    assert d.life is not None
    d.life.frozen_at = {k: at for k, at in d.life.frozen_at.items() if k[0] != effect.node}
    heard: Heard = yield from act_now(d, effect.node, "thaw", effect.epoch, effect.saved)
    return Thawed(Evidence("thawed")) if heard.done else failed("not_thawed", heard.why)


def repoint(d: Daemon, effect: Repoint) -> Steps:
    """Its own settings again but for its upstream."""
    values = (("primary_conninfo", str(effect.upstream)), ("primary_slot_name", ""))
    told = SavedSettings(values)
    heard: Heard = yield from act_now(d, effect.node, "repoint", effect.epoch, told)
    return Repointed(Evidence("told")) if heard.done else failed("not_repointed", heard.why)


def retire(d: Daemon, effect: Retire) -> Steps:
    heard, seen = yield from look_at(d, effect.node)
    if seen is None:
        return failed("not_retired", heard.why)
    limit, last = d.policy.limits.fence_s, effect.timeline
    heard = yield from act_on(d, effect.node, "retire", seen, effect.epoch, limit, marker=last)
    return Retired(Evidence("done")) if heard.done else failed("not_retired", heard.why)


def salvage(d: Daemon, effect: Salvage) -> Steps:
    source, node = effect.source, effect.candidate
    if source is None:
        yield 0.001
        return NotConfigured(Evidence("nobody's disk is read"))
    heard: Heard = yield from call(d.world, d.name, source, Act("wal_end"), LOOK_LIMIT_S)
    if not heard.done or heard.answer is None:
        return NotSalvaged(Evidence(heard.why))
    wal, timeline = heard.answer.fields["wal"], heard.answer.fields["timeline"]
    assert isinstance(wal, tuple)
    end = WalEnd(Timeline(timeline), lsn(len(wal) - 1), lsn(len(wal)))  # type: ignore[arg-type]
    if timeline != effect.timeline:
        return NotSalvaged(Evidence("its disk is on another timeline"))
    said = Evidence(f"{node} has what {source} had")
    saved = Salvaged(WalLoss(0, True, "nothing"), said, end)
    candidate = d.world.server(node)
    if effect.position is not None and effect.position >= end.end:
        return saved
    _, seen = yield from look_at(d, node)
    if seen is None:
        return NotSalvaged(Evidence("its host does not answer"), end, True)
    limit = d.policy.limits.freeze_s
    heard = yield from act_on(d, node, "carry", seen, effect.epoch, limit, carried=wal)
    if not heard.done:
        return NotSalvaged(Evidence(heard.why), end, heard.answer is None)
    return saved if len(candidate.wal) >= len(wal) else NotSalvaged(Evidence("not all"), end)


def measure(d: Daemon, effect: MeasureDivergence) -> Steps:
    """What one has and the other has not, as its own disk shows it."""
    heard: Heard = yield from call(d.world, d.name, effect.node, Act("wal_end"), LOOK_LIMIT_S)
    if not heard.done or heard.answer is None:
        return failed("not_measured", heard.why)
    server, other = d.world.server(effect.node), d.world.server(effect.against)
    same = 0
    for a, b in zip(server.wal, other.wal, strict=False):
        if a != b:
            break
        same += 1
    left = server.wal[same:]
    found = Divergence(
        node=effect.node,
        against=effect.against,
        timeline=effect.timeline,
        fork=lsn(same),
        commits=sum(one > 0 for one in left),
        wal_bytes=len(left) * RECORD_BYTES,
        complete=True,
        running=server.may_commit(),
        commands=(),
    )
    return DivergenceMeasured(found, Evidence("measured"))


def rejoin(d: Daemon, effect: Rejoin) -> Steps:
    """Rewound or copied from the primary, and started as its standby; all in one here."""
    world, source = d.world, d.world.server(effect.primary)
    server, host = world.server(effect.node), world.hosts[effect.node]
    heard, seen = yield from look_at(d, effect.node)
    if seen is None:
        return failed("not_rejoined", heard.why)
    yield 0.4
    if server.may_commit():
        return failed(REJOIN_FAILED, "it takes writes")
    whole = world.both_ways(effect.node, effect.primary) and host.runs and not host.disk_full
    if not whole or not source.serving(world.now) or source.recovery:
        return Rejoining(False, Evidence("its source does not answer"))
    world.tell(effect.node, f"is rewound by {d.name}, to follow {effect.primary}")
    world.die(server)
    server.wal, server.timeline, server.history = list(source.wal), source.timeline, source.history
    server.standby_signal, server.marker = True, None
    server.slot, server.conninfo = "", effect.primary
    server.by_hand = server.powered_off = host.kept_down = False
    world.start(effect.node, by=d.name)
    return Rejoined(Evidence("it streams, or will"))
