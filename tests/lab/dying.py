"""A daemon that dies at one named point of a procedure, and what must be true after it."""

from __future__ import annotations

import enum
import json
import signal
import time
from collections.abc import Callable
from dataclasses import dataclass

from tests.lab.cluster import Watched, would_work
from tests.lab.gate import Gate, SqlGate, ssh_gate
from tests.lab.held_back import fill, hold_back
from tests.lab.host import signal_all
from tests.lab.lab import Lab
from tests.lab.planned import all_stream, planned
from tests.lab.server import DATA_DIR, DatabaseHost

PROOF_IS_STALE_S = 35.0
"""A fence proof lasts 30 s."""
BEHIND_MB = 40
"""More than goes in one piece."""
NEVER_TOO_SOON = {"cooldown": "1ms", "max_per_day": 1000}


class Fate(enum.StrEnum):
    """What becomes of the daemon, and of the call that it has made."""

    BEFORE = "killed, and the call is lost on its way"
    ALONE = "killed, and the call is done without it"
    AFTER = "killed, and the answer is lost on its way"
    SLEEPS = "stopped for longer than a proof lasts, and the call is done meanwhile"


class Way(enum.StrEnum):
    """By which it calls out. The old primary, and the node that is to take its place."""

    OLD_SSH = "old primary, SSH"
    NEW_SSH = "new primary, SSH"
    OLD_SQL = "old primary, SQL"
    NEW_SQL = "new primary, SQL"
    JOURNAL = "journal"


@dataclass(frozen=True, slots=True)
class Point:
    way: Way
    what: str
    """The verb of the host program, words of the statement, or the number of the write."""
    fate: Fate

    @property
    def name(self) -> str:
        return f"{self.way}: {self.what[:60]}: {self.fate}"


LOOKS = frozenset({
    "reach", "status", "settings", "history", "log", "diverged", "rejoin_status", "rejoin_source",
    "wal_end", "readiness",
})  # fmt: skip
"""The verbs that change nothing: whether they were done when the daemon died, nobody can tell."""
ASKS_ABOUT_RIGHTS = "has_function_privilege("
"""Of a survey, which names functions that it does not call."""
CHANGES = ("pg_promote", "pg_logical_emit_message", "checkpoint", "pg_create", "pg_drop")


class Kind(enum.StrEnum):
    """Of what it calls out for."""

    ACTS = "acts"
    JOURNAL = "journal"
    LOOKS = "looks"


def kind_of(way: Way, what: str) -> Kind:
    if way is Way.JOURNAL:
        return Kind.JOURNAL
    if way in (Way.OLD_SSH, Way.NEW_SSH):
        return Kind.LOOKS if what in LOOKS else Kind.ACTS
    changes = any(what == word or f"{word}(" in what for word in CHANGES)
    return Kind.ACTS if changes and ASKS_ABOUT_RIGHTS not in what else Kind.LOOKS


def comes_by_in_calm(point: Point) -> bool:
    """The watch calls out for it, too: it is waited for only once the procedure has begun."""
    writes = "pg_logical_emit_message" in point.what and "'confirm'" not in point.what
    return writes or kind_of(point.way, point.what) is Kind.LOOKS


class Procedure(enum.StrEnum):
    FAILOVER = "failover"
    SWITCHOVER = "switchover"
    SALVAGE = "salvage"
    """A failover to a standby that lacks megabytes of WAL."""


@dataclass(slots=True)
class Stage:
    """A watched pair with a gate on each way."""

    w: Watched
    ssh: dict[str, Gate]
    sql: SqlGate

    @property
    def old(self) -> DatabaseHost:
        return next(s for s in self.w.lab.servers if s.name == self.w.status()["primary"])

    def other(self, server: DatabaseHost) -> DatabaseHost:
        return next(s for s in self.w.lab.servers if s is not server)

    def seen(self, old: DatabaseHost) -> list[tuple[Way, str]]:
        """What has come by since the lab began, in order within each way."""
        new = self.other(old)
        found = [(Way.OLD_SSH, verb) for verb in self.ssh[old.name].seen]
        found += [(Way.NEW_SSH, verb) for verb in self.ssh[new.name].seen]
        for line in self.sql.seen:
            host, _, statement = line.partition(" ")
            found.append((Way.OLD_SQL if host == old.address else Way.NEW_SQL, statement))
        return found


