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
from failoverd.core.synchronous import parse


@dataclass(frozen=True, slots=True)
class Terms:
    """What an election holds the standbys to."""

    max_loss_bytes: int
    wanted: NodeName | None = None
    proof: FenceProof | None = None
    frozen: Mapping[NodeName, Frozen] | None = None
    """None: a trial on the positions as they are; else only frozen standbys count."""
    loss_accepted: bool = False
    """An operator accepted a loss in writing: also one that nothing is known of."""


def elect(view: ClusterView, memory: Memory, policy: Policy, terms: Terms) -> Election:
    """One candidate within `max_data_loss` and the synchronous promise, or none."""
    assert memory.primary is not None
    refused: dict[NodeName, str] = {}
    fit: dict[NodeName, Lsn] = {}
    for report in view.others(memory.primary):
        position = _fit(report, memory, terms)
        if isinstance(position, Lsn):
            fit[report.name] = position
        else:
            refused[report.name] = position
    promise = _promise(view, memory, fit)
    able: list[tuple[Lsn, int, NodeName]] = []
    for name, position in fit.items():
        unwanted = _unwanted(name, policy, terms)
        if unwanted is None:
            able.append((position, policy.nodes[name].priority, name))
        else:
            refused[name] = unwanted
    able.sort(key=lambda one: (-one[0].bytes, -one[1], one[2]))
    for position, _, name in able:
        loss = wal_loss(position, memory, terms.proof)
        reason = _too_lossy(loss, memory, terms)
        if not loss.proven and promise is not None:
            reason = promise.refusal(None if terms.frozen is None else position)
            loss = WalLoss(0, True, "no commit that synchronous replication acknowledged")
        if reason is None:
            behind = {n: f"behind {name}" for _, _, n in able if n != name and n not in refused}
            return Election(name, position, loss, {**refused, **behind})
        refused[name] = reason
    return Election(None, None, None, refused)


def _too_lossy(loss: WalLoss, memory: Memory, terms: Terms) -> str | None:
    if loss.lost_bytes > terms.max_loss_bytes:
        return f"{loss.sentence}; max_data_loss is {terms.max_loss_bytes} bytes"
    if loss.proven or terms.loss_accepted:
        return None
    if terms.max_loss_bytes == 0:
        return f"max_data_loss is 0 and nothing proves it: {loss.sentence}"
    return f"its loss is {loss.sentence}" if memory.primary_lsn is None else None


def _unwanted(name: NodeName, policy: Policy, terms: Terms) -> str | None:
    node = policy.nodes.get(name)
    if node is None:
        return "not in the configuration"
    if node.never:
        return "priority: never"
    if terms.wanted is not None and name != terms.wanted:
        return f"{terms.wanted} was asked for"
    return None


def _fit(report: NodeReport, memory: Memory, terms: Terms) -> Lsn | str:
    """Where it stands, if it could go on from there as this cluster; else why it cannot."""
    server = report.server or (report.last_server if terms.frozen is not None else None)
    if server is None:
        return f"does not answer ({report.fresh.outcome})"
    unfit = _unfit(server, report, memory)
    if unfit is not None:
        return unfit
    if terms.frozen is None:
        return server.received_lsn or "its WAL position is unknown"
    frozen = terms.frozen.get(report.name)
    if frozen is None:
        return "could not be frozen"
    if frozen.timeline and frozen.timeline != memory.timeline:
        return f"stands on timeline {frozen.timeline}, not {memory.timeline}"
    return frozen.position


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
    return None


@dataclass(frozen=True, slots=True)
class _Promised:
    """Any `count` of the promised standbys may hold a commit that no other does."""

    words: str
    needed: int
    at_hand: Mapping[NodeName, Lsn]

    def refusal(self, position: Lsn | None) -> str | None:
        """n-k+1 of n at hand, and at the furthest of them: every promised commit is there.

        Positions that still move (None, a trial) are not compared.
        """
        if len(self.at_hand) < self.needed:
            there = ", ".join(sorted(self.at_hand)) or "none"
            return f"{self.words}: {self.needed} of them must be at hand, and at hand: {there}"
        furthest = max(self.at_hand.values())
        if position is not None and position < furthest:
            return f"{self.words}, and one of them is further: {furthest}"
        return None


def _promise(view: ClusterView, memory: Memory, fit: Mapping[NodeName, Lsn]) -> _Promised | None:
    if memory.promise is None or memory.primary is None:
        return None
    requirement = parse(memory.promise.standby_names)
    if requirement is None:
        return None
    names = {_application_name(n, memory).lower(): n for n in view.nodes if n != memory.primary}
    if "*" in requirement.names:
        promised = set(names) | {
            seen.lower() for seen in memory.promise.synchronous if seen.lower() not in names
        }
    else:
        promised = set(requirement.names) - {memory.primary.lower()}
    words = (
        f"synchronous_standby_names = '{memory.promise.standby_names}' promised every commit to"
        f" {requirement.count} of {', '.join(sorted(promised))}"
    )
    at_hand = {
        names[name]: fit[names[name]] for name in promised if name in names and names[name] in fit
    }
    return _Promised(words, max(1, len(promised) - requirement.count + 1), at_hand)


def _application_name(node: NodeName, memory: Memory) -> str:
    return memory.application_names.get(node, node)


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
    if memory.primary_lsn is None:
        return WalLoss(0, False, "unknown: the primary's position was never seen")
    end, since = memory.primary_lsn, "before this process began"
    if memory.primary_lsn_at is not None:
        until = memory.primary_lsn_at if memory.doubt is None else memory.doubt.since
        unseen_s = max(0.0, until - memory.primary_lsn_at)
        end = Lsn(end.bytes + int(memory.peak_wal_rate * unseen_s))
        since = (
            f"{unseen_s:.1f} s before the failure, at {memory.peak_wal_rate:.0f} bytes/s at most"
        )
    lost = max(0, end - position)
    sentence = f"at most about {lost} bytes (estimated: {memory.primary_lsn} was last seen {since})"
    return WalLoss(lost, False, sentence)
