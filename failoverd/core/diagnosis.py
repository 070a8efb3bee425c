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

from failoverd.core.evidence import (
    Situation,
    always,
    blind,
    busy,
    crashed,
    demoted,
    half_hung,
    healthy,
    hung,
    misconfigured,
    partitioned,
    read_only,
    recovering,
    split_brain,
    stopped,
    sync_blocked,
    unreachable,
    unwritable,
)
from failoverd.core.memory import Memory
from failoverd.core.model import ClusterView, Instant
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
    WHEN_SHUTTING_DOWN_FOR_EVER = "when_shutting_down_for_ever"


Predicate = Callable[[Situation], bool]


@dataclass(frozen=True, slots=True)
class Row:
    diagnosis: Diagnosis
    predicate: Predicate
    calls: Calls
    sentence: str


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
        Diagnosis.BUSY, busy, Calls.WHEN_SHUTTING_DOWN_FOR_EVER,
        "The server answers with a refusal: it is alive.",
    ),
    Row(
        Diagnosis.RECOVERING, recovering, Calls.AFTER_RECOVERY_LIMIT,
        "The server is starting up or in crash recovery.",
    ),
    Row(
        Diagnosis.PARTITIONED, partitioned, Calls.NEVER,
        "We cannot connect, but a standby, a standby's host, its own Unix socket or another daemon"
        " reaches it.",
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
        "PostgreSQL does not answer, its host tells nothing, and no standby or standby's host"
        " reaches it.",
    ),
    Row(
        Diagnosis.UNCLEAR, always, Calls.NEVER,
        "The evidence fits no other diagnosis.",
    ),
)  # fmt: skip

ROW_OF = {row.diagnosis: row for row in ROWS}


def diagnose(view: ClusterView, memory: Memory, policy: Policy) -> Diagnosis:
    """The first row that matches. The memory must have observed this view already."""
    global _latest  # noqa: PLW0603 - one value, replaced whole
    asked, found = _latest
    if asked[0] is view and asked[1] is memory and asked[2] is policy:
        return found
    situation = Situation(view, memory, policy)
    found = next(row.diagnosis for row in ROWS if row.predicate(situation))
    _latest = ((view, memory, policy), found)
    return found


_latest: tuple[tuple[ClusterView, Memory, Policy] | tuple[None, None, None], Diagnosis]
_latest = ((None, None, None), Diagnosis.UNCLEAR)
"""What was last asked, and its answer: each step and whoever shows it ask the same three times."""


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
    lasted = now - max(suspect_since, memory.seen_since)
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
        case Calls.WHEN_SHUTTING_DOWN_FOR_EVER:
            began_at = memory.shutting_down_since
            overdue = began_at is not None and now - began_at >= policy.recovery_limit_s
            return policy.on_clean_stop == "failover" and overdue
