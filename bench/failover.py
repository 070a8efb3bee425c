"""How long applications cannot write, by fault: failoverd, and beside it the hand-made floor.

The floor is an operator who knows at once what has happened and has the script ready: fence over
SSH, promote over SSH, nothing looked at. Both run in the same lab, one after the other. Root.

    python -m bench.failover [--trials 5] [--faults crash,hang,stop] [--write docs/benchmarks.md]

What was not tried this time keeps its row.
"""

from __future__ import annotations

import argparse
import json
import random
import statistics
import subprocess
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from tests.lab.bmc import PASSWORD, Controller, ladder
from tests.lab.cluster import Watched, watched
from tests.lab.host import UNPRIVILEGED
from tests.lab.lab import Lab
from tests.lab.server import BIN_DIR, DATA_DIR, DatabaseHost

ROOT = Path(__file__).parents[1]
COMMITS_A_SECOND = 200
SEED = 20260101
PHASE = random.Random(SEED)
CONTROLLER_ADDRESS = "192.0.2.101"


@dataclass(frozen=True, slots=True)
class Fault:
    """What befalls the primary, and by what it is fenced."""

    means: str
    kind: str
    """Its objective in docs/readiness.md."""
    strike: Callable[[Watched], None]
    watch: Callable[[Lab], Watched]
    by_hand: bool = True
    """Whether a script over SSH could do anything about it."""


def plain(lab: Lab, **sections: Any) -> Watched:
    return watched(lab, synchronous=True, rate=COMMITS_A_SECOND, **sections)


def with_agent(lab: Lab) -> Watched:
    """`fence_ipmilan` against a simulated controller, as in tests/lab/test_agent.py."""
    lab.monitor  # noqa: B018 - its key opens the hosts: it comes first

    def prepare(lab: Lab) -> None:
        lab.keep(Controller(lab, lab.servers[0], CONTROLLER_ADDRESS))
        lab.monitor.private_file("bmc", PASSWORD + "\n")

    return plain(lab, prepare=prepare, fencing=ladder(CONTROLLER_ADDRESS))


def with_dead_man(lab: Lab) -> Watched:
    w = plain(lab, fencing={"ladder": ["stop", {"dead_man": {"ttl": "5s"}}]})
    w.wait(lambda: w.status()["dead_man"]["armed"], 15, "the dead-man is armed")
    return w


def loses_power(w: Watched) -> None:
    w.lab.link_down(w.pg1)
    w.pg1.kill9_all()


FAULTS: Mapping[str, Fault] = {
    "crash": Fault("SIGKILL to the postmaster", "crash", lambda w: w.pg1.kill9_postmaster(), plain),
    "hang": Fault("SIGSTOP to every process of the server", "hang",
                  lambda w: w.pg1.sigstop_all(), plain),
    "stop": Fault(
        "`pg_ctl stop -m fast`, and it stays down", "stop",
        lambda w: w.pg1.pg_ctl_stop("fast"), plain
    ),
    "dead host with a fence agent": Fault(
        "its link is down and its processes are gone; `fence_ipmilan`", "host_lost",
        loses_power, with_agent,
        by_hand=False,
    ),
    "isolated host with the dead-man": Fault(
        "its link is down, and PostgreSQL runs on; TTL 5 s", "isolated",
        lambda w: w.lab.link_down(w.pg1), with_dead_man, by_hand=False,
    ),
}  # fmt: skip


@dataclass(frozen=True, slots=True)
class Trial:
    computed_s: float | None
    """The worst case that the daemon tells for such a fault; None: not covered."""
    detected_s: float
    """From the fault to the decision to fence; for the floor, 0."""
    outage_s: float
    """The longest time between two acknowledged commits of the application."""


def by_daemon(w: Watched, fault: str) -> Trial:
    computed_s = _computed_s(w, FAULTS[fault].kind)
    began = time.time()
    FAULTS[fault].strike(w)
    w.wait_until_failed_over(60)
    return Trial(computed_s, _fencing_at(w) - began, _outage_s(w))


def _computed_s(w: Watched, kind: str) -> float | None:
    """As `failoverd check` tells it, beside the healthy pair."""
    w.wait(lambda: w.status()["readiness"]["objectives"], 30, "the objectives are computed")
    told = {one["fault"]: one["worst_s"] for one in w.status()["readiness"]["objectives"]}
    found = told[kind]
    return None if found is None else float(found)


def _fencing_at(w: Watched) -> float:
    """When the daemon itself says that it began to fence, by the same machine's clock."""
    for line in w.daemon.log_text.splitlines():
        if line.startswith("{"):
            told = json.loads(line)
            if told.get("state") == "fencing" and told.get("from_state"):
                return datetime.fromisoformat(told["timestamp"]).timestamp()
    raise AssertionError("it never fenced")


