"""Who takes over, and why not each of the others.

The furthest position wins, since it holds the most acknowledged commits; `priority`
and then the name break ties, the same way every time. Every refusal has its reason.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from failoverd.core.events import Election
from failoverd.core.memory import Memory
from failoverd.core.model import (
    ClusterView,
    ControlState,
    FenceProof,
    Frozen,
    Lsn,
    NodeName,
    NodeReport,
    ServerFacts,
    WalLoss,
)
from failoverd.core.policy import Policy
from failoverd.core.synchronous import Requirement, parse


@dataclass(frozen=True, slots=True)
class Terms:
    """What an election holds the standbys to."""

    max_loss_bytes: int
    wanted: NodeName | None = None
    proof: FenceProof | None = None
    frozen: Mapping[NodeName, Frozen] | None = None
    """None: a trial on the positions as they are; else only frozen standbys count."""


def elect(view: ClusterView, memory: Memory, policy: Policy, terms: Terms) -> Election:
    """One candidate within `max_data_loss` and the synchronous promise, or none."""
    assert memory.primary is not None
    refused: dict[NodeName, str] = {}
    able: list[tuple[Lsn, int, NodeName]] = []
    for report in view.others(memory.primary):
        reason = _refusal(report, memory, policy, terms)
        if reason is None:
            position = _position(report, terms)
            assert position is not None
            able.append((position, policy.nodes[report.name].priority, report.name))
        else:
            refused[report.name] = reason
    broken = _broken_promise(view, memory, terms, {name for _, _, name in able})
    if broken is not None:
        return Election(None, None, None, {**refused, **{n: broken for _, _, n in able}})
    return _best(able, refused, memory, terms)


def _best(
    able: list[tuple[Lsn, int, NodeName]],
    refused: dict[NodeName, str],
    memory: Memory,
    terms: Terms,
) -> Election:
    promised = memory.promise is not None and parse(memory.promise.standby_names) is not None
    able.sort(key=lambda one: (-one[0].bytes, -one[1], one[2]))
    for position, _, name in able:
        loss = (
            WalLoss(0, True, "no commit that synchronous replication acknowledged")
            if promised and position == able[0][0]
            else wal_loss(position, memory, terms.proof)
        )
        if loss.lost_bytes > terms.max_loss_bytes:
            refused[name] = f"{loss.sentence}; max_data_loss is {terms.max_loss_bytes} bytes"
        elif terms.max_loss_bytes == 0 and not loss.proven:
            refused[name] = f"max_data_loss is 0 and nothing proves it: {loss.sentence}"
        else:
            behind = {n: f"behind {name}" for _, _, n in able if n != name and n not in refused}
            return Election(name, position, loss, {**refused, **behind})
    return Election(None, None, None, refused)


def _refusal(report: NodeReport, memory: Memory, policy: Policy, terms: Terms) -> str | None:
    node = policy.nodes.get(report.name)
    if node is None:
        return "not in the configuration"
    if node.never:
        return "priority: never"
    if terms.wanted is not None and report.name != terms.wanted:
        return f"{terms.wanted} was asked for"
    server = report.server or (report.last_server if terms.frozen is not None else None)
    if server is None:
        return f"does not answer ({report.fresh.outcome})"
    if terms.frozen is not None and report.name not in terms.frozen:
        return "could not be frozen"
    return _unfit(server, report, memory)


def _unfit(server: ServerFacts, report: NodeReport, memory: Memory) -> str | None:
    if not server.in_recovery:
        return "is not in recovery"
    if server.system_identifier != memory.system_identifier:
        return f"belongs to another cluster ({server.system_identifier})"
    if server.version // 10000 != memory.version // 10000:
        return f"runs another major version ({server.version // 10000})"
    timeline = memory.standby_timelines.get(report.name)
    if timeline is None:
        return "was never seen streaming from this cluster"
    if timeline != memory.timeline:
        return f"follows timeline {timeline}, not {memory.timeline}"
    if server.replay_paused:
        return "its replay is paused"
    if server.apply_delay_ms:
        return "is delayed on purpose (recovery_min_apply_delay)"
    if server.received_lsn is None:
        return "its WAL position is unknown"
    return None


def _position(report: NodeReport, terms: Terms) -> Lsn | None:
    if terms.frozen is not None and report.name in terms.frozen:
        return terms.frozen[report.name].position
    return report.server.received_lsn if report.server is not None else None


def _broken_promise(
    view: ClusterView, memory: Memory, terms: Terms, able: set[NodeName]
) -> str | None:
    """n-k+1 of the n promised standbys must be at hand: any k of them may hold a commit."""
    if memory.promise is None or memory.primary is None:
        return None
    requirement = parse(memory.promise.standby_names)
    if requirement is None or _cleanly_beyond(terms):
        return None
    promised = _promised(requirement, memory.promise.synchronous, view, memory.primary)
    needed = max(1, len(promised) - requirement.count + 1)
    at_hand = {n.lower() for n in able} & promised
    if len(at_hand) >= needed:
        return None
    return (
        f"synchronous_standby_names = '{memory.promise.standby_names}' promised every commit to"
        f" {requirement.count} of {sorted(promised)}: {needed} of them must be at hand,"
        f" {sorted(at_hand) or 'none'} is"
    )


def _promised(
    requirement: Requirement, seen: frozenset[str], view: ClusterView, primary: NodeName
) -> set[str]:
    """The standbys that a commit may have been acknowledged by; node names are theirs."""
    if "*" in requirement.names:
        return {n.lower() for n in view.nodes if n != primary} | {n.lower() for n in seen}
    return {name for name in requirement.names if name != primary.lower()}


def _cleanly_beyond(terms: Terms) -> bool:
    """A clean shutdown sends everything first; whoever lies beyond its checkpoint has it all."""
    proof = terms.proof
    if proof is None or terms.frozen is None or proof.shutdown_checkpoint is None:
        return False
    return any(f.position > proof.shutdown_checkpoint for f in terms.frozen.values())


def wal_loss(position: Lsn, memory: Memory, proof: FenceProof | None) -> WalLoss:
    """What is lost if a standby at `position` takes over, in bytes of WAL.

    Proven zero if the old primary was shut down cleanly and the standby lies strictly
    beyond its shutdown checkpoint (the checkpoint record itself was received). Else an
    estimate: last position seen, and what the peak rate may have added since.
    """
    if proof is not None and proof.control_state is ControlState.SHUT_DOWN:
        checkpoint = proof.shutdown_checkpoint
        if checkpoint is not None and position > checkpoint:
            return WalLoss(0, True, f"nothing: {position} lies beyond the checkpoint {checkpoint}")
        return WalLoss(
            0 if checkpoint is None else max(1, checkpoint - position),
            False,
            f"the shutdown checkpoint {checkpoint} was not received: {position}",
        )
    if memory.primary_lsn is None or memory.primary_lsn_at is None:
        return WalLoss(0, False, "unknown: the primary's position was never seen")
    unseen_s = 0.0
    if memory.doubt is not None:
        unseen_s = max(0.0, memory.doubt.since - memory.primary_lsn_at)
    end = memory.primary_lsn.bytes + int(memory.peak_wal_rate * unseen_s)
    lost = max(0, end - position.bytes)
    sentence = (
        f"at most about {lost} bytes (estimated: {memory.primary_lsn} was last seen"
        f" {unseen_s:.1f} s before the failure, at {memory.peak_wal_rate:.0f} bytes/s at most)"
    )
    return WalLoss(lost, False, sentence)
