"""How long applications cannot write during a switchover, of an idle and of a loaded cluster. Root.

python -m bench.switchover [--trials 3] [--write docs/benchmarks.md]
"""

from __future__ import annotations

import argparse
import statistics
import tempfile
from collections.abc import Mapping
from pathlib import Path

from bench.failover import stamp
from tests.lab.lab import Lab
from tests.lab.planned import planned, wait_until_all_stream

LOADS: Mapping[str, tuple[str, int, float | None]] = {
    "idle": ("one application, 20 commits a second", 1, 20.0),
    "loaded": ("8 writers, as fast as the server answers", 8, None),
}
HEAD = "| cluster | trials | write outage, median / max | commits lost |\n|---|---|---|---|"
BEGIN, END = "<!-- switchover: begin -->", "<!-- switchover: end -->"


def trial(load: str) -> float:
    """Seconds between two acknowledged commits, the longest; nothing may be lost."""
    _, writers, rate = LOADS[load]
    with (
        tempfile.TemporaryDirectory(prefix="failoverd-bench-") as directory,
        Lab.start(Path(directory)) as lab,
    ):
        w = planned(lab, rate=20)
        w.ledger.stop()
        ledger = lab.app.start_ledger(lab.servers, rate=rate, writers=writers)
        ledger.wait_for(40 if rate else 4000, 60)
        lab.monitor.failoverd("switchover", "--yes", timeout_s=120)
        wait_until_all_stream(w)
        ledger.wait_for(40, 30)
        account = ledger.check(w.pg2, enough=40)
        assert account.lost == (), f"acknowledged and lost: {account.lost}"
        return account.outage_ms / 1000


def row(load: str, count: int) -> str:
    outages = [trial(load) for _ in range(count)]
    figures = f"{statistics.median(outages):.2f} / {max(outages):.2f}"
    return f"| {load}: {LOADS[load][0]} | {count} | {figures} | 0 |"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--trials", type=int, default=3)
    parser.add_argument("--write", type=Path)
    given = parser.parse_args()
    rows = []
    for load in LOADS:
        rows.append(row(load, given.trials))
        print(rows[-1], flush=True)
    if given.write is not None:
        text = given.write.read_text()
        before, _, rest = text.partition(BEGIN)
        _, _, after = rest.partition(END)
        told = f"Seconds; {stamp()}, `make bench-switchover`."
        table = "\n".join([told, "", HEAD, *rows])
        given.write.write_text(f"{before}{BEGIN}\n{table}\n{END}{after}")


if __name__ == "__main__":
    main()
