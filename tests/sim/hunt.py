"""`python -m tests.sim.hunt SEED...`: the first of these seeds that breaks anything, or none.

Run in a copy of the source with one defect: an exception of the decisions is a finding, too.
"""

from __future__ import annotations

import sys

from tests.sim.scenarios import scenarios
from tests.sim.simulation import plan_of, run_plan


def main() -> int:
    """Words are names of scenarios (`all`, `some`: many of them), numbers are seeds."""
    wanted = sys.argv[1:]
    some = {name for name, _ in scenarios(3)}
    for name, plan in scenarios():
        if "all" in wanted or ("some" in wanted and name in some) or name in wanted:
            found = run_plan(plan).broken
            if found:
                print(f"{name}|{found}")  # noqa: T201
                return 1
    for word in wanted:
        if not word.isdigit():
            continue
        found = run_plan(plan_of(int(word))).broken
        if found:
            print(f"{word}|{found}")  # noqa: T201
            return 1
    print("none")  # noqa: T201
    return 0


if __name__ == "__main__":
    sys.exit(main())
