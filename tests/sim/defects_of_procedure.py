# ruff: noqa: E501 - text that is replaced stands as it is
"""Deliberate defects: the procedure, state by state, and what is kept from one to the next."""

from __future__ import annotations

from tests.sim.defect import of

STEP = of(
    "core/step.py",
    (
        "late-replies",
        "if visit == m.visit or of_this_incident(event, m):",
        "if True or visit:",
        "An answer to an earlier visit is believed.",
    ),
)
MACHINE = of(
    "core/machine.py",
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
        "return m.primary_report.began_at - looked_at >= TWO_LOOKS_APART_S",
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
        "    at = retry_at(now, s.attempt)\n    return Blocked(BlockReason.PROMOTION_PENDING, why, now.monotonic, at, advice, again)",
        "    at = retry_at(now, s.attempt)\n    return Blocked(BlockReason.PROMOTION_PENDING, why, now.monotonic, at, advice)",
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

SITUATION = of(
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
        "m.owing(primary, NodeJob(Job.OWED_UNGUARD, incident.epoch)),",
        "m.owing(primary, NodeJob(Job.OWED_THAW, incident.epoch)),",
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
        "m = replace(m, frozen={}, freezes_from=m.visit)",
        "m = replace(m, freezes_from=m.visit)",
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
