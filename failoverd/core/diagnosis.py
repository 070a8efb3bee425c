"""What is wrong with the primary, by name. Rows of evidence; the first match wins.

A refused port, a lost connection, a missing postmaster and a standby that has lost its
stream are different facts. Each row says whether it is conclusive by itself (two looks
are enough) and whether it calls for failover at all. The sentence is what the log, the
report and the documentation say.
"""

from __future__ import annotations

import enum
from collections.abc import Callable
from dataclasses import dataclass

from failoverd.core.memory import Memory, heard_by
from failoverd.core.model import (
    SILENT,
    SPOKE,
    ClusterView,
    ControlState,
    Guard,
    HostFacts,
    Instant,
    NodeReport,
    Outcome,
)
from failoverd.core.policy import Policy


class Diagnosis(enum.StrEnum):
    BLIND = "blind"
    SPLIT_BRAIN = "split_brain"
    DEMOTED = "demoted"
    MISCONFIGURED = "misconfigured"
    HEALTHY = "healthy"
    READ_ONLY = "read_only"
    SYNC_BLOCKED = "sync_blocked"
    UNWRITABLE = "unwritable"
    BUSY = "busy"
    RECOVERING = "recovering"
    PARTITIONED = "partitioned"
    CRASHED = "crashed"
    STOPPED = "stopped"
    HALF_HUNG = "half_hung"
    HUNG = "hung"
    UNREACHABLE = "unreachable"
    UNCLEAR = "unclear"


class Calls(enum.StrEnum):
    """Whether, and when, a diagnosis calls for failover."""

    NEVER = "never"
    AFTER_TWO_LOOKS = "after_two_looks"
    AFTER_THRESHOLD = "after_threshold"
    AFTER_RECOVERY_LIMIT = "after_recovery_limit"
    BY_CLEAN_STOP_POLICY = "by_clean_stop_policy"
    BY_HALF_HUNG_POLICY = "by_half_hung_policy"
    BY_UNWRITABLE_POLICY = "by_unwritable_policy"


@dataclass(frozen=True, slots=True)
class Situation:
    """What a predicate sees: the present view, the memory before it, the policy."""

    view: ClusterView
    memory: Memory
    policy: Policy

    @property
    def primary(self) -> NodeReport:
        assert self.memory.primary is not None
        return self.view.report(self.memory.primary)

    @property
    def standbys(self) -> tuple[NodeReport, ...]:
        assert self.memory.primary is not None
        return self.view.others(self.memory.primary)


Predicate = Callable[[Situation], bool]


@dataclass(frozen=True, slots=True)
class Row:
    diagnosis: Diagnosis
    predicate: Predicate
    calls: Calls
    sentence: str


def silent(look_outcome: Outcome) -> bool:
    return look_outcome in SILENT


def sql_is_silent(s: Situation) -> bool:
    """Neither the held session nor a fresh connection says anything that a server says."""
    return not s.primary.heard and s.primary.fresh.outcome in SILENT | {Outcome.FAILING}


def blind(s: Situation) -> bool:
    if s.primary.ours or s.view.our_network_down:
        return True
    return not any(r.heard or r.host.look.ok for r in s.view.nodes.values())


def split_brain(s: Situation) -> bool:
    writable = [r for r in s.view.nodes.values() if r.writable and _same_cluster(s, r)]
    return len(writable) > 1


def _same_cluster(s: Situation, report: NodeReport) -> bool:
    server = report.server
    return server is not None and server.system_identifier == s.memory.system_identifier


def demoted(s: Situation) -> bool:
    server = s.primary.server
    return server is not None and server.in_recovery


def misconfigured(s: Situation) -> bool:
    if s.primary.server is not None and not _same_cluster(s, s.primary):
        return s.memory.system_identifier is not None
    return Outcome.MISCONFIGURED in (s.primary.held.outcome, s.primary.fresh.outcome)


def answers(s: Situation) -> bool:
    return s.primary.held.ok and s.primary.fresh.ok and s.primary.writable


def read_only(s: Situation) -> bool:
    return answers(s) and s.primary.server is not None and s.primary.server.read_only


def sync_blocked(s: Situation) -> bool:
    server = s.primary.server
    if not answers(s) or server is None or not server.sync_waiters:
        return False
    return not any(sender.sync_state in ("sync", "quorum") for sender in server.senders)


def unwritable(s: Situation) -> bool:
    return answers(s) and s.primary.write.outcome in SILENT | {Outcome.FAILING, Outcome.REJECTED}


def healthy(s: Situation) -> bool:
    return answers(s) and not read_only(s) and not sync_blocked(s) and not unwritable(s)


def busy(s: Situation) -> bool:
    refusals = {Outcome.TOO_MANY_CONNECTIONS, Outcome.SHUTTING_DOWN, Outcome.REJECTED}
    return bool({s.primary.held.outcome, s.primary.fresh.outcome} & refusals)


