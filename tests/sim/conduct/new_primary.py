"""The new primary: asked to promote, confirmed, equipped, told whom to wait for."""

from __future__ import annotations

from typing import TYPE_CHECKING

from failoverd.core.effects import Checkpoint, Confirm, Equip, Promote, SetSynchronous
from failoverd.core.events import Confirmed, Equipped, Promoted, StillAlive, SynchronousSet
from failoverd.core.leadership import frozen_slot
from failoverd.core.model import PROOF_LIFETIME_S, Evidence, NodeName, Outcome, ProofKind, Timeline
from failoverd.core.schedule import Checkpointed
from failoverd.core.synchronous import parse
from tests.sim.act import Act
from tests.sim.conduct.on_host import failed, serves
from tests.sim.kernel import Steps
from tests.sim.postgres import SyncNames, lsn, position_of
from tests.sim.reach import connect_outcome, session_outcome

if TYPE_CHECKING:
    from tests.sim.daemon import Daemon


def promote(d: Daemon, effect: Promote) -> Steps:
    world, node = d.world, effect.candidate
    if effect.proof.epoch != effect.epoch:
        return failed("stale_proof", "the proof is of another epoch")
    if effect.proof.kind is ProofKind.POWERED_OFF:
        agent = world.hosts[effect.proof.node]
        yield 0.5
        if agent.agent != "lying" and agent.up:
            return StillAlive(Evidence("it is on again"))
    for other in sorted(world.hosts):
        if other != node and (yield from serves(d, other)):
            return StillAlive(Evidence(f"{other} takes writes"))
    deadline = min(
        d.monotonic() + d.policy.limits.promote_s, effect.proof.proved_at + PROOF_LIFETIME_S
    )
    accepted = False
    while d.monotonic() < deadline:
        outcome = session_outcome(d, node)
        yield d.policy.timeout_s if outcome is Outcome.TIMED_OUT else 0.004
        outcome = session_outcome(d, node)
        if outcome is not Outcome.OK:
            return failed("no_answer", f"{node}: {outcome}, unknown")
        server = world.server(node)
        if not server.recovery:
            return Promoted(Evidence(f"{node} left recovery"))
        fits = (
            server.system == d.machine.memory.system_identifier
            and server.received >= position_of(effect.position)
            and server.slot == frozen_slot(effect.epoch, d.owner)
            and server.stream is None
        )
        if not fits and not accepted:
            return failed("refused", "its own guard refused")
        if not d.may_act:
            return failed("not_leading", "it does not lead any more")
        if fits:
            accepted = True
            if effect.synchronous is not None:
                server.sync, server.sync_since = _named(effect.synchronous), world.now
            world.happened("asked", (server, effect, d))
            world.happened("acts", Act("promote", owner=d.owner, by=d.name))
            within = world.random.choice((0.02, 0.05, 0.3, 3.0))
            world.ask_to_promote(server, d.name, world.promotes_in or within)
        yield 0.1
    return failed("pending", f"{node} was asked and is still in recovery")


def confirm(d: Daemon, effect: Confirm) -> Steps:
    world, node = d.world, effect.candidate
    deadline = d.monotonic() + d.policy.limits.confirm_s
    while True:
        outcome = session_outcome(d, node)
        yield d.policy.timeout_s if outcome is Outcome.TIMED_OUT else 0.005
        outcome = session_outcome(d, node)
        server, host = world.server(node), world.hosts[node]
        seen = outcome is Outcome.OK and not server.recovery and not host.disk_full
        if seen and server.timeline > effect.old_timeline:
            world.commit(server, "check local")
            world.release(server)
            hangs = not world.held(server, server.sync, len(server.wal))
            timeline, at = Timeline(server.timeline), lsn(len(server.wal))
            world.happened("wrote", server)
            said = Evidence(f"{node} is the primary on timeline {timeline} and writes")
            return Confirmed(timeline, at, hangs, (), "no log here", said)
        if d.monotonic() >= deadline:
            return failed("unconfirmed", f"{node}: {outcome}")
        yield 0.1


def equip(d: Daemon, effect: Equip) -> Steps:
    """There are no slots in this world."""
    outcome = connect_outcome(d.world, d.name, effect.node)
    yield d.policy.timeout_s if outcome is Outcome.TIMED_OUT else 0.02
    if outcome is not Outcome.OK or d.world.server(effect.node).recovery:
        return failed("not_equipped", f"{effect.node}: {outcome}")
    return Equipped(Evidence("done"))


def checkpoint(d: Daemon, effect: Checkpoint) -> Steps:
    if (yield from serves(d, effect.node)):
        return Checkpointed(Evidence("done"))
    return failed("no_checkpoint", "it does not answer")


def _named(names: str) -> SyncNames | None:
    """What the core has written, as the server reads it."""
    found = parse(names)
    if found is None:
        return None
    return SyncNames(any_of=True, count=found.count, names=tuple(map(NodeName, found.names)))


def set_synchronous(d: Daemon, effect: SetSynchronous) -> Steps:
    """ALTER SYSTEM and a reload; what is under way waits for the new names."""
    if not (yield from serves(d, effect.node)):
        return failed("not_set", "it does not answer as a primary")
    server = d.world.server(effect.node)
    server.sync, server.sync_since = _named(effect.names), d.world.now
    d.world.tell(effect.node, f"is told by {d.name} to wait for {effect.names or 'nobody'}")
    d.world.release(server)
    return SynchronousSet(Evidence("written and reloaded"))
