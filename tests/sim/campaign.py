"""Many runs at once, and what they came to: `make sim` in short, `make sim-long` for the record.

A run that breaks a rule is shrunk and told. What was run is said in full, and with `--write` kept
in docs/verification.md beside the command that repeats it.
"""

from __future__ import annotations

import argparse
import gc
import os
import subprocess
import sys
from collections import Counter, deque
from collections.abc import Iterable, Iterator
from concurrent.futures import Future, ProcessPoolExecutor
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from time import perf_counter

from tests.explore.explorer import explore
from tests.explore.rules import invariants
from tests.explore.scenarios import SCENARIOS
from tests.sim.mutate import known
from tests.sim.mutations import MUTATIONS
from tests.sim.plan import plan_of
from tests.sim.scenarios import scenarios
from tests.sim.simulation import run_plan
from tests.sim.telling import shrunk, told
from tests.sim.thawed import thaw

SMALLEST = "a failover by order from a primary with a dead-man"
"""The explorer's world that is gone through whole in the short form."""
AT_A_TIME = 25
MARK = "<!-- campaigns: a row each, by `make sim-long` -->\n"


@dataclass(slots=True)
class Figures:
    runs: int = 0
    failovers: int = 0
    turns: int = 0
    seconds: float = 0.0
    states: set[str] = field(default_factory=set[str])
    faults: Counter[str] = field(default_factory=Counter[str])
    broken: dict[str, str] = field(default_factory=dict[str, str])

    def add(self, other: Figures) -> None:
        self.runs += other.runs
        self.failovers += other.failovers
        self.turns += other.turns
        self.seconds += other.seconds
        self.states |= other.states
        self.faults += other.faults
        self.broken |= other.broken

    @property
    def line(self) -> str:
        return (
            f"{self.runs} runs, {self.failovers} failovers, {sum(self.faults.values())} faults of"
            f" {len(self.faults)} kinds, {self.turns} turns, {self.seconds / 3600:.1f} simulated"
            f" hours, {len(self.states)} states; {len(self.broken)} broke a rule"
        )


def these(names: list[str]) -> Figures:
    """Of scenarios by name, and of seeds."""
    found, plans = Figures(), dict(scenarios()) if not names[0].isdigit() else {}
    for name in names:
        plan = plans[name] if name in plans else plan_of(int(name))
        outcome = run_plan(plan)
        broken = {name: outcome.broken} if outcome.broken else {}
        found.add(Figures(1, outcome.failovers, outcome.turns, outcome.seconds,
                          outcome.states, outcome.faults, broken))  # fmt: skip
    return found


def parts(names: list[str]) -> Iterator[list[str]]:
    for at in range(0, len(names), AT_A_TIME):
        yield names[at : at + AT_A_TIME]


def whole_of(name: str) -> str:
    """The whole of one of the explorer's worlds."""
    one, began = SCENARIOS[name], perf_counter()
    found = explore(
        one.policy, one.budget, invariants,
        standbys=one.standbys, known=one.known, agent=one.agent,
    )  # fmt: skip
    took = perf_counter() - began
    return (
        f"{name!r}, whole: {found.states} states, {found.steps} transitions, {found.depth} deep,"
        f" {took:.0f} s"
    )


def stories(broken: Iterable[str], most: int = 3) -> Iterator[str]:
    plans = dict(scenarios())
    for name in list(broken)[:most]:
        small = shrunk(plans[name] if name in plans else plan_of(int(name)))
        yield f"\n{name}, with the fewest faults that still break it:"
        yield told(run_plan(small), small)


def run(names: list[str], workers: int, worlds: list[str], seconds: float) -> tuple[Figures, int]:
    """As many as fit into `seconds`; how many of the names were run."""
    figures, done, began = Figures(), 0, perf_counter()
    thaw()
    # What is imported stays: a collection of garbage need not look through it each time.
    gc.freeze()
    with ProcessPoolExecutor(workers) as pool:
        explored = [pool.submit(whole_of, world) for world in worlds]
        waiting = parts(names)
        under_way: deque[Future[Figures]] = deque()
        while True:
            # In order, so that what was run is a range; and nobody waits for the slowest.
            while len(under_way) < 2 * workers and perf_counter() - began < seconds:
                part = next(waiting, None)
                if part is None:
                    break
                under_way.append(pool.submit(these, part))
            if not under_way:
                break
            figures.add(found := under_way.popleft().result())
            done += found.runs
        for one in explored:
            print(one.result(), flush=True)  # noqa: T201
    return figures, done


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--first", type=int, default=1)
    parser.add_argument("--seeds", type=int, default=1000)
    parser.add_argument("--scenarios", action="store_true", help="all of them, before the seeds")
    parser.add_argument("--explore", action="store_true", help="the whole of the smallest world")
    parser.add_argument("--workers", type=int, default=os.cpu_count() or 1)
    parser.add_argument("--seconds", type=float, default=1e9, help="begin nothing after so many")
    parser.add_argument("--write", type=Path, help="add what was run to this page")
    options = parser.parse_args()
    seeds = [str(seed) for seed in range(options.first, options.first + options.seeds)]
    named = [name for name, _ in scenarios()] if options.scenarios else []
    began = perf_counter()
    worlds = [SMALLEST] if options.explore else []
    figures, done = run([*named, *seeds], options.workers, worlds, options.seconds)
    took = perf_counter() - began
    print(f"{figures.line}; {took:.0f} s")  # noqa: T201
    for name, what in figures.broken.items():
        print(f"{name}: {what}")  # noqa: T201
    for story in stories(figures.broken):
        print(story)  # noqa: T201
    if options.write is not None:
        written(options.write, figures, options.first, done - len(named), took)
    return 1 if figures.broken else 0


def written(page: Path, figures: Figures, first: int, seeds: int, took: float) -> None:
    commit = subprocess.run(
        ["git", "rev-parse", "--short", "HEAD"], capture_output=True, text=True, check=True
    ).stdout.strip()
    killed = sum(score.killed for score in known().values())
    row = (
        f"| {datetime.now(UTC):%Y-%m-%d} | {commit} | {first} | {seeds} | {figures.failovers} |"
        f" {figures.seconds / 3600:.1f} | {len(figures.states)} | {killed} of {len(MUTATIONS)} |"
        f" {len(figures.broken)} | {took:.0f} |"
        f" `make sim-long FIRST={first} SEEDS={seeds}` |\n"
    )
    text = page.read_text()
    assert MARK in text, f"{page}: the line {MARK.strip()} is gone"
    page.write_text(text.replace(MARK, f"{row}{MARK}"))


if __name__ == "__main__":
    sys.exit(main())
