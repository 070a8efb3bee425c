"""`make mutations`: one deliberate defect at a time; who finds it, and who does not.

Each defect is given to a forked process (tests/sim/planting.py). What found it is kept in
killed_by.json, and asked first the next time; so is who found nothing. It fails where a defect is
neither found nor explained in docs/simulation.md.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import os
import re
import signal
import sys
from collections import Counter
from collections.abc import Callable
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from time import perf_counter

from tests.sim.defect import Mutation
from tests.sim.mutations import MUTATIONS

KILLED_BY = Path(__file__).parent / "killed_by.json"
PAGE = Path(__file__).parents[2] / "docs" / "simulation.md"
EXPLAINED = re.compile(r"^\| `(?P<name>[^`]+)` \| (?P<why>.+) \|$", re.MULTILINE)


@dataclass(frozen=True, slots=True)
class Score:
    name: str
    seed: str = ""
    """Or the scenario of the simulator that found it."""
    simulator: str = ""
    world: str = ""
    """Of the explorer, that found it."""
    explorer: str = ""
    unit: str = ""

    @property
    def killed(self) -> bool:
        return bool(self.simulator or self.explorer)


class TooLong(BaseException):
    """Not an Exception: whoever takes those for findings lets it pass."""


def forked(work: Callable[[], object], limit_s: float) -> object:
    """What `work` returns in a process of its own, which is forgotten with all that it imported."""
    reading, writing = os.pipe()
    child = os.fork()
    if child == 0:
        os.close(reading)
        answer: object = None

        def time_is_up(*_: object) -> None:
            raise TooLong

        try:
            signal.signal(signal.SIGPROF, time_is_up)
            signal.setitimer(signal.ITIMER_PROF, limit_s)
            with Path(os.devnull).open("w") as nowhere, contextlib.redirect_stdout(nowhere):
                answer = work()
        except TooLong:
            answer = f"no end in {limit_s:.0f} s"
        except BaseException as bug:  # noqa: BLE001 - it could not even be imported
            answer = f"could not be run: {type(bug).__name__}: {bug}"
        os.write(writing, json.dumps(answer).encode())
        os._exit(0)
    os.close(writing)
    with os.fdopen(reading, "rb") as pipe:
        said = pipe.read()
    os.waitpid(child, 0)
    return json.loads(said) if said else "the process ended"


def in_simulator(mutation: Mutation, first: list[str], every: int, seeds: range) -> object:
    from tests.sim.planting import plant  # noqa: PLC0415

    if not plant(mutation):
        return "does not apply"
    from tests.sim import hunt  # noqa: PLC0415 - with the defect, from here on

    return hunt.simulated(hunt.runs(first, every, seeds))


def in_explorer(mutation: Mutation, first: list[str]) -> object:
    from tests.sim.planting import plant  # noqa: PLC0415

    if not plant(mutation):
        return "does not apply"
    from tests.sim import hunt  # noqa: PLC0415 - with the defect, from here on

    return hunt.explored_in(hunt.small_worlds(first))


def in_unit_tests(mutation: Mutation, first: list[str]) -> object:
    from tests.sim.planting import plant  # noqa: PLC0415

    if not plant(mutation):
        return "does not apply"
    import pytest  # noqa: PLC0415 - its hooks come after the defect

    failed: list[str] = []

    class Watch:
        def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
            if report.failed:
                failed.append(report.nodeid)

    for asked in (*first, "tests/unit"):
        words = ["-q", "-x", "-p", "no:cacheprovider", "-n", "0", asked]
        status = pytest.main(words, plugins=[Watch()])
        if status in (pytest.ExitCode.TESTS_FAILED, pytest.ExitCode.INTERRUPTED):
            return [failed[0] if failed else "pytest", "failed"]
    return None


def tried(mutation: Mutation, before: Score, options: argparse.Namespace) -> Score:
    often = Counter(score.seed for score in known().values() if score.seed)
    promising = [name for name, _ in often.most_common(12)]
    score, began = before, perf_counter()
    if options.simulator and not (options.missing and before.simulator):
        first = list(dict.fromkeys([*([before.seed] if before.seed else []), *promising]))
        seeds = range(options.first, options.first + options.seeds)
        found = forked(lambda: in_simulator(mutation, first, options.every, seeds), options.limit)
        run, what = found if isinstance(found, list) else ("", "")
        score = replace(score, seed=run, simulator=what[:200])
        _told(mutation, "simulator", found, began)
    if options.explore and not (options.missing and score.killed):
        first = [before.world] if before.world else []
        found = forked(lambda: in_explorer(mutation, first), options.limit)
        world, what = found if isinstance(found, list) else ("", "")
        score = replace(score, world=world, explorer=what[:200])
        _told(mutation, "explorer", found, began)
    if options.unit and not score.killed and not (options.missing and before.unit):
        first = [before.unit] if before.unit else []
        found = forked(lambda: in_unit_tests(mutation, first), options.limit * 3)
        score = replace(score, unit=found[0] if isinstance(found, list) else "")
        _told(mutation, "unit tests", found, began)
    return score


def _told(mutation: Mutation, who: str, found: object, began: float) -> None:
    what = " | ".join(map(str, found)) if isinstance(found, list) else found or "not found"
    took = perf_counter() - began
    print(f"{mutation.name:32} {who:10} {took:4.0f} s  {str(what)[:160]}", flush=True)  # noqa: T201


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seeds", type=int, default=40)
    parser.add_argument("--first", type=int, default=1)
    parser.add_argument("--every", type=int, default=3, help="of scenarios that differ in a moment")
    parser.add_argument("--only", nargs="*", default=[])
    parser.add_argument("--missing", action="store_true", help="those that nobody found yet")
    parser.add_argument("--simulator", action="store_true")
    parser.add_argument("--explore", action="store_true")
    parser.add_argument("--unit", action="store_true", help="ask the unit tests for the others")
    parser.add_argument(
        "--limit", type=float, default=300.0, help="CPU seconds a defect and finder (unit tests: 3)"
    )
    options = parser.parse_args()
    chosen = [m for m in MUTATIONS if not options.only or m.name in options.only]
    for mutation in chosen:
        before = known().get(mutation.name, Score(mutation.name))
        if options.missing and before.killed and not options.unit:
            continue
        keep(tried(mutation, before, options))
    return printed(known())


def keep(score: Score) -> None:
    """As the file is by now: another one may write to it, too."""
    scores = {**known(), score.name: score}
    kept = {m.name: asdict(scores[m.name]) for m in MUTATIONS if m.name in scores}
    KILLED_BY.write_text(json.dumps(kept, indent=1) + "\n")


def known() -> dict[str, Score]:
    if not KILLED_BY.exists():
        return {}
    return {name: Score(**score) for name, score in json.loads(KILLED_BY.read_text()).items()}


def explained() -> dict[str, str]:
    """By defect: why neither simulator nor explorer find it, as the page says."""
    return {row["name"]: row["why"] for row in EXPLAINED.finditer(PAGE.read_text())}


def survivors(scores: dict[str, Score]) -> list[str]:
    """Found by neither simulator nor explorer; who was not tried survives, too."""
    return [m.name for m in MUTATIONS if m.name not in scores or not scores[m.name].killed]


def printed(scores: dict[str, Score]) -> int:
    """The score. 1: something survives, and the page does not say why."""
    tried_now = [scores[m.name] for m in MUTATIONS if m.name in scores]
    left, why = survivors(scores), explained()
    simulator = sum(bool(score.simulator) for score in tried_now)
    explorer = sum(bool(score.explorer) for score in tried_now)
    unit = sum(bool(score.unit) for score in tried_now if not score.killed)
    unexplained = [name for name in left if name not in why]
    print(  # noqa: T201
        f"{len(tried_now)} of {len(MUTATIONS)} defects tried: {len(MUTATIONS) - len(left)} found by"
        f" simulator ({simulator}) or explorer ({explorer}); told apart from them, unit tests find"
        f" {unit} of the other {len(left)}; not explained: {', '.join(unexplained) or 'none'}"
    )
    return 1 if unexplained else 0


if __name__ == "__main__":
    sys.exit(main())
