"""`make mutations`: one deliberate defect at a time, in a copy; who finds it, and who does not.

Nothing of this repository is changed. What was found is kept in killed_by.json, so that the short
form can replay just the seed that finds each.
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
import subprocess
import sys
import tempfile
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, dataclass
from pathlib import Path

from tests.sim.mutations import MUTATIONS, Mutation

ROOT = Path(__file__).parents[2]
KILLED_BY = Path(__file__).parent / "killed_by.json"


@dataclass(frozen=True, slots=True)
class Score:
    name: str
    seed: str = ""
    """Or the scenario of the simulator that found it."""
    simulator: str = ""
    explorer: str = ""
    unit: str = ""

    @property
    def killed(self) -> bool:
        return bool(self.simulator or self.explorer)


def copied(mutation: Mutation | None, folder: Path) -> bool:
    """A copy of source and tests with the defect; False where it does not apply any more."""
    for name in ("failoverd", "tests"):
        ignored = shutil.ignore_patterns("__pycache__")
        shutil.copytree(ROOT / name, folder / name, ignore=ignored, dirs_exist_ok=True)
    shutil.copy(ROOT / "pyproject.toml", folder)
    if mutation is None:
        return True
    # What it replaces may have moved to another file since; it must stand once in all of them.
    source = folder / "failoverd"
    meant = source / mutation.file
    files = [meant] if mutation.old in meant.read_text() else sorted(source.rglob("*.py"))
    found = [f for f in files if mutation.old in f.read_text()]
    if len(found) != 1 or found[0].read_text().count(mutation.old) != 1:
        return False
    file, text = found[0], found[0].read_text()
    file.write_text(text.replace(mutation.old, mutation.new))
    return True


def asked(folder: Path, words: list[str], limit_s: float) -> tuple[int, str]:
    environment = {**os.environ, "PYTHONPATH": str(folder), "PYTHONDONTWRITEBYTECODE": "1"}
    try:
        done = subprocess.run(
            [sys.executable, *words], cwd=folder, env=environment, capture_output=True,
            text=True, timeout=limit_s, check=False,
        )  # fmt: skip
    except subprocess.TimeoutExpired:
        return 0, f"no end in {limit_s:.0f} s"
    return done.returncode, (done.stdout + done.stderr).strip()


def tried(
    mutation: Mutation,
    seeds: list[int],
    *,
    scenarios: str,
    explore: bool,
    unit: bool,
    limit_s: float,
) -> Score:
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        if not copied(mutation, folder):
            return Score(mutation.name, simulator="", explorer="", unit="does not apply")
        words = ["-m", "tests.sim.hunt", scenarios, *map(str, seeds)]
        status, said = asked(folder, words, limit_s)
        last = said.splitlines()[-1] if said else ""
        seed, found = "", ""
        if status:
            seed, _, found = last.partition("|")
            seed, found = (seed, found) if found else ("", last)
        elif said.startswith("no end"):
            print(f"{mutation.name}: {said}", flush=True)  # noqa: T201
        explored = ""
        if explore and not status:
            words = ["-m", "pytest", "-q", "-x", "-p", "no:cacheprovider", "tests/explore"]
            code, text = asked(folder, words, limit_s * 3)
            explored = _line(text) if code else ""
        checked = ""
        if unit:
            words = ["-m", "pytest", "-q", "-x", "-p", "no:cacheprovider", "tests/unit"]
            code, text = asked(folder, words, limit_s * 2)
            checked = _line(text) if code else ""
        return Score(mutation.name, seed, found[:200], explored[:200], checked[:200])


def _line(text: str) -> str:
    failed = [line for line in text.splitlines() if line.startswith(("FAILED", "ERROR", "E  "))]
    return failed[0] if failed else text.splitlines()[-1] if text else "failed"


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seeds", type=int, default=150)
    parser.add_argument("--scenarios", default="some", help="all, some or none")
    parser.add_argument("--first", type=int, default=1)
    parser.add_argument("--only", nargs="*", default=[])
    parser.add_argument("--survivors", action="store_true", help="those that nobody found yet")
    parser.add_argument("--explore", action="store_true", help="ask the explorer, too")
    parser.add_argument("--unit", action="store_true", help="ask the unit tests, too")
    parser.add_argument("--workers", type=int, default=2)
    parser.add_argument("--limit", type=float, default=200.0, help="seconds a defect")
    options = parser.parse_args()
    before = known()
    chosen = [m for m in MUTATIONS if not options.only or m.name in options.only]
    if options.survivors:
        chosen = [m for m in chosen if not before.get(m.name, Score(m.name)).killed]
    seeds = list(range(options.first, options.first + options.seeds))

    def one(mutation: Mutation) -> Score:
        score = tried(
            mutation,
            seeds,
            scenarios=options.scenarios,
            explore=options.explore,
            unit=options.unit,
            limit_s=options.limit,
        )
        print(f"{'found' if score.killed else 'SURVIVES':9} {score}", flush=True)  # noqa: T201
        return score

    with ThreadPoolExecutor(options.workers) as pool:
        for score in pool.map(one, chosen):
            before[score.name] = _joined(before.get(score.name), score)
            names = [m.name for m in MUTATIONS]
            kept = {n: asdict(before[n]) for n in names if n in before}
            KILLED_BY.write_text(json.dumps(kept, indent=1) + "\n")
    return _printed(before)


def _joined(before: Score | None, now: Score) -> Score:
    if before is None or now.unit == "does not apply":
        return now
    return Score(
        now.name,
        now.seed if now.simulator else before.seed,
        now.simulator or before.simulator,
        now.explorer or before.explorer,
        now.unit or before.unit,
    )


def known() -> dict[str, Score]:
    if not KILLED_BY.exists():
        return {}
    return {name: Score(**score) for name, score in json.loads(KILLED_BY.read_text()).items()}


def _printed(scores: dict[str, Score]) -> int:
    tried_now = [scores[m.name] for m in MUTATIONS if m.name in scores]
    survivors = [score.name for score in tried_now if not score.killed]
    by_simulator = sum(bool(score.simulator) for score in tried_now)
    by_explorer = sum(bool(score.explorer) for score in tried_now)
    by_unit = sum(bool(score.unit) for score in tried_now)
    print(  # noqa: T201
        f"{len(tried_now)} of {len(MUTATIONS)} defects tried: the simulator found {by_simulator},"
        f" the explorer {by_explorer}, the unit tests {by_unit};"
        f" {len(survivors)} survive: {', '.join(survivors) or 'none'}"
    )
    return 0


if __name__ == "__main__":
    sys.exit(main())
