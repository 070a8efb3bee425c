"""What the application was promised, and whether the database kept it."""

from __future__ import annotations

import itertools
import json
import os
import subprocess
from collections.abc import Iterable
from dataclasses import asdict, dataclass
from pathlib import Path

from tests.lab import python_tree
from tests.lab.application import Settings
from tests.lab.host import UNPRIVILEGED, UNPRIVILEGED_ID, Host
from tests.lab.server import (
    APPLICATION_PASSWORD,
    APPLICATION_ROLE,
    DATABASE,
    PORT,
    DatabaseHost,
    tail,
)
from tests.waiting import wait_until

APPLICATION = Path(__file__).with_name("application.py")
HOME = "/var/lib/application"
ENOUGH = 1000
"""A run with fewer acknowledgements shows nothing."""
IDS_OF_ONE_RUN = 10**9


@dataclass(frozen=True, slots=True)
class Acknowledgement:
    id: int
    at_ns: int
    node: str
    timeline: int


@dataclass(frozen=True, slots=True)
class Stretch:
    """Acknowledgements in a row from one node on one timeline."""

    node: str
    timeline: int
    acknowledged: int


@dataclass(frozen=True, slots=True)
class Account:
    acknowledged: int
    lost: tuple[int, ...]
    """Acknowledged, and not in the table."""
    unexpected: int
    """In the table, and never acknowledged: allowed, since an answer may be lost."""
    outage_ms: float
    """The longest time between two acknowledgements, or from the last to the end."""
    outages_ms: tuple[float, ...]
    """From the last acknowledgement of each stretch to the first of the next one."""
    stretches: tuple[Stretch, ...]
    """In order of time. More than one of a timeline: two primaries took writes at once."""

    @property
    def timelines(self) -> tuple[int, ...]:
        return tuple(stretch.timeline for stretch in self.stretches)


class Ledger:
    """One run of the application; `directory` is the application's, as seen from outside."""

    def __init__(self, host: Host, directory: Path, number: int, settings: Settings) -> None:
        self._log = directory / Path(settings.log).name
        self._errors = directory / f"errors-{number}.txt"
        with self._errors.open("wb") as errors:
            self._process = subprocess.Popen(
                host.argv([python_tree.PYTHON, APPLICATION], UNPRIVILEGED),
                stdin=subprocess.PIPE,
                stdout=errors,
                stderr=subprocess.STDOUT,
                env={**host.environment(UNPRIVILEGED), **python_tree.ENVIRONMENT},
                cwd="/",
            )
        assert self._process.stdin is not None
        self._process.stdin.write(json.dumps(asdict(settings)).encode() + b"\n")
        self._process.stdin.flush()
        self.wait_for(1, 60)

    @property
    def count(self) -> int:
        """Acknowledgements so far."""
        return len(self.acknowledgements())

    def acknowledgements(self) -> list[Acknowledgement]:
        """In the order of their time; the last line may be half written and is then left out."""
        found = []
        for line in self._lines():
            words = line.split()
            if words[0] != "stopped":
                found.append(Acknowledgement(int(words[0]), int(words[1]), words[2], int(words[3])))
        return sorted(found, key=lambda each: each.at_ns)

    def _lines(self) -> list[str]:
        text = self._log.read_text() if self._log.exists() else ""
        return text[: text.rfind("\n") + 1].splitlines()

    def wait_for(self, more: int = ENOUGH, timeout_s: float = 30) -> None:
        """Until `more` further commits have been acknowledged."""
        goal = self.count + more
        wait_until(
            lambda: self.count >= goal,
            timeout_s,
            f"{more} more acknowledgements",
            evidence=lambda: f"{self.count} so far\n{tail(self._errors)}",
            interval_s=0.1,
        )

    def wait_for_node(self, node: str, timeout_s: float) -> None:
        """Until that node has acknowledged a commit."""
        wait_until(
            lambda: any(each.node == node for each in self.acknowledgements()[-200:]),
            timeout_s,
            f"{node} acknowledges a commit",
            evidence=lambda: f"{self.acknowledgements()[-3:]}\n{tail(self._errors)}",
            interval_s=0.1,
        )

    def stop(self) -> None:
        """Let the application end. May be called twice."""
        stdin = self._process.stdin
        if stdin is not None and not stdin.closed:
            stdin.close()
        try:
            self._process.wait(10)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()

    def check(self, server: DatabaseHost, *, enough: int = ENOUGH) -> Account:
        """Stop the application and hold its log against the table on `server`.

        A run with fewer than `enough` acknowledgements is an error, whatever the table holds.
        """
        self.stop()
        log = self.acknowledgements()
        if len(log) < enough:
            raise AssertionError(
                f"{len(log)} acknowledgements are too few ({enough} are needed)\n"
                + tail(self._errors)
            )
        first = log[0].id - log[0].id % IDS_OF_ONE_RUN
        mine = f"id >= {first} and id < {first + IDS_OF_ONE_RUN}"
        there = {int(row) for row in server.sql(f"select id from ledger where {mine}").split()}
        promised = {each.id for each in log}
        return Account(
            acknowledged=len(promised),
            lost=tuple(sorted(promised - there)),
            unexpected=len(there - promised),
            outage_ms=self._outage_ms(log),
            outages_ms=tuple(
                (later.at_ns - earlier.at_ns) / 1e6
                for earlier, later in itertools.pairwise(log)
                if (earlier.node, earlier.timeline) != (later.node, later.timeline)
            ),
            stretches=_stretches(log),
        )

    def _outage_ms(self, log: list[Acknowledgement]) -> float:
        moments = [each.at_ns for each in log]
        moments += [int(line.split()[1]) for line in self._lines() if line.startswith("stopped ")]
        return max(later - earlier for earlier, later in itertools.pairwise(moments)) / 1e6


def _stretches(log: Iterable[Acknowledgement]) -> tuple[Stretch, ...]:
    return tuple(
        Stretch(node, timeline, sum(1 for _ in group))
        for (node, timeline), group in itertools.groupby(
            log, key=lambda each: (each.node, each.timeline)
        )
    )


class ApplicationHost(Host):
    def __init__(self, name: str, address: str, directory: Path) -> None:
        self.home = directory / "home"
        self.home.mkdir(parents=True)
        os.chown(self.home, UNPRIVILEGED_ID, UNPRIVILEGED_ID)
        self._ledgers: list[Ledger] = []
        trees = python_tree.trees()
        super().__init__(name, address, directory, read_only=trees, writable={HOME: self.home})

    def start_ledger(
        self,
        nodes: Iterable[DatabaseHost],
        *,
        rate: float | None = None,
        writers: int = 1,
        connect_timeout_s: float = 0.5,
        write_timeout_s: float = 1.0,
    ) -> Ledger:
        """The application, with its first commit acknowledged.

        `rate`: commits a second of all writers together; None: as fast as the servers answer.
        """
        number = len(self._ledgers) + 1
        settings = Settings(
            nodes={node.name: node.address for node in nodes},
            port=PORT,
            database=DATABASE,
            user=APPLICATION_ROLE,
            password=APPLICATION_PASSWORD,
            log=f"{HOME}/acknowledged-{number}.txt",
            first_id=number * IDS_OF_ONE_RUN,
            writers=writers,
            rate=rate,
            connect_timeout_s=connect_timeout_s,
            write_timeout_s=write_timeout_s,
        )
        ledger = Ledger(self, self.home, number, settings)
        self._ledgers.append(ledger)
        return ledger

    def stop(self) -> None:
        for ledger in self._ledgers:
            ledger.stop()
        super().stop()