def recovering(s: Situation) -> bool:
    return Outcome.STARTING_UP in (s.primary.held.outcome, s.primary.fresh.outcome)


def somebody_hears(s: Situation) -> bool:
    return any(heard_by(r, s.primary, s.memory) is not None for r in s.standbys)


def local_socket_answers(s: Situation) -> bool:
    return s.primary.host.local_socket.outcome in SPOKE


def partitioned(s: Situation) -> bool:
    if not sql_is_silent(s) or s.primary.held.ok:
        return False
    if local_socket_answers(s):
        return True
    stuck_at_home = s.primary.host.local_socket.outcome is Outcome.TIMED_OUT
    return somebody_hears(s) and not stuck_at_home


def host_look(s: Situation) -> HostFacts | None:
    """The host's facts, if this round asked for them and the look is calibrated (rule 3)."""
    host = s.primary.host
    facts = host.facts
    if not host.look.ok or facts is None or host.look.began_at < s.primary.began_at:
        return None
    calibration = s.memory.calibrations.get(s.primary.name)
    if calibration is None or facts.system_identifier != s.memory.system_identifier:
        return None
    same = (
        calibration.boot_id == facts.boot_id
        and calibration.user == facts.user
        and calibration.directory_identity == facts.directory_identity
    )
    return facts if same else None


def nothing_runs(s: Situation) -> HostFacts | None:
    facts = host_look(s)
    if facts is None or facts.processes or facts.listener or not sql_is_silent(s):
        return None
    return None if s.primary.held.ok or some_standby_streams(s) else facts


def some_standby_streams(s: Situation) -> bool:
    """A reachable direct standby has a receiver row that streams from the primary."""
    for report in s.standbys:
        server = report.server
        if server is None or server.receiver is None or server.receiver.status != "streaming":
            continue
        if direct(s, server.receiver.sender_host, server.receiver.sender_port):
            return True
    return False


def direct(s: Situation, host: str, port: int) -> bool:
    """The upstream is the primary, as far as addresses tell: no other node has this one."""
    return not any(
        node.host == host and node.port == port
        for name, node in s.policy.nodes.items()
        if name != s.memory.primary
    )


SHUT_DOWN = frozenset({ControlState.SHUT_DOWN, ControlState.SHUT_DOWN_IN_RECOVERY})


def crashed(s: Situation) -> bool:
    facts = nothing_runs(s)
    return facts is not None and facts.control_state not in SHUT_DOWN


def stopped(s: Situation) -> bool:
    facts = nothing_runs(s)
    return facts is not None and facts.control_state in SHUT_DOWN


def half_hung(s: Situation) -> bool:
    if s.primary.fresh.outcome is not Outcome.TIMED_OUT:
        return False
    return s.primary.held.ok or (sql_is_silent(s) and somebody_hears(s))


def hung(s: Situation) -> bool:
    facts = host_look(s)
    if facts is None or not facts.processes or not sql_is_silent(s):
        return False
    return s.primary.host.local_socket.outcome in SILENT and not somebody_hears(s)


def unreachable(s: Situation) -> bool:
    if not sql_is_silent(s) or s.primary.host.look.outcome not in SILENT:
        return False
    if not any(r.server is not None for r in s.standbys) or somebody_hears(s):
        return False
    return a_standby_host_tried(s) or silence_s(s) > WAL_RECEIVER_TIMEOUT_S


def a_standby_host_tried(s: Situation) -> bool:
    """In this doubt the host of a standby tried to connect to the primary, in vain."""
    doubt = s.memory.doubt
    began = s.primary.began_at if doubt is None else doubt.heard_after
    return any(
        r.reach_primary.outcome in SILENT and r.reach_primary.began_at >= began for r in s.standbys
    )


def silence_s(s: Situation) -> float:
    alive_at = s.memory.last_alive_at
    return 0.0 if alive_at is None else s.primary.began_at - alive_at


WAL_RECEIVER_TIMEOUT_S = 60.0
"""PostgreSQL's default: by then a standby that hears nothing has said so itself."""


def always(_: Situation) -> bool:
    return True


