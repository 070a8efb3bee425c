# ruff: noqa: E501 - text that is replaced stands as it is
"""Deliberate defects: who is fenced, who takes over, and what a proof allows."""

from __future__ import annotations

from tests.sim.defect import of

DECISION = of(
    "core/decision.py",
    (
        "rules-not-asked",
        "    if refused is not None:\n        return refused\n",
        "",
        "A failover begins whatever cooldown, daily limit and a primary never seen healthy say.",
    ),
    (
        "beside-a-writer",
        "    if writing:\n",
        "    if False:\n",
        "It begins although another node takes writes.",
    ),
    (
        "beside-another-daemon",
        "    if frozen:\n",
        "    if False:\n",
        "It begins although another daemon has frozen a standby, and may have asked it to promote.",
    ),
    (
        "fence-without-candidate",
        "    if election.candidate is None:\n        return _blocked(BlockReason.NO_CANDIDATE",
        "    if False:\n        return _blocked(BlockReason.NO_CANDIDATE",
        "The primary is fenced although nobody could take over.",
    ),
    (
        "cooldown-clock-backwards",
        "return p.cooldown_s if passed < 0 else",
        "return 0.0 if passed < 0 else",
        "A wall clock that went backwards ends the cooldown.",
    ),
    ("no-cooldown", "    if remaining > 0:\n", "    if False:\n", "There is no cooldown."),
    (
        "one-failover-too-many",
        "len(today) >= p.max_per_day",
        "len(today) > p.max_per_day",
        "One automatic failover more than `max_per_day`.",
    ),
    (
        "never-seen-healthy",
        "if not m.memory.seen_healthy:",
        "if False:",
        "A primary that was never seen healthy is failed over.",
    ),
    (
        "shoot-the-living",
        "            return StopMode.IMMEDIATE\n",
        "            return StopMode.FAST\n",
        "A primary that hung is stopped although the last look finds it well.",
    ),
    (
        "shoot-the-restarted",
        "            return StopMode.DEAD_ONLY\n",
        "            return StopMode.FAST\n",
        "A primary that crashed is stopped although it was started again meanwhile.",
    ),
    (
        "lossy-switchover",
        "        limit = 0\n",
        "        pass\n",
        "A healthy primary is given up at a loss.",
    ),
    (
        "one-node-is-everyone",
        "return all(view.report(name)",
        "return any(view.report(name)",
        "A restart decides after looking at one node.",
    ),
)

PROOF = of(
    "core/proof.py",
    ("epoch-of-proof", " and proof.epoch == m.epoch", "",
     "A proof of an earlier incident is taken."),
    ("proof-for-ever", "return now.monotonic - proof.proved_at > PROOF_LIFETIME_S", "return False",
     "A proof never grows old."),
    ("superseded-election", "    if superseded(m) is not None:\n        return Starting()\n    writing",
     "    writing", "An election goes on although somebody else was promoted on a later timeline."),
    ("writer-in-election", "    if writing:\n        why = f\"{' and '.join(writing)} takes writes",
     "    if False:\n        why = f\"{' and '.join(writing)} takes writes",
     "An election goes on beside another node that takes writes."),
    ("void-proof-kept", "old.writable and old.server is not None and", "False and",
     "The old primary, seen writable, does not void its proof."),
    ("asked-forgotten", "    if not asked:\n", "    if True:\n",
     "After a proof another node may be elected than the one that was asked to promote."),
    ("superseded-by-the-asked", "if found is None or found in m.asked or", "if found is None or",
     "The node that we asked to promote counts as somebody else's primary."),
    ("older-primary-supersedes", "server.timeline > m.memory.timeline else None",
     "server.timeline != m.memory.timeline else None",
     "A writable node of an older timeline ends the incident."),
    ("fence-again-always", "    if strangers_write(m):\n        return False\n    diagnosis",
     "    return True\n    diagnosis", "A fence is retried whatever the primary looks like by now."),
    ("blocked-before-a-look", "    if m.primary_report.began_at < s.since:\n        return s\n", "",
     "What was seen before a fence failed decides about what follows it."),
    ("asked-is-dead", "if dead and not m.asked else", "if dead else",
     "After a restart an old primary is fenced as dead although somebody was asked to promote."),
    ("put-right-ignored", "return sole and server is not None and 0 <", "return False and 0 <",
     "An old primary that somebody has made the primary again is fenced."),
)  # fmt: skip

ELECTION = of(
    "core/election.py",
    (
        "least-advanced",
        "            -self.position.bytes,\n",
        "            self.position.bytes,\n",
        "The standby that is furthest behind wins.",
    ),
    (
        "priority-before-position",
        "            -self.position.bytes,\n            not self.promised,\n            self.backlog_bytes // BACKLOG_STEP_BYTES,\n            self.cascades,\n            -self.priority,\n",
        "            -self.priority,\n            -self.position.bytes,\n            not self.promised,\n            self.backlog_bytes // BACKLOG_STEP_BYTES,\n            self.cascades,\n",
        "Priority goes before position.",
    ),
    (
        "unfrozen-candidate",
        '        return "could not be frozen"\n',
        '        return server.received_lsn or "its WAL position is unknown"\n',
        "A standby that could not be frozen may win, at a position that still moves.",
    ),
    (
        "ancestry",
        '    if timeline != memory.timeline:\n        return f"follows',
        '    if False:\n        return f"follows',
        "A standby of an older timeline may win.",
    ),
    (
        "frozen-timeline",
        "if found.timeline and found.timeline != memory.timeline:",
        "if False:",
        "A standby that was found on another timeline when it was frozen may win.",
    ),
    (
        "another-cluster",
        '    if server.system_identifier != memory.system_identifier:\n        return f"belongs',
        '    if False:\n        return f"belongs',
        "A server of another cluster may win.",
    ),
    (
        "excused-all-the-same",
        "promise.kept is not None and refusal is None:",
        "promise.kept is not None:",
        "Who may lack what another standby was promised is said to lose nothing of it.",
    ),
    (
        "promise-off-by-one",
        "max(1, of - requirement.count + 1)",
        "max(1, of - requirement.count)",
        "One synchronous standby too few is at hand.",
    ),
    (
        "behind-the-promised",
        "if position is not None and position < furthest:",
        "if False:",
        "A standby behind a promised one may win.",
    ),
    (
        "loss-unlimited",
        '    if loss.lost_bytes > terms.max_loss_bytes:\n        return f"{loss.sentence}; max',
        '    if False:\n        return f"{loss.sentence}; max',
        "`max_data_loss` is not held to.",
    ),
    (
        "checkpoint-not-received",
        "position > checkpoint:",
        "position >= checkpoint:",
        "A standby that lies at the shutdown checkpoint, and lacks it, counts as complete.",
    ),
    (
        "estimate-is-proof",
        "return WalLoss(lost, False, sentence)",
        "return WalLoss(lost, True, sentence)",
        "An estimated loss is said to be proven.",
    ),
    (
        "rate-ignored",
        "int(rate * unseen_s)",
        "0",
        "What was written since the last look is not estimated.",
    ),
    (
        "never-wins",
        "    if node.never:\n        return",
        "    if False:\n        return",
        "A node of `priority: never` may win.",
    ),
    (
        "below-the-primary's-settings",
        "        if value < required.get(name, value)\n",
        "        if False\n",
        "A standby that its settings would stop may win. (In place of one on paused replay, which is"
        " no refusal any more.)",
    ),
)
