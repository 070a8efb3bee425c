# ruff: noqa: E501 - text that is replaced stands as it is
"""Deliberate defects of the decisions, each a replacement of text, written before any was tried.

`make mutations` applies one at a time to a copy and lets the simulator, the explorer and, apart
from them, the unit tests look for it. One that does not apply any more counts as not found.
"""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Mutation:
    name: str
    file: str
    old: str
    new: str
    sentence: str


def _of(file: str, *defects: tuple[str, str, str, str]) -> list[Mutation]:
    return [Mutation(name, file, old, new, sentence) for name, old, new, sentence in defects]


DECISION = _of(
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

PROOF = _of(
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

ELECTION = _of(
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
        "int(memory.peak_wal_rate * unseen_s)",
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

MEMORY = _of(
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
        "    if primary.heard:\n        return replace(memory, failed_rounds=0",
        "    if primary.held.ok:\n        return replace(memory, failed_rounds=0",
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
        "highest_epoch=max(memory.highest_epoch, facts.epoch)",
        "highest_epoch=memory.highest_epoch",
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

DIAGNOSIS = _of(
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

EVIDENCE = _of(
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

MACHINE = _of(
    "core/machine.py",
    (
        "late-replies",
        "if visit == m.visit or of_this_incident(event, m):",
        "if True or visit:",
        "An answer to an earlier visit is believed.",
    ),
    (
        "observe-acts",
        "(*(disarming(m) if observing else effects(m)), *measures(m))",
        "(*effects(m), *measures(m))",
        "In observe mode effects are asked for.",
    ),
    (
        "manual-acts",
        "    if mode_of(m, p) is not Mode.AUTOMATIC:\n        return s if s.would",
        "    if False:\n        return s if s.would",
        "In manual and observe mode a failover begins by itself.",
    ),
    (
        "one-look",
        "return m.primary_report.began_at - s.looked_at >= TWO_LOOKS_APART_S",
        "return True",
        "One look is conclusive.",
    ),
    (
        "proof-not-checked",
        "            if not valid(proof, s, m, now):\n                return replace(s, attempt=s.attempt + 1)\n",
        "",
        "A fence proof is not checked.",
    ),
    (
        "revert-after-asking",
        "            if m.asked:\n                return replace(s, mode=StopMode.FAST, attempt=s.attempt + 1)\n",
        "",
        "The old primary is given back although another was asked to promote.",
    ),
    (
        "failed-fence-dropped",
        "                failed.advice,\n                again,\n            )\n        case _ if s.gives_up",
        "                failed.advice,\n            )\n        case _ if s.gives_up",
        "A fence that failed is forgotten: its guard stays and nothing returns to it.",
    ),
    (
        "election-undisturbed",
        "    disturbed = interrupted(s.proof, m, now, p)\n    if disturbed is not None:\n        return disturbed\n    s = replace(s, frozen",
        "    s = replace(s, frozen",
        "Nothing disturbs an election: neither time nor the old primary.",
    ),
    (
        "salvage-undisturbed",
        "    disturbed = interrupted(s.proof, m, now, p, lasting=not answered)\n    if disturbed is not None:\n        return disturbed\n",
        "",
        "Nothing disturbs a salvage.",
    ),
    (
        "first-frozen-wins",
        "    if set(s.standbys) - set(s.frozen) - set(s.failed):\n        return s\n    election",
        "    if not s.frozen and set(s.standbys) - set(s.failed):\n        return s\n    election",
        "The first standby that is frozen is elected, whatever the others hold.",
    ),
    (
        "promotion-given-up",
        "                BlockReason.PROMOTION_PENDING, why, now.monotonic,\n                retry_at(now, s.attempt), failed.advice, again,",
        "                BlockReason.PROMOTION_PENDING, why, now.monotonic,\n                retry_at(now, s.attempt), failed.advice,",
        "A promotion whose outcome is unknown is given up.",
    ),
    (
        "confirmed-beside-a-writer",
        "case Replied(effect=Confirm(), result=Confirmed()) if strangers_write(m):",
        "case Replied(effect=Confirm(), result=Confirmed()) if False:",
        "A new primary is confirmed beside another node that takes writes.",
    ),
    (
        "unconfirmed-is-confirmed",
        "        case Replied(effect=Promote(), result=StillAlive(evidence)) if s.attempt == 0:",
        "        case Replied(effect=Promote(), result=StillAlive(evidence)) if False:",
        "A promotion refused by its last look is not proved anew at once.",
    ),
    (
        "unfence-beside-a-writer",
        "    barred = bool(strangers_write(m) or frozen_by_others(m))",
        "    barred = False",
        "On the way back a primary beside the old one does not count.",
    ),
    (
        "unfence-asked-beside-a-writer",
        "if not s.guard_owed or others_write(m.view, m.memory) or frozen_by_others(m):",
        "if not s.guard_owed:",
        "The old primary is started beside another that takes writes.",
    ),
    (
        "guard-left",
        "    if ((s.guard_owed and not barred) or owed_thaws(m)) and s.attempt < REVERTS:",
        "    if owed_thaws(m) and s.attempt < REVERTS:",
        "The way back does not wait for the guard to be taken back.",
    ),
    (
        "freeze-in-any-case",
        "    part_of_it = s.standbys if s.mode is StopMode.DEAD_ONLY else counted_on(s, m)\n",
        "    part_of_it = s.standbys\n",
        "A primary that may be alive is robbed of its standbys before it is fenced.",
    ),
    (
        "never-resumed",
        "if s.resuming and m.incident is not None and m.memory.primary is not None:",
        "if False:",
        "A procedure that was cut short is not taken up again.",
    ),
    (
        "suspected-and-blind",
        "        return s if diagnose(m.view, m.memory, p) is Diagnosis.BLIND else back\n    if back.diagnosis is not s.diagnosis:\n        return back\n",
        "        return back\n",
        "Suspicion of one kind counts for another.",
    ),
)

SITUATION = _of(
    "core/situation.py",
    (
        "asked-not-remembered",
        "asked=m.asked | {candidate}",
        "asked=m.asked",
        "Who was asked to promote is not remembered.",
    ),
    (
        "settings-read-twice",
        "saved={node: saved, **m.saved}, frozen_by_others=foreign",
        "saved={**m.saved, node: saved}, frozen_by_others=foreign",
        "A standby's settings are read again, and may be what the freeze wrote.",
    ),
    (
        "off-is-guarded",
        "return Job.QUARANTINED if stopped else Job.OWED_GUARD",
        "return Job.QUARANTINED",
        "A host that was turned off counts as guarded.",
    ),
    (
        "visits-stand-still",
        "after = replace(after, visit=before.visit + 1, entered_at",
        "after = replace(after, visit=before.visit, entered_at",
        "Visits are not told apart.",
    ),
    (
        "epoch-of-journal-alone",
        "Epoch(max(self.epoch, self.memory.highest_epoch) + 1)",
        "Epoch(self.epoch + 1)",
        "A new incident takes its number from the journal alone.",
    ),
    (
        "epoch-stands-still",
        "Epoch(max(self.epoch, self.memory.highest_epoch) + 1)",
        "Epoch(max(self.epoch, self.memory.highest_epoch))",
        "A new incident takes a number that was used before.",
    ),
    (
        "guard-not-owed",
        "            job = NodeJob(Job.OWED_UNGUARD, incident.epoch)\n",
        "            job = NodeJob(Job.OWED_THAW, incident.epoch)\n",
        "The guard that a fence lays is not owed.",
    ),
    (
        "old-primary-not-kept-out",
        "        jobs[old] = NodeJob(old_job, m.epoch)\n",
        "        jobs.pop(old, None)\n",
        "The old primary is not quarantined.",
    ),
    (
        "superseded-not-kept-out",
        "        **{n: NodeJob(Job.QUARANTINED, m.epoch) for n in fenced},\n",
        "",
        "Whoever was fenced when somebody else was promoted is forgotten.",
    ),
    (
        "frozen-of-another-incident",
        "frozen = m.frozen if stand else dict[NodeName, Frozen]()",
        "frozen = m.frozen",
        "Positions of an earlier incident are believed.",
    ),
    (
        "alive-is-still-asked",
        'return m if before else replace(m, asked=m.asked - {node})\n        case Replied(effect=Promote(candidate=node), result=EffectFailed(reason="refused"))',
        'return replace(m, asked=m.asked - {node})\n        case Replied(effect=Promote(candidate=node), result=EffectFailed(reason="refused"))',
        "A refusal of now is taken for one of every earlier visit.",
    ),
    (
        "confirmed-time",
        'last_confirmed=m.last_confirmed if trigger == "switchover" else now.wall,',
        "last_confirmed=m.last_confirmed,",
        "A confirmation does not begin a cooldown.",
    ),
)

OTHERS = [
    *_of(
        "core/promise.py",
        (
            "promise-dropped",
            "known = Promise(names, synchronous, earlier=earlier, since=written)",
            "known = Promise(names, synchronous, since=written)",
            "A changed promise voids the one that was in force.",
        ),
    ),
    *_of(
        "core/salvage.py",
        (
            "loss-after-salvage",
            "    terms = replace(terms_of(m.incident, p, s.proof, None), curable=False)\n",
            "    terms = terms_of(m.incident, p, s.proof, None)\n",
            "What salvage finds to be lost is not held to `max_data_loss`.",
        ),
    ),
    *_of(
        "core/restart.py",
        ("restart-believes-frozen", "        frozen={},\n", "        frozen=m.frozen,\n",
         "After a restart standbys count as frozen as they were."),
        ("restart-forgets-the-promotion", "        case Fencing() | Electing() | Salvaging() | Promoting() | Confirming() | Reverting():",
         "        case Fencing() | Electing() | Salvaging() | Confirming() | Reverting():",
         "A restart in the middle of a promotion begins from nothing."),
        ("restart-forgets-the-blocked", "        case Blocked(returns_to=returns_to) if returns_to is not None:", "        case Blocked(returns_to=returns_to) if False:",
         "A restart while a fence or a promotion is pending begins from nothing."),
        ("clock-backwards-kept", "    if m.last_confirmed is None or m.last_confirmed <= now.wall:\n", "    if True:\n",
         "A wall clock that went backwards is not noticed."),
    ),
    *_of(
        "core/upkeep.py",
        ("late-thaw", "    in_time = event.visit == m.visit or not in_procedure(m)\n", "    in_time = True\n",
         "A thaw of before a freeze is taken for one of after it."),
        ("unguard-beside-a-writer", "if job.job is Job.OWED_UNGUARD and not others_write(m.view, m.memory):", "if job.job is Job.OWED_UNGUARD:",
         "A guard is taken back although another node takes writes."),
        ("comes-back-unfenced", "(job.job is Job.QUARANTINED and _came_back(m, node))", "False",
         "An old primary that comes back is not fenced."),
        ("first-contact", "            owed.append(Quarantine(node, m.epoch, job.attempt))\n", "            pass\n",
         "A host that was turned off is not guarded at the first contact."),
        ("thaw-forgotten", "        saved={n: s for n, s in m.saved.items() if n != node},\n        frozen={n: f for n, f in m.frozen.items() if n != node},\n        jobs={n: j", "        saved={},\n        frozen={n: f for n, f in m.frozen.items() if n != node},\n        jobs={n: j",
         "One thaw pays what is owed to all."),
        ("follows-nobody", "            and (job.job in TO_FOLLOW or direct(server.receiver, primary, p))\n", "",
         "An old primary that streams from anybody is a standby again."),
    ),
    *_of(
        "core/writers.py",
        ("older-timeline-adopted", "if report.server is not None and report.server.timeline >= memory.timeline", "if report.server is not None",
         "A writable node below the highest confirmed timeline is adopted."),
        ("two-are-one", "if len(names) > 1 else None", "if len(names) > 2 else None",
         "Two writable nodes are no split brain."),
    ),
    *_of(
        "core/operator.py",
        ("vouched-while-heard", "    if m.primary_report.heard or diagnosis in _HEARD:\n", "    if False:\n",
         "A word is taken against a primary that answers."),
        ("paused-in-procedure", "        case OperatorPause() if in_procedure(m):\n", "        case OperatorPause() if False:\n",
         "A pause is accepted in the middle of a failover."),
        ("order-in-procedure", '    if in_procedure(m) or isinstance(m.state, Settling):\n        return f"a failover is under way', '    if False:\n        return f"a failover is under way',
         "A second failover is ordered in the middle of one."),
        ("order-against-partition", "    if diagnosis not in OVERRIDABLE:\n", "    if False:\n",
         "An order overrides that others reach the primary."),
    ),
    *_of(
        "daemon/course.py",
        ("asks-before-it-writes", "        if entry is not None:\n            error, at", "        yield self._ask(decided.effects)\n        if entry is not None:\n            error, at",
         "Effects are asked for before the journal is written."),
        ("failed-write-goes-on", "            if error:\n                yield from", "            if False:\n                yield from",
         "A journal that cannot be written holds nothing back."),
        ("asked-again-and-again", "            if (visit, effect) in self._asked or effect in self._in_line:\n                continue\n", "",
         "What is under way is asked for again with each look."),
    ),
    *_of(
        "core/incident.py",
        ("not-journaled", "    if any(getattr(before, name) != getattr(after, name) for name in carried):\n        return True\n    return", "    return",
         "What changes beside a transition is not journaled."),
    ),
    *_of(
        "core/synchronous.py",
        ("any-is-one", '(int(match["count"]), match["names"])', '(1, match["names"])',
         "`ANY 2 (...)` is read as one."),
    ),
]  # fmt: skip

MUTATIONS: tuple[Mutation, ...] = (
    *DECISION, *PROOF, *ELECTION, *MEMORY, *DIAGNOSIS, *EVIDENCE, *MACHINE, *SITUATION, *OTHERS,
)  # fmt: skip