def stage(lab: Lab) -> Stage:
    servers = lab.pair(synchronous=False)
    ssh = {server.name: ssh_gate(server) for server in servers}
    sql = lab.keep(SqlGate(lab.monitor))
    w = planned(lab, servers=servers, failover=NEVER_TOO_SOON)
    return Stage(w, ssh, sql)


def recorded(s: Stage, procedure: Procedure) -> list[tuple[Way, str]]:
    """Every different call of one procedure from its begin until everything streams again."""
    ready(s)
    old = s.old
    before = len(s.seen(old))
    counts = {way: sum(w is way for w, _ in s.seen(old)) for way in Way}
    assert before == sum(counts.values())
    begin(s, procedure, old)
    wait_for_the_end(s, procedure, old)
    passed: dict[Way, int] = dict.fromkeys(Way, 0)
    found: dict[tuple[Way, str], None] = {}
    for way, what in s.seen(old):
        passed[way] += 1
        if passed[way] > counts[way]:
            found[way, what] = None
    return list(found)


def tried(s: Stage, procedure: Procedure, point: Point) -> bool:
    """Begin, let the daemon die there, start it again, and see that all is well.

    False: the procedure was over without passing by.
    """
    ready(s)
    old = s.old
    new = s.other(old)
    ledger = s.w.ledger = s.w.lab.app.start_ledger([old, new], rate=200)
    ledger.wait_for(100)
    timeline = old.timeline
    if procedure is Procedure.SALVAGE:
        hold_back(old, new)
        fill(old, BEHIND_MB)
        ledger.wait_for(100)
    if point.way is Way.JOURNAL:
        reached = _dies_at_a_write(s, procedure, old, point)
    else:
        reached = _dies_at_a_gate(s, procedure, old, point)
    if s.w.daemon.exit_status is not None:
        s.w.restart()
        s.w.lab.monitor.wait_ready(60)
    wait_for_the_end(s, procedure, old)
    ledger.wait_for(100)
    in_order(s, procedure, old, timeline)
    return reached


def ready(s: Stage) -> None:
    def could_begin() -> bool:
        return all_stream(s.w) and would_work(s.w.lab) and not s.w.status()["switchover_obstacles"]

    s.w.wait(could_begin, 120, "another one could begin")


def begin(s: Stage, procedure: Procedure, old: DatabaseHost) -> None:
    if procedure is Procedure.FAILOVER:
        old.kill9_postmaster()
    elif procedure is Procedure.SALVAGE:
        old.kill9_all()
    else:
        s.w.lab.monitor.failoverd("switchover", "--yes", "--timeout", "0", check=False)


def wait_for_the_end(s: Stage, procedure: Procedure, old: DatabaseHost) -> None:
    """A failover ends with the other as the primary; a switchover may go back."""
    over = procedure is Procedure.SWITCHOVER
    s.w.wait(
        lambda: all_stream(s.w) and (over or s.w.status()["primary"] != old.name),
        180,
        f"the {procedure} is over and everything streams",
    )


def _gate(s: Stage, old: DatabaseHost, point: Point) -> tuple[Gate, list[str]]:
    new = s.other(old)
    node = old if point.way in (Way.OLD_SSH, Way.OLD_SQL) else new
    moment = "answer" if point.fate is Fate.AFTER else "request"
    if point.way in (Way.OLD_SSH, Way.NEW_SSH):
        return s.ssh[node.name], [moment, point.what]
    return s.sql, [moment, node.address, point.what]


def _dies_at_a_gate(s: Stage, procedure: Procedure, old: DatabaseHost, point: Point) -> bool:
    gate, words = _gate(s, old, point)
    if procedure is Procedure.FAILOVER and comes_by_in_calm(point):
        begin(s, procedure, old)
        gate.arm(*words)
    else:
        gate.arm(*words)
        begin(s, procedure, old)
    s.w.wait(
        lambda: gate.holds or _came_to_its_end(s, procedure, old), 120, f"held at {point.name}"
    )
    reached = gate.holds
    if reached and point.fate is Fate.SLEEPS:
        s.w.daemon.signal(signal.SIGSTOP)
        gate.let_go("deliver")
        time.sleep(PROOF_IS_STALE_S)  # the fault itself
        s.w.daemon.signal(signal.SIGCONT)
    elif reached:
        s.w.daemon.kill()
        gate.let_go("drop" if point.fate is Fate.BEFORE else "deliver")
    gate.disarm()
    return reached


