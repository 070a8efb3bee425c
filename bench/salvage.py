"""What salvage costs by how far the standby is behind: from the crash to the first commit after it.

The standby's walsender is stopped, so much WAL is written, and the primary dies. Each trial is a
lab of its own. Root.

    python -m bench.salvage [--trials 3] [--megabytes 0,1,16,64,256] [--write docs/benchmarks.md]
"""

from __future__ import annotations

import argparse
import statistics
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from bench.failover import COMMITS_A_SECOND, SEED, stamp
from tests.lab.cluster import watched
from tests.lab.held_back import fill, hold_back
from tests.lab.lab import Lab

LIMIT_S = 120
BEGIN, END = "<!-- salvage: begin -->", "<!-- salvage: end -->"


@dataclass(frozen=True, slots=True)
class Trial:
    carried_bytes: float
    salvage_s: float
    """Time in the state `salvaging`."""
    outage_s: float


def trials(megabytes: int, count: int) -> Iterator[Trial]:
    for _ in range(count):
        with (
            tempfile.TemporaryDirectory(prefix="failoverd-bench-") as directory,
            Lab.start(Path(directory)) as lab,
        ):
            w = watched(lab, synchronous=False, rate=COMMITS_A_SECOND)
            if megabytes:
                hold_back(w.pg1, w.pg2)
                fill(w.pg1, megabytes)
                w.ledger.wait_for(COMMITS_A_SECOND, 30)
            w.pg1.kill9_all()
            w.wait_until_failed_over(LIMIT_S)
            w.ledger.wait_for(COMMITS_A_SECOND, 30)
            account = w.ledger.check(w.pg2, enough=100)
            assert account.lost == (), f"acknowledged and lost: {account.lost}"
            carried = lab.monitor.metric("failoverd_wal_salvaged_bytes_total") or 0.0
            took = lab.monitor.metric("failoverd_step_duration_seconds_sum", step="salvage")
            yield Trial(carried, took or 0.0, account.outage_ms / 1000)


def row(megabytes: int, count: int) -> str:
    found = list(trials(megabytes, count))
    carried = statistics.median(trial.carried_bytes for trial in found) / 1024 / 1024
    salvage = _figures([trial.salvage_s for trial in found])
    outage = _figures([trial.outage_s for trial in found])
    return f"| {megabytes} MB | {count} | {carried:.1f} MB | {salvage} | {outage} |"


def _figures(seconds: list[float]) -> str:
    return f"{statistics.median(seconds):.2f} / {max(seconds):.2f}"


def write(page: Path, table: str) -> None:
    before, _, rest = page.read_text().partition(BEGIN)
    page.write_text(f"{before}{BEGIN}\n{table}\n{END}{rest.partition(END)[2]}")


HEAD = """\
| behind by | trials | brought over | in salvage, median / max | write outage, median / max |
|---|---|---|---|---|"""


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--trials", type=int, default=3)
    parser.add_argument("--megabytes", default="0,1,16,64,256")
    parser.add_argument("--write", type=Path)
    given = parser.parse_args()
    print(HEAD, flush=True)
    rows = []
    for megabytes in given.megabytes.split(","):
        rows.append(row(int(megabytes), given.trials))
        print(rows[-1], flush=True)
    if given.write is not None:
        told = f"Seconds; {stamp()}, seed {SEED}, `make bench-salvage`."
        write(given.write, "\n".join([told, "", HEAD, *rows]))


if __name__ == "__main__":
    main()
