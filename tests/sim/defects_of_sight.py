# ruff: noqa: E501 - text that is replaced stands as it is
"""Deliberate defects: what is remembered, diagnosed and taken for evidence."""

from __future__ import annotations

from tests.sim.defect import of

MEMORY = of(
    "core/memory.py",
    (
        "uncalibrated",
        "return facts if same else None",
        "return facts",
        "A look of another boot, user or directory proves silence.",
    ),
    (
        "never-calibrated",
        "    if known is None or facts.system_identifier != memory.system_identifier:\n        return None\n",
        "    if known is None:\n        return facts\n",
        "A look that was never calibrated proves silence.",
    ),
    (
        "refusal-is-death",
        "    if primary.heard:\n        return replace(\n            memory,\n            last_alive_at",
        "    if primary.held.ok:\n        return replace(\n            memory,\n            last_alive_at",
        "A refusal (too many connections, starting up) counts as a failed round.",
    ),
    (
        "our-fault-counts",
        "if primary.ours or view.our_network_down or view.journal_failing or not primary.round:",
        "if not primary.round:",
        "Rounds that we spoilt ourselves count against the primary.",
    ),
    (
        "standbys-not-heard",
        "    reached = standby.reach_primary\n",
        "    return None\n    reached = standby.reach_primary\n",
        "What standbys and their hosts hear of the primary does not count.",
    ),
    (
        "calibrated-by-anything",
        "        or server.backend_pid not in pids\n",
        "",
        "A host's look is calibrated although it does not see our own session's process.",
    ),
    (
        "hosts-epoch-forgotten",
        "    if facts.epoch > memory.highest_epoch:",
        "    if False:",
        "The epochs that hosts have seen are not regarded.",
    ),
    (
        "still-is-moving",
        "server.received_lsn > before and",
        "server.received_lsn >= before and",
        "A standby that stands still counts as hearing the primary.",
    ),
    (
        "version-forgotten-checkpoint",
        "    if memory.primary_lsn is not None and memory.primary_lsn >= facts.checkpoint_lsn:\n        return memory\n",
        "",
        "An old checkpoint is taken for the primary's last position.",
    ),
)

DIAGNOSIS = of(
    "core/diagnosis.py",
    (
        "threshold-off-by-one",
        "memory.failed_rounds < policy.failures or",
        "memory.failed_rounds < policy.failures - 1 or",
        "One failed round too few is enough.",
    ),
    (
        "threshold-without-time",
        "return now - memory.last_alive_at >= policy.failures * policy.interval_s",
        "return True",
        "Failed rounds alone are enough, however short the time.",
    ),
    (
        "unreachable-at-once",
        "Diagnosis.UNREACHABLE, unreachable, Calls.AFTER_THRESHOLD",
        "Diagnosis.UNREACHABLE, unreachable, Calls.AFTER_TWO_LOOKS",
        "Two looks at a silent primary are enough.",
    ),
    (
        "partitioned-calls",
        "Diagnosis.PARTITIONED, partitioned, Calls.NEVER",
        "Diagnosis.PARTITIONED, partitioned, Calls.AFTER_THRESHOLD",
        "A primary that others reach is failed over.",
    ),
    (
        "busy-calls",
        "Diagnosis.BUSY, busy, Calls.WHEN_SHUTTING_DOWN_FOR_EVER",
        "Diagnosis.BUSY, busy, Calls.AFTER_TWO_LOOKS",
        "A primary that refuses connections is failed over.",
    ),
    (
        "recovering-calls",
        "Diagnosis.RECOVERING, recovering, Calls.AFTER_RECOVERY_LIMIT",
        "Diagnosis.RECOVERING, recovering, Calls.AFTER_TWO_LOOKS",
        "A primary in crash recovery is failed over at once.",
    ),
)

EVIDENCE = of(
    "core/evidence.py",
    (
        "orphans-ignored",
        "if facts is None or facts.processes or facts.listener or not sql_is_silent(s):",
        "if facts is None or not sql_is_silent(s):",
        "Processes that are left do not speak against a crash.",
    ),
    (
        "streaming-ignored",
        "return None if s.primary.held.ok or some_standby_streams(s) else facts",
        "return facts",
        "A standby that still streams does not speak against a crash.",
    ),
    (
        "not-blind",
        "    if s.primary.ours or s.view.our_network_down or s.view.journal_failing:\n        return True\n",
        "",
        "Our own faults are taken for the primary's.",
    ),
    (
        "no-standby-heard",
        "    if not any(r.server is not None for r in s.standbys) or somebody_hears(s):\n        return False\n",
        "",
        "A silent primary is unreachable although no standby answers.",
    ),
    (
        "no-vantage",
        "return a_standby_host_tried(s) or silence_s(s) > WAL_RECEIVER_TIMEOUT_S",
        "return True",
        "A silent primary is unreachable although no standby's host has tried it.",
    ),
    (
        "guard-is-demotion",
        "    if guarded_by_us(s):\n        return False\n",
        "",
        "An old primary under our guard counts as demoted by somebody.",
    ),
)
