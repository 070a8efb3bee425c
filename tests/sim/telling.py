"""A run as a story, and of one that breaks a rule the shortest that still does."""

from __future__ import annotations

import dataclasses
from dataclasses import replace

from tests.sim.faults import shorter
from tests.sim.plan import Plan
from tests.sim.simulation import Outcome, run_plan


def shrunk(plan: Plan, tries: int = 200) -> Plan:
    """The fewest and shortest faults that still break the same rule."""
    rule = _rule(run_plan(plan).broken)
    while True:
        for fewer in shorter(plan.faults):
            tries -= 1
            smaller = replace(plan, faults=fewer)
            if _rule(run_plan(smaller).broken) == rule:
                plan = smaller
                break
            if tries <= 0:
                return plan
        else:
            return plan


def _rule(broken: str) -> str:
    """Without names and figures."""
    return " ".join(w for w in broken.split() if w.isalpha())[:60]


def told(outcome: Outcome, plan: Plan) -> str:
    """A run as a story: virtual time, who, what."""
    cluster = ", ".join(
        f"{f.name}={getattr(plan, f.name)}"
        for f in dataclasses.fields(plan)
        if f.name not in ("faults", "policy", "seed")
    )
    lines = [f"seed {plan.seed}: {outcome.broken or 'nothing was broken'}", cluster]
    lines += [f"  {fault}" for fault in plan.faults]
    lines += [f"{at:8.3f}  {who:<10} {what}" for at, who, what in outcome.story]
    return "\n".join(lines)