ROWS: tuple[Row, ...] = (
    Row(
        Diagnosis.BLIND, blind, Calls.NEVER,
        "We reach nothing at all, or our own loop, network or disk failed: it is us.",
    ),
    Row(
        Diagnosis.SPLIT_BRAIN, split_brain, Calls.NEVER,
        "Two nodes of one system identifier take writes.",
    ),
    Row(
        Diagnosis.DEMOTED, demoted, Calls.NEVER,
        "The expected primary is in recovery: somebody acted.",
    ),
    Row(
        Diagnosis.MISCONFIGURED, misconfigured, Calls.NEVER,
        "The server answers and turns us away: our role, password, address or certificate is"
        " wrong, or another cluster answers there.",
    ),
    Row(
        Diagnosis.HEALTHY, healthy, Calls.NEVER,
        "Held session and fresh connection answer, and the last write check committed.",
    ),
    Row(
        Diagnosis.READ_ONLY, read_only, Calls.NEVER,
        "The primary answers but is set read-only.",
    ),
    Row(
        Diagnosis.SYNC_BLOCKED, sync_blocked, Calls.NEVER,
        "Commits wait for a synchronous standby that is gone.",
    ),
    Row(
        Diagnosis.UNWRITABLE, unwritable, Calls.BY_UNWRITABLE_POLICY,
        "Reads answer, the local write fails.",
    ),
    Row(
        Diagnosis.BUSY, busy, Calls.NEVER,
        "The server answers with a refusal: it is alive.",
    ),
    Row(
        Diagnosis.RECOVERING, recovering, Calls.AFTER_RECOVERY_LIMIT,
        "The server is starting up or in crash recovery.",
    ),
    Row(
        Diagnosis.PARTITIONED, partitioned, Calls.NEVER,
        "We cannot connect, but a standby, a standby's host or its own Unix socket reaches it.",
    ),
    Row(
        Diagnosis.CRASHED, crashed, Calls.AFTER_TWO_LOOKS,
        "Its host answers: no process of that data directory runs, and it was not shut down.",
    ),
    Row(
        Diagnosis.STOPPED, stopped, Calls.BY_CLEAN_STOP_POLICY,
        "Its host answers: the server was shut down cleanly.",
    ),
    Row(
        Diagnosis.HALF_HUNG, half_hung, Calls.BY_HALF_HUNG_POLICY,
        "New connections time out, but old sessions or its replication still work.",
    ),
    Row(
        Diagnosis.HUNG, hung, Calls.AFTER_THRESHOLD,
        "Its processes exist, but nothing answers, not even on its own Unix socket.",
    ),
    Row(
        Diagnosis.UNREACHABLE, unreachable, Calls.AFTER_THRESHOLD,
        "Neither PostgreSQL nor its host answers, and no standby or standby's host reaches it.",
    ),
    Row(
        Diagnosis.UNCLEAR, always, Calls.NEVER,
        "The evidence fits no other diagnosis.",
    ),
)  # fmt: skip

ROW_OF = {row.diagnosis: row for row in ROWS}


@dataclass(frozen=True, slots=True)
class Finding:
    """A diagnosis, and whether it calls for failover now."""

    diagnosis: Diagnosis
    calls_now: bool
    sentence: str


def diagnose(view: ClusterView, memory: Memory, policy: Policy) -> Diagnosis:
    """The first row that matches. The memory must have observed this view already."""
    situation = Situation(view, memory, policy)
    return next(row.diagnosis for row in ROWS if row.predicate(situation))


FINE = frozenset({Diagnosis.HEALTHY, Diagnosis.READ_ONLY, Diagnosis.SYNC_BLOCKED})
"""The primary serves; nothing is in doubt."""

OVERRIDABLE = frozenset(
    {
        Diagnosis.HEALTHY,
        Diagnosis.READ_ONLY,
        Diagnosis.SYNC_BLOCKED,
        Diagnosis.UNWRITABLE,
        Diagnosis.BUSY,
        Diagnosis.RECOVERING,
        Diagnosis.CRASHED,
        Diagnosis.STOPPED,
        Diagnosis.HALF_HUNG,
        Diagnosis.HUNG,
        Diagnosis.UNREACHABLE,
    }
)
"""Where an operator's override may go ahead; never against rule 4 or our own blindness."""


def guarded_by_us(facts: HostFacts | None) -> bool:
    return facts is not None and facts.guard is Guard.OURS


def past_threshold(memory: Memory, policy: Policy, now: Instant) -> bool:
    """Enough failed rounds, and enough time since anybody last heard the primary."""
    if memory.failed_rounds < policy.failures or memory.last_alive_at is None:
        return False
    return now - memory.last_alive_at >= policy.failures * policy.interval_s


def calls_for_failover(
    diagnosis: Diagnosis, memory: Memory, policy: Policy, suspect_since: Instant, now: Instant
) -> bool:
    """Whether this diagnosis, seen without a break since `suspect_since`, calls for it now.

    AFTER_TWO_LOOKS is the caller's to count: each look is a round of its own.
    """
    lasted = now - suspect_since
    match ROW_OF[diagnosis].calls:
        case Calls.NEVER:
            return False
        case Calls.AFTER_TWO_LOOKS | Calls.AFTER_THRESHOLD:
            return past_threshold(memory, policy, now)
        case Calls.AFTER_RECOVERY_LIMIT:
            return lasted >= policy.recovery_limit_s
        case Calls.BY_CLEAN_STOP_POLICY:
            return policy.on_clean_stop == "failover" and past_threshold(memory, policy, now)
        case Calls.BY_HALF_HUNG_POLICY:
            return policy.on_half_hung == "failover" and lasted >= policy.half_hung_after_s
        case Calls.BY_UNWRITABLE_POLICY:
            return policy.on_unwritable == "failover" and lasted >= policy.threshold_s