def _came_to_its_end(s: Stage, procedure: Procedure, old: DatabaseHost) -> bool:
    status = s.w.status()
    if not all_stream(s.w):
        return False
    return procedure is Procedure.SWITCHOVER or status["primary"] != old.name


# The journal: by strace, at its N-th fdatasync.


BEFORE = "signal=SIGKILL"
AFTER = "delay_exit=20000000"
"""Done, and held on its way back, so that the write is durable and nothing follows it."""


def _dies_at_a_write(s: Stage, procedure: Procedure, old: DatabaseHost, point: Point) -> bool:
    injection = AFTER if point.fate is Fate.AFTER else BEFORE
    strace = attach(s.w, injection, int(point.what))
    begin(s, procedure, old)
    died = dead_or_over(s.w, injection, lambda: _came_to_its_end(s, procedure, old))
    signal_all(s.w.lab.monitor, "strace", signal.SIGKILL)
    strace.communicate(timeout=10)
    return died


def attach(w: Watched, injection: str, write: int):
    """strace, attached to the running daemon; its N counts from here."""
    monitor = w.lab.monitor
    (monitor.directory / "run" / "trace").unlink(missing_ok=True)
    inject = f"inject=fdatasync:{injection}:when={write}"
    strace = monitor.spawn(
        ["strace", "-f", "-e", "trace=fdatasync", "-e", inject, "-p", str(w.daemon.pid),
         "-o", "/run/failoverd/trace"],
    )  # fmt: skip
    traced = f"/proc/{w.daemon.pid}/status"
    w.wait(
        lambda: "TracerPid:\t0" not in monitor.run(["cat", traced]).stdout,
        20, "strace is attached",
    )  # fmt: skip
    return strace


def dead_or_over(w: Watched, injection: str, over: Callable[[], bool]) -> bool:
    """True once it has died at the write; False where it came through without it."""
    if injection == BEFORE:
        w.wait(
            lambda: w.daemon.exit_status is not None or over(),
            120, "the daemon was killed, or is through",
        )  # fmt: skip
        return w.daemon.exit_status == -signal.SIGKILL
    w.wait(lambda: held(w) or over(), 120, "a write is held, or the daemon is through")
    if not held(w):
        return False
    w.daemon.signal(signal.SIGKILL)
    # It holds what it traces, also against SIGKILL, until the delay is over.
    signal_all(w.lab.monitor, "strace", signal.SIGKILL)
    return w.daemon.wait(10) == -signal.SIGKILL


def held(w: Watched) -> bool:
    """The daemon waits for a write that is on disk; without its answer it does nothing."""
    return "nothing is done without it" in w.daemon.log_text


# What must be true.


def in_order(s: Stage, procedure: Procedure, old: DatabaseHost, timeline: int) -> None:
    """One confirmed primary, all that was acknowledged, and nothing left behind."""
    primary = s.old
    standby = s.other(primary)
    assert not primary.in_recovery
    assert standby.in_recovery
    assert primary.timeline - timeline == (primary is not old), "promoted more than once"
    account = s.w.ledger.check(primary, enough=100)
    assert account.lost == ()
    assert len(set(account.timelines)) == len(account.timelines), "two primaries took writes"
    assert not (primary.data / "standby.signal").exists()
    for server in (primary, standby):
        ours = [f.name for f in server.data.glob("failoverd*")]
        assert ours == [], f"{server.name}: {ours}"
        left = [
            line for line in (server.data / "postgresql.auto.conf").read_text().splitlines()
            if "failoverd_frozen" in line or line == "primary_conninfo = ''"
            or line.startswith("max_standby_")
        ]  # fmt: skip
        assert left == [], f"{server.name} of {DATA_DIR}: {left}"
    _ended(s, procedure, old)


def _ended(s: Stage, procedure: Procedure, old: DatabaseHost) -> None:
    """The journal's latest incident is at its end, and says the same as the servers."""
    history = json.loads(s.w.lab.monitor.failoverd("history", "--json").stdout)
    latest = next((one for one in history if one["id"] is not None), None)
    if procedure is Procedure.SWITCHOVER and s.old is old:
        assert latest is None or latest["outcome"] in ("cancelled", "reverted", "succeeded")
        return
    assert latest is not None
    assert latest["outcome"] == "succeeded"
