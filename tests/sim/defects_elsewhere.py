# ruff: noqa: E501 - text that is replaced stands as it is
"""Deliberate defects: the promise, salvage, restarts, upkeep, orders, the journal."""

from __future__ import annotations

from tests.sim.defect import of

OTHERS = [
    *of(
        "core/promise.py",
        (
            "promise-dropped",
            "known = Promise(names, synchronous, earlier=earlier, since=written)",
            "known = Promise(names, synchronous, since=written)",
            "A changed promise voids the one that was in force.",
        ),
    ),
    *of(
        "core/salvage.py",
        (
            "loss-after-salvage",
            "    terms = replace(terms_of(m.incident, p, s.proof, None), curable=False)\n",
            "    terms = terms_of(m.incident, p, s.proof, None)\n",
            "What salvage finds to be lost is not held to `max_data_loss`.",
        ),
    ),
    *of(
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
    *of(
        "core/upkeep.py",
        ("late-thaw", "    in_time = event.visit >= m.freezes_from\n", "    in_time = True\n",
         "A thaw of before a freeze is taken for one of after it."),
        ("unguard-beside-a-writer", "if job.job is Job.OWED_UNGUARD and not others_write(m.view, m.memory):", "if job.job is Job.OWED_UNGUARD:",
         "A guard is taken back although another node takes writes."),
        ("comes-back-unfenced", "(job.job is Job.QUARANTINED and _came_back(m, node))", "False",
         "An old primary that comes back is not fenced."),
        ("first-contact", "            owed.append(Quarantine(node, m.epoch, job.attempt))\n", "            pass\n",
         "A host that was turned off is not guarded at the first contact."),
        ("thaw-forgotten", "    m = _unfrozen(m, node, now)\n    paid", "    m = replace(_unfrozen(m, node, now), saved={})\n    paid",
         "One thaw pays what is owed to all."),
        ("follows-nobody", "            and (job.job in TO_FOLLOW or direct(server.receiver, primary, p))\n", "",
         "An old primary that streams from anybody is a standby again."),
    ),
    *of(
        "core/writers.py",
        ("older-timeline-adopted", "if report.server is not None and report.server.timeline >= memory.timeline", "if report.server is not None",
         "A writable node below the highest confirmed timeline is adopted."),
        ("two-are-one", "if len(names) > 1 else None", "if len(names) > 2 else None",
         "Two writable nodes are no split brain."),
    ),
    *of(
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
    *of(
        "daemon/course.py",
        ("asks-before-it-writes", "        if entry is not None:\n            error, at", "        yield self._ask(decided.effects)\n        if entry is not None:\n            error, at",
         "Effects are asked for before the journal is written."),
        ("failed-write-goes-on", "            if error:\n                yield from", "            if False:\n                yield from",
         "A journal that cannot be written holds nothing back."),
        ("asked-again-and-again", "            if (visit, effect) in self._asked or effect in self._in_line:\n                continue\n", "",
         "What is under way is asked for again with each look."),
    ),
    *of(
        "core/incident.py",
        ("not-journaled", "    if _CARRIED(before) != _CARRIED(after):\n        return True\n    if", "    if",
         "What changes beside a transition is not journaled."),
    ),
    *of(
        "core/synchronous.py",
        ("any-is-one", '(int(match["count"]), match["names"])', '(1, match["names"])',
         "`ANY 2 (...)` is read as one."),
    ),
]  # fmt: skip
