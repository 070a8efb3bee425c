"""What each effect does in this world, step by step, as effect/ does it on real hosts.

It looks before it acts, its act expires, its answer may be lost. A new effect of the core must be
given its conduct here: until then the simulator refuses to run it.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from failoverd.core.divergence import Divergence
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
    StopMode,
    Thaw,
    Unfence,
    Unguard,
)
from failoverd.core.events import (
    FROZEN_ALREADY,
    REJOIN_FAILED,
    STALE_EPOCH,
    Confirmed,
    DivergenceMeasured,
    EffectFailed,
    Equipped,
    Fenced,
    FrozenAt,
    KeptDown,
    NotConfigured,
    NotSalvaged,
    Promoted,
    Quarantined,
    Repointed,
    Retired,
    Salvaged,
    SettingsRead,
    StillAlive,
    SynchronousSet,
    TargetClosed,
    Thawed,
    Unfenced,
    Unguarded,
)
from failoverd.core.model import (
    PROOF_LIFETIME_S,
    ControlState,
    Epoch,
    Evidence,
    FenceProof,
    Frozen,
    Guard,
    HostFacts,
    Instant,
    NodeName,
    Outcome,
    ProofKind,
    SavedSettings,
    Timeline,
    WalEnd,
    WalLoss,
)
from failoverd.core.schedule import Checkpointed, Rejoined, Rejoining
from failoverd.core.synchronous import parse
from tests.sim.host_program import ALIVE, EXPIRED, FOREIGN_GUARD, WRONG_CLUSTER, Act
from tests.sim.host_program import STALE_EPOCH as EXIT_STALE_EPOCH
from tests.sim.kernel import Steps
from tests.sim.postgres import RECORD_BYTES, SyncNames, lsn, position_of
from tests.sim.reach import Heard, call, connect_outcome, with_seen_at

if TYPE_CHECKING:
    from tests.sim.daemon import Daemon

ACT_LIFETIME_S = 2.0
JUST_NOW_S = 0.5
LOOK_LIMIT_S = 5.0
LAST_LOOK_S = 0.25


def acting(d: Daemon, effect: Effect) -> Steps:
    """Perform an effect: whoever performs one answers exactly once."""
    conduct = CONDUCT.get(type(effect))
    if conduct is None:
        name = type(effect).__name__
        raise AssertionError(f"tests/sim/acting.py must say what {name} does in this world")
    return conduct(d, effect)


def _failed(reason: str, sentence: str) -> EffectFailed:
    return EffectFailed(reason, Evidence(sentence))


# Looks and acts on a host.


def _look(d: Daemon, node: NodeName, timeout_s: float = LOOK_LIMIT_S) -> Steps:
    asked_at = d.monotonic()
    heard: Heard = yield from call(d.world, d.name, node, Act("status"), timeout_s)
    if not heard.done or heard.answer is None:
        return heard, None
    return heard, with_seen_at(heard.answer, asked_at).facts


def _just_seen(d: Daemon, node: NodeName) -> HostFacts | None:
    host = d.machine.view.report(node).host
    if not host.look.ok or host.facts is None:
        return None
    return host.facts if d.monotonic() - host.facts.seen_at <= JUST_NOW_S else None


def _act(
    d: Daemon,
    node: NodeName,
    verb: str,
    seen: HostFacts,
    epoch: int,
    timeout_s: float,
    *,
    mode: StopMode | None = None,
    saved: SavedSettings | None = None,
    marker: int = 0,
    carried: tuple[int, ...] = (),
    automatic: bool = False,
) -> Steps:
    act = Act(
        verb,
        d.machine.memory.system_identifier or "",
        d.name,
        epoch,
        seen.boot_id,
        seen.uptime_s + ACT_LIFETIME_S,
        mode,
        saved,
        marker,
        carried,
        automatic=automatic,
    )
    return (yield from call(d.world, d.name, node, act, timeout_s))


def _act_now(
    d: Daemon, node: NodeName, verb: str, epoch: int, saved: SavedSettings | None = None
) -> Steps:
    limit = d.policy.limits.freeze_s
    seen = _just_seen(d, node)
    if seen is not None:
        heard: Heard = yield from _act(d, node, verb, seen, epoch, limit, saved=saved)
        if heard.answer is None or heard.answer.status != EXPIRED:
            return heard
    heard, seen = yield from _look(d, node)
    if seen is None:
        return heard
    return (yield from _act(d, node, verb, seen, epoch, limit, saved=saved))


def _serves(d: Daemon, node: NodeName) -> Steps:
    """The last look: it answers SQL and is not in recovery."""
    outcome = connect_outcome(d.world, d.name, node)
    yield LAST_LOOK_S if outcome is Outcome.TIMED_OUT else 0.004
    return outcome is Outcome.OK and not d.world.server(node).recovery


# The fence and its ladder.


def _fence(d: Daemon, effect: Fence) -> Steps:
    failures: list[str] = []
    reason = "no_proof"
    agent = d.world.hosts[effect.node].agent
    for rung in ("stop", "agent") if agent else ("stop",):
        found: FenceProof | StillAlive | tuple[str, str]
        if rung == "stop":
            found = yield from _stop(d, effect)
        else:
            found = yield from _agent(d, effect)
        if isinstance(found, FenceProof):
            return Fenced(found)
        if isinstance(found, StillAlive):
            return found
        why, goes = found
        failures.append(why)
        if goes == "numbered anew":
            reason = STALE_EPOCH
        if goes:
            break
    return EffectFailed(reason, Evidence("; ".join(failures)), "failoverd fenced")


def _automatic(d: Daemon) -> bool:
    incident = d.machine.incident
    return incident is not None and incident.trigger == "automatic"


def _stop(d: Daemon, effect: Fence) -> Steps:
    node = effect.node
    if effect.mode is StopMode.IMMEDIATE and (yield from _serves(d, node)):
        return StillAlive(Evidence(f"{node} answers again"))
    seen = _just_seen(d, node)
    if seen is None:
        heard, seen = yield from _look(d, node, 1.0 if d.world.hosts[node].agent else 5.0)
        if seen is None:
            return (heard.why, "")
        if effect.mode is StopMode.IMMEDIATE and (yield from _serves(d, node)):
            return StillAlive(Evidence(f"{node} answers again"))
    unlike = _unlike(d, node, seen)
    if unlike is not None:
        return unlike
    limit = d.policy.limits.fence_s
    automatic = _automatic(d) and node == d.machine.memory.primary
    heard = yield from _act(
        d, node, "stop", seen, effect.epoch, limit, mode=effect.mode, automatic=automatic
    )
    answer = heard.answer
    if answer is not None and answer.status == ALIVE:
        return StillAlive(Evidence(answer.reason))
    if not heard.done:
        return (heard.why, _after(heard))
    asked_at = d.monotonic()
    facts = with_seen_at(answer, asked_at).facts
    assert facts is not None
    if facts.guard is not Guard.OURS:
        return ("the guard is not in place", "")
    under_guard = answer.fields.get("in_recovery_under_guard")
    if not under_guard and (facts.processes or facts.listener):
        return ("processes are left", "")
    unlike = _unlike(d, node, facts)
    if unlike is not None:
        return unlike
    served = yield from _serves(d, node)
    if served:
        return ("something still answers as a primary at its address", "")
    for _ in range(20):
        if under_guard or not any(_streams_from(d, n, node) for n in d.world.hosts if n != node):
            break
        yield 0.1
    else:
        return ("a standby still streams from it", "")
    clean = facts.control_state is ControlState.SHUT_DOWN
    return FenceProof(
        ProofKind.STOPPED,
        node,
        effect.epoch,
        Instant(facts.seen_at),
        facts.control_state,
        facts.checkpoint_lsn if clean else None,
        Evidence(f"{node} is stopped"),
    )


def _after(heard: Heard) -> str:
    status = None if heard.answer is None else heard.answer.status
    if status == EXIT_STALE_EPOCH:
        return "numbered anew"
    return "no further" if status in (WRONG_CLUSTER, FOREIGN_GUARD) else ""


def _unlike(d: Daemon, node: NodeName, facts: HostFacts) -> tuple[str, str] | None:
    """As effect/fence/stop.py holds a host to what it was calibrated by."""
    if facts.system_identifier != d.machine.memory.system_identifier:
        return ("another cluster", "no further")
    known = d.machine.memory.calibrations.get(node)
    if known is None:
        return ("its host was never seen to see this server alive", "")
    same = (known.boot_id, known.user, known.directory_identity) == (
        facts.boot_id,
        facts.user,
        facts.directory_identity,
    )
    return None if same else ("its host or data directory is another one", "")


def _streams_from(d: Daemon, standby: NodeName, node: NodeName) -> bool:
    """What a standby that we reach says of its receiver."""
    if connect_outcome(d.world, d.name, standby) is not Outcome.OK:
        return False
    stream = d.world.server(standby).stream
    return stream is not None and stream.upstream == node


def _heard_at(d: Daemon, node: NodeName) -> dict[NodeName, tuple[int, float]]:
    return {
        n: (d.world.server(n).received, stream.heard_at)
        for n in d.world.hosts
        if n != node
        and _streams_from(d, n, node)
        and (stream := d.world.server(n).stream) is not None
    }


def _agent(d: Daemon, effect: Fence) -> Steps:
    """A fence agent: `off`, then `status`; and nobody may hear the node any more."""
    world, node = d.world, effect.node
    host = world.hosts[node]
    if effect.mode is not StopMode.FAST and (yield from _serves(d, node)):
        return StillAlive(Evidence(f"{node} answers again"))
    kind = host.agent
    began = world.now
    yield 6.0 if kind == "slow" else 1.0
    if kind == "broken":
        return ("its fence agent does not answer", "")
    if kind == "lying":
        world.lied = True
        world.tell(node, "its fence agent lies: nothing was turned off")
    else:
        if host.server.may_commit():
            automatic = _automatic(d) and node == d.machine.memory.primary
            act = Act("agent", owner=d.name, began=began, automatic=automatic)
            world.happened("stopping", (host.server, act))
        world.power_off(host)
        host.server.powered_off = True
        world.tell(node, f"is turned off by a fence agent for {d.name}")
    asked_at = d.monotonic()
    served = yield from _serves(d, node)
    first = _heard_at(d, node)
    yield 0.4
    second = _heard_at(d, node)
    moved = [n for n in second if n in first and first[n] != second[n]]
    answers = world.both_ways(d.name, node) and host.runs
    if served or moved or answers:
        return ("its fence agent says that it is off, and it is heard", "")
    unknown = ControlState.UNKNOWN
    said = Evidence(f"{node} is off")
    proved = Instant(asked_at)
    return FenceProof(ProofKind.POWERED_OFF, node, effect.epoch, proved, unknown, None, said)


# Standbys.


def _read_settings(d: Daemon, effect: ReadSettings) -> Steps:
    limit = d.policy.limits.freeze_s
    heard: Heard = yield from call(d.world, d.name, effect.node, Act("settings"), limit)
    if heard.answer is not None and heard.answer.reason == "already_frozen":
        return _failed(FROZEN_ALREADY, "it is frozen already")
    if not heard.done or heard.answer is None:
        return _failed("not_read", heard.why)
    saved = heard.answer.fields["saved"]
    assert isinstance(saved, SavedSettings)
    return SettingsRead(saved, Evidence("read"))


def _freeze(d: Daemon, effect: Freeze) -> Steps:
    heard: Heard = yield from _act_now(d, effect.node, "freeze", effect.epoch)
    if not heard.done or heard.answer is None:
        return _failed("not_frozen", heard.why)
    found = heard.answer.fields
    frozen = Frozen(effect.node, found["position"], found["timeline"], effect.saved)  # type: ignore[arg-type]
    return FrozenAt(frozen, Evidence("frozen"))


def _thaw(d: Daemon, effect: Thaw) -> Steps:
    heard: Heard = yield from _act_now(d, effect.node, "thaw", effect.epoch, effect.saved)
    return Thawed(Evidence("thawed")) if heard.done else _failed("not_thawed", heard.why)


def _repoint(d: Daemon, effect: Repoint) -> Steps:
    """Its own settings again but for its upstream."""
    values = (("primary_conninfo", str(effect.upstream)), ("primary_slot_name", ""))
    told = SavedSettings(values)
    heard: Heard = yield from _act_now(d, effect.node, "repoint", effect.epoch, told)
    return Repointed(Evidence("told")) if heard.done else _failed("not_repointed", heard.why)


def _equip(d: Daemon, effect: Equip) -> Steps:
    """There are no slots in this world."""
    outcome = connect_outcome(d.world, d.name, effect.node)
    yield d.policy.timeout_s if outcome is Outcome.TIMED_OUT else 0.02
    if outcome is not Outcome.OK or d.world.server(effect.node).recovery:
        return _failed("not_equipped", f"{effect.node}: {outcome}")
    return Equipped(Evidence("done"))


# Salvage.


def _salvage(d: Daemon, effect: Salvage) -> Steps:
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
    _, seen = yield from _look(d, node)
    if seen is None:
        return NotSalvaged(Evidence("its host does not answer"), end, True)
    limit = d.policy.limits.freeze_s
    heard = yield from _act(d, node, "carry", seen, effect.epoch, limit, carried=wal)
    if not heard.done:
        return NotSalvaged(Evidence(heard.why), end, heard.answer is None)
    return saved if len(candidate.wal) >= len(wal) else NotSalvaged(Evidence("not all"), end)


# The new primary.


def _promote(d: Daemon, effect: Promote) -> Steps:
    world, node = d.world, effect.candidate
    if effect.proof.epoch != effect.epoch:
        return _failed("stale_proof", "the proof is of another epoch")
    if effect.proof.kind is ProofKind.POWERED_OFF:
        agent = world.hosts[effect.proof.node]
        yield 0.5
        if agent.agent != "lying" and agent.up:
            return StillAlive(Evidence("it is on again"))
    for other in sorted(world.hosts):
        if other != node and (yield from _serves(d, other)):
            return StillAlive(Evidence(f"{other} takes writes"))
    deadline = min(
        d.monotonic() + d.policy.limits.promote_s, effect.proof.proved_at + PROOF_LIFETIME_S
    )
    accepted = False
    while d.monotonic() < deadline:
        outcome = connect_outcome(world, d.name, node)
        yield d.policy.timeout_s if outcome is Outcome.TIMED_OUT else 0.004
        outcome = connect_outcome(world, d.name, node)
        if outcome is not Outcome.OK:
            return _failed("no_answer", f"{node}: {outcome}, unknown")
        server = world.server(node)
        if not server.recovery:
            return Promoted(Evidence(f"{node} left recovery"))
        fits = (
            server.system == d.machine.memory.system_identifier
            and server.received >= position_of(effect.position)
            and server.slot == f"failoverd_frozen_{effect.epoch}"
            and server.stream is None
        )
        if not fits and not accepted:
            return _failed("refused", "its own guard refused")
        if fits:
            accepted = True
            if effect.synchronous is not None:
                server.sync, server.sync_since = _named(effect.synchronous), world.now
            world.happened("asked", (server, effect, d))
            within = world.random.choice((0.02, 0.05, 0.3, 3.0))
            world.ask_to_promote(server, d.name, world.promotes_in or within)
        yield 0.1
    return _failed("pending", f"{node} was asked and is still in recovery")


def _confirm(d: Daemon, effect: Confirm) -> Steps:
    world, node = d.world, effect.candidate
    deadline = d.monotonic() + d.policy.limits.confirm_s
    while True:
        outcome = connect_outcome(world, d.name, node)
        yield d.policy.timeout_s if outcome is Outcome.TIMED_OUT else 0.005
        outcome = connect_outcome(world, d.name, node)
        server, host = world.server(node), world.hosts[node]
        seen = outcome is Outcome.OK and not server.recovery and not host.disk_full
        if seen and server.timeline > effect.old_timeline:
            world.commit(server, "check local")
            world.release(server)
            hangs = not world.held(server, server.sync, len(server.wal))
            timeline, at = Timeline(server.timeline), lsn(len(server.wal))
            said = Evidence(f"{node} is the primary on timeline {timeline} and writes")
            return Confirmed(timeline, at, hangs, (), "no log here", said)
        if d.monotonic() >= deadline:
            return _failed("unconfirmed", f"{node}: {outcome}")
        yield 0.1


# The way back, and first contact.


def _unguard(d: Daemon, node: NodeName, epoch: Epoch, mode: StopMode | None = None) -> Steps:
    heard, seen = yield from _look(d, node)
    if seen is None:
        return _failed("not_unguarded", heard.why)
    if seen.guard is not Guard.OURS:
        return Unguarded(Evidence("it has no guard of ours"))
    if seen.guard_epoch is not None and seen.guard_epoch > epoch:
        return _failed("not_unguarded", "its guard is of a newer incident")
    marker = seen.guard_epoch or epoch
    limit = d.policy.limits.freeze_s
    heard = yield from _act(d, node, "unguard", seen, epoch, limit, mode=mode, marker=marker)
    return Unguarded(Evidence("done")) if heard.done else _failed("not_unguarded", heard.why)


def _unfence(d: Daemon, effect: Unfence) -> Steps:
    for other in sorted(d.world.hosts):
        if other != effect.node and (yield from _serves(d, other)):
            return _failed("others_write", f"{other} takes writes")
    released = yield from _unguard(d, effect.node, effect.epoch, StopMode.FAST)
    if isinstance(released, EffectFailed):
        return released
    heard, seen = yield from _look(d, effect.node)
    if seen is None:
        return _failed("not_started", heard.why)
    if not seen.processes:
        limit = d.policy.limits.promote_s
        heard = yield from _act(d, effect.node, "start", seen, effect.epoch, limit)
        if not heard.done:
            return _failed("not_started", heard.why)
    deadline = d.monotonic() + d.policy.limits.promote_s
    while d.monotonic() < deadline:
        if (yield from _serves(d, effect.node)):
            return Unfenced(Evidence("it is the primary again"))
        yield 0.5
    return _failed("not_writable", "it was started, and does not take writes")


def _quarantine(d: Daemon, effect: Quarantine) -> Steps:
    heard, seen = yield from _look(d, effect.node)
    if seen is None:
        return _failed("not_guarded", heard.why)
    limit = d.policy.limits.fence_s
    mode = StopMode.FAST
    heard = yield from _act(d, effect.node, "stop", seen, effect.epoch, limit, mode=mode)
    if not heard.done:
        return _failed("not_guarded", heard.why)
    return Quarantined(Evidence("guarded and stopped at first contact"))


def _keep_down(d: Daemon, effect: KeepDown) -> Steps:
    heard: Heard = yield from _act_now(d, effect.node, "keep_down", effect.epoch)
    return KeptDown(Evidence("done")) if heard.done else _failed("not_kept_down", heard.why)


def _retire(d: Daemon, effect: Retire) -> Steps:
    heard, seen = yield from _look(d, effect.node)
    if seen is None:
        return _failed("not_retired", heard.why)
    limit, last = d.policy.limits.fence_s, effect.timeline
    heard = yield from _act(d, effect.node, "retire", seen, effect.epoch, limit, marker=last)
    return Retired(Evidence("done")) if heard.done else _failed("not_retired", heard.why)


def _checkpoint(d: Daemon, effect: Checkpoint) -> Steps:
    if (yield from _serves(d, effect.node)):
        return Checkpointed(Evidence("done"))
    return _failed("no_checkpoint", "it does not answer")


def _measure_loss(d: Daemon, effect: MeasureLoss) -> Steps:
    """A figure for people alone: nothing here depends on it."""
    yield 0.01
    return _failed("not_measured", "not of this world")


def _rejoin(d: Daemon, effect: Rejoin) -> Steps:
    """Rewound or copied from the primary, and started as its standby; all in one here."""
    world, source = d.world, d.world.server(effect.primary)
    server, host = world.server(effect.node), world.hosts[effect.node]
    heard, seen = yield from _look(d, effect.node)
    if seen is None:
        return _failed("not_rejoined", heard.why)
    yield 0.4
    if server.may_commit():
        return _failed(REJOIN_FAILED, "it takes writes")
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


def _named(names: str) -> SyncNames | None:
    """What the core has written, as the server reads it."""
    found = parse(names)
    if found is None:
        return None
    return SyncNames(any_of=True, count=found.count, names=tuple(map(NodeName, found.names)))


def _set_synchronous(d: Daemon, effect: SetSynchronous) -> Steps:
    """ALTER SYSTEM and a reload; what is under way waits for the new names."""
    if not (yield from _serves(d, effect.node)):
        return _failed("not_set", "it does not answer as a primary")
    server = d.world.server(effect.node)
    server.sync, server.sync_since = _named(effect.names), d.world.now
    d.world.tell(effect.node, f"is told by {d.name} to wait for {effect.names or 'nobody'}")
    d.world.release(server)
    return SynchronousSet(Evidence("written and reloaded"))


def _measure(d: Daemon, effect: MeasureDivergence) -> Steps:
    """What one has and the other has not, as its own disk shows it."""
    heard: Heard = yield from call(d.world, d.name, effect.node, Act("wal_end"), LOOK_LIMIT_S)
    if not heard.done or heard.answer is None:
        return _failed("not_measured", heard.why)
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


# Ways of the applications: they find the primary by themselves here.


def _redirect(d: Daemon, effect: Redirect) -> Steps:
    yield 0.01
    return NotConfigured(Evidence("applications find it by themselves"))


def _close_target(d: Daemon, effect: CloseTarget) -> Steps:
    yield 0.01
    return TargetClosed(Evidence("there is no way to close"))


def _dead_man(d: Daemon, effect: ArmDeadMan | DisarmDeadMan) -> Steps:
    """No host of this world has one: its timing is explored in tests/explore, tried in the lab."""
    yield 0.01
    return _failed("not_armed", "there is none here")


def _unguard_alone(d: Daemon, effect: Unguard) -> Steps:
    return (yield from _unguard(d, effect.node, effect.epoch))


CONDUCT: dict[type, Callable[[Daemon, Any], Steps]] = {
    Fence: _fence,
    ReadSettings: _read_settings,
    Freeze: _freeze,
    Thaw: _thaw,
    Salvage: _salvage,
    Promote: _promote,
    Confirm: _confirm,
    Redirect: _redirect,
    CloseTarget: _close_target,
    Repoint: _repoint,
    Equip: _equip,
    Unguard: _unguard_alone,
    ArmDeadMan: _dead_man,
    DisarmDeadMan: _dead_man,
    KeepDown: _keep_down,
    Retire: _retire,
    Checkpoint: _checkpoint,
    MeasureLoss: _measure_loss,
    Rejoin: _rejoin,
    SetSynchronous: _set_synchronous,
    MeasureDivergence: _measure,
    Unfence: _unfence,
    Quarantine: _quarantine,
}
"""A new effect of the core is given its conduct here; a test compares the two."""
