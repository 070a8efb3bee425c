"""`python -m tests.sim SEED [COUNT]`: run seeds; the first that fails is shrunk and told.

Whoever changes the simulator compares the digest of the stories: the same seeds are the same runs.
"""

from __future__ import annotations

import hashlib
import sys
from collections import Counter
from time import perf_counter

from tests.sim.plan import plan_of
from tests.sim.simulation import run, run_plan
from tests.sim.telling import shrunk, told
from tests.sim.thawed import thaw


def main() -> int:
    first, count = int(sys.argv[1]), int(sys.argv[2]) if len(sys.argv) > 2 else 1
    thaw()
    began = perf_counter()
    failovers, turns, seconds = 0, 0, 0.0
    broken: Counter[str] = Counter()
    ends: Counter[str] = Counter()
    stories = hashlib.sha256()
    for seed in range(first, first + count):
        outcome = run(seed)
        failovers += outcome.failovers
        turns += outcome.turns
        seconds += outcome.seconds
        ends[outcome.ends] += 1
        stories.update(repr((seed, outcome.broken, outcome.story, outcome.turns)).encode())
        if outcome.broken:
            broken[outcome.broken] += 1
            if len(broken) <= 12:
                print(f"seed {seed}: {outcome.broken}", flush=True)  # noqa: T201
            if count == 1:
                small = shrunk(plan_of(seed))
                print(told(run_plan(small), small))  # noqa: T201
    if count == 1 and not broken:
        print(told(run(first), plan_of(first)))  # noqa: T201
    took = perf_counter() - began
    print(  # noqa: T201
        f"{count} runs, {failovers} failovers, {turns} turns, {seconds:.0f} virtual seconds,"
        f" {took:.1f} s; {sum(broken.values())} broken; {dict(ends)};"
        f" stories {stories.hexdigest()[:16]}"
    )
    return 1 if broken else 0


if __name__ == "__main__":
    sys.exit(main())