def by_hand(w: Watched, fault: str) -> Trial:
    """The same fault with the daemon gone, and the script of somebody who knows at once."""
    w.daemon.kill()
    FAULTS[fault].strike(w)
    fence = (
        f"touch {DATA_DIR}/standby.signal; pkill -KILL -x postgres;"
        f" while pgrep -x postgres >/dev/null; do sleep 0.01; done"
    )
    promote = f"{BIN_DIR}/pg_ctl -D {DATA_DIR} -W promote"
    for host, command in ((w.pg1, fence), (w.pg2, promote)):
        _ssh(w, host, command)
    w.ledger.wait_for_node("pg2", 30)
    return Trial(None, 0.0, _outage_s(w))


def _ssh(w: Watched, host: DatabaseHost, command: str) -> None:
    etc = "/etc/failoverd"
    options = ["-o", f"UserKnownHostsFile={etc}/known_hosts", "-o", "BatchMode=yes"]
    words = ["ssh", "-i", f"{etc}/id_ed25519", *options, f"postgres@{host.address}", command]
    w.lab.monitor.run(words, user=UNPRIVILEGED)


def _outage_s(w: Watched) -> float:
    w.ledger.wait_for(COMMITS_A_SECOND, 30)
    account = w.ledger.check(w.pg2, enough=100)
    assert account.lost == (), f"acknowledged and lost: {account.lost}"
    return account.outage_ms / 1000


def trials(fault: str, count: int, way: Callable[[Watched, str], Trial]) -> Iterator[Trial]:
    for _ in range(count):
        with (
            tempfile.TemporaryDirectory(prefix="failoverd-bench-") as directory,
            Lab.start(Path(directory)) as lab,
        ):
            w = FAULTS[fault].watch(lab)
            time.sleep(1 + PHASE.random())  # a fault keeps no time with our polls
            yield way(w, fault)


def row(fault: str, count: int) -> str:
    ours = list(trials(fault, count, by_daemon))
    floor = list(trials(fault, count, by_hand)) if FAULTS[fault].by_hand else []
    detected = _figures([trial.detected_s for trial in ours])
    outage = _figures([trial.outage_s for trial in ours])
    by_script = _figures([trial.outage_s for trial in floor]) if floor else "cannot reach it"
    figures = f"{count} | {detected} | {outage} | {_held_against(ours)} | {by_script}"
    return f"| {fault}: {FAULTS[fault].means} | {figures} | {stamp()} |"


def _held_against(trials: Sequence[Trial]) -> str:
    """The worst case as it was computed before each fault, and whether an outage went beyond it."""
    computed = [trial.computed_s for trial in trials if trial.computed_s is not None]
    if not computed:
        return "not covered"
    late = sum(trial.outage_s > (trial.computed_s or 0.0) for trial in trials)
    return f"{max(computed):.1f}" + (f" (exceeded {late} times)" if late else "")


def _figures(seconds: list[float]) -> str:
    return f"{statistics.median(seconds):.2f} / {max(seconds):.2f}"


HEAD = """\
| fault | trials | detected, median / max | write outage, median / max | worst case, computed \
| floor: by hand | when |
|---|---|---|---|---|---|---|"""
BEGIN, END = "<!-- failover: begin -->", "<!-- failover: end -->"


def write(page: Path, rows: Sequence[str]) -> None:
    """In the order of the faults; what was not tried this time stays as it was measured."""
    text = page.read_text()
    before, _, rest = text.partition(BEGIN)
    kept, _, after = rest.partition(END)
    by_fault = {_fault_of(line): line for line in (*kept.splitlines(), *rows) if line}
    table = "\n".join([HEAD, *(by_fault[fault] for fault in FAULTS if fault in by_fault)])
    page.write_text(f"{before}{BEGIN}\n{table}\n{END}{after}")


def _fault_of(line: str) -> str:
    return line.removeprefix("| ").partition(":")[0]


def stamp() -> str:
    commit = subprocess.run(
        ["git", "-C", str(ROOT), "rev-parse", "--short", "HEAD"],
        capture_output=True, text=True, check=True,
    ).stdout.strip()  # fmt: skip
    today = datetime.now(UTC).date().isoformat()
    return f"{today}, {commit}"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--trials", type=int, default=5)
    parser.add_argument("--faults", default=",".join(FAULTS))
    parser.add_argument("--write", type=Path)
    given = parser.parse_args()
    print(HEAD, flush=True)
    rows = []
    for fault in given.faults.split(","):
        rows.append(row(fault, given.trials))
        print(rows[-1], flush=True)
    if given.write is not None:
        write(given.write, rows)


if __name__ == "__main__":
    main()
