"""The fence and its ladder: what stops an old primary, and what proves it (effect/fence)."""

from __future__ import annotations

from typing import TYPE_CHECKING

from failoverd.core.effects import Fence, StopMode
from failoverd.core.events import DEAD_MAN_VOID, STALE_EPOCH, EffectFailed, Fenced, StillAlive
from failoverd.core.model import (
    ControlState,
    Evidence,
    FenceProof,
    Guard,
    HostFacts,
    Instant,
    NodeName,
    Outcome,
    ProofKind,
)
from tests.sim.act import ALIVE, FOREIGN_GUARD, WRONG_CLUSTER, Act
from tests.sim.act import STALE_EPOCH as EXIT_STALE_EPOCH
from tests.sim.conduct.dead_man import VOID, expiry
from tests.sim.conduct.on_host import act_on, just_seen, look_at, serves
from tests.sim.kernel import Steps
from tests.sim.reach import Heard, session_outcome, with_seen_at

if TYPE_CHECKING:
    from tests.sim.daemon import Daemon


def fence(d: Daemon, effect: Fence) -> Steps:
    failures: list[str] = []
    reason = "no_proof"
    for rung in rungs_of(d, effect.node):
        found: FenceProof | StillAlive | tuple[str, str]
        found = yield from RUNGS[rung](d, effect)
        if isinstance(found, FenceProof):
            return Fenced(found)
        if isinstance(found, StillAlive):
            return found
        why, goes = found
        failures.append(why)
        if goes == "numbered anew":
            reason = STALE_EPOCH
        if goes == VOID:
            reason = DEAD_MAN_VOID
        if goes:
            break
    return EffectFailed(reason, Evidence("; ".join(failures)), "failoverd fenced")


def rungs_of(d: Daemon, node: NodeName) -> list[str]:
    """As the ladder of such a cluster would be configured."""
    agent, dead_man = d.world.hosts[node].agent, d.policy.dead_man
    return ["stop", *(["agent"] if agent else []), *(["dead_man"] if dead_man else [])]


def _automatic(d: Daemon) -> bool:
    incident = d.machine.incident
    return incident is not None and incident.trigger == "automatic"


def _stop(d: Daemon, effect: Fence) -> Steps:
    node = effect.node
    if effect.mode is StopMode.IMMEDIATE and (yield from serves(d, node)):
        return StillAlive(Evidence(f"{node} answers again"))
    seen = just_seen(d, node)
    if seen is None:
        heard, seen = yield from look_at(d, node, 1.0 if len(rungs_of(d, node)) > 1 else 5.0)
        if seen is None:
            return (heard.why, "")
        if effect.mode is StopMode.IMMEDIATE and (yield from serves(d, node)):
            return StillAlive(Evidence(f"{node} answers again"))
    unlike = _unlike(d, node, seen)
    if unlike is not None:
        return unlike
    limit = d.policy.limits.fence_s
    automatic = _automatic(d) and node == d.machine.memory.primary
    heard = yield from act_on(
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
    served = yield from serves(d, node)
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
    if session_outcome(d, standby) is not Outcome.OK:
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
    if effect.mode is not StopMode.FAST and (yield from serves(d, node)):
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
            act = Act("agent", owner=d.owner, by=d.name, began=began, automatic=automatic)
            world.happened("stopping", (host.server, act))
        world.power_off(host)
        host.server.powered_off = True
        world.tell(node, f"is turned off by a fence agent for {d.name}")
    asked_at = d.monotonic()
    served = yield from serves(d, node)
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


RUNGS = {"stop": _stop, "agent": _agent, "dead_man": expiry}
