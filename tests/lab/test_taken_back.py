"""A switchover that fails before the promotion goes back to the old primary, at whatever point."""

from __future__ import annotations

import os
import signal
from collections.abc import Callable
from dataclasses import dataclass

import pytest

from tests.lab.cluster import Watched
from tests.lab.machine import BIN_DIR
from tests.lab.planned import is_over, planned, wait_until_all_stream
from tests.lab.server import DATABASE, SOCKET_DIR, DatabaseHost

pytestmark = [pytest.mark.lab, pytest.mark.campaign, pytest.mark.timeout(900)]

HELD = "/tmp/held"
ENDLESS = f"copy (select 1) to program 'cat >/dev/null; while test -e {HELD}; do sleep 0.05; done'"


def backend(server: DatabaseHost, kind: str) -> int:
    (pid,) = [one.outer_pid for one in server.processes("postgres") if kind in one.command]
    return pid


def hold_its_stop(pg1: DatabaseHost) -> None:
    """A session that ends when it is let: until then the clean stop of its server waits for it."""
    pg1.run(["touch", HELD], user="postgres")
    words = [f"{BIN_DIR}/psql", "-X", "-h", SOCKET_DIR, "-c", ENDLESS, DATABASE]
    pg1.run(["sh", "-c", '"$@" </dev/null >/dev/null 2>&1 &', "sh", *words], user="postgres")
    pg1.wait_for_sql(
        "select count(*) from pg_stat_activity where query like 'copy (select 1)%'", "1"
    )


def is_stopping(pg1: DatabaseHost) -> bool:
    file = pg1.data / "postmaster.pid"
    return file.exists() and "stopping" in file.read_text()


def stops(w: Watched) -> bool:
    """Asked for again where it was given up before, on a machine that was too slow for it."""
    if not is_stopping(w.pg1) and is_over(w.status()):
        is_begun(w)
    return is_stopping(w.pg1)


def in_the_stop(fault: Callable[[Watched], None]) -> Callable[[Watched], None]:
    """While the old primary is being stopped: what is over only after that is not seen before."""

    def happens(w: Watched) -> None:
        w.wait(lambda: stops(w), 60, "pg1 is being stopped")
        fault(w)
        w.pg1.run(["rm", HELD])

    return happens


def before_the_stop(fault: Callable[[Watched], None]) -> Callable[[Watched], None]:
    def happens(w: Watched) -> None:
        w.wait(lambda: w.status()["state"] == "fencing", 20, "it is being prepared")
        fault(w)

    return happens


def stop_the_checkpointer(w: Watched) -> None:
    os.kill(backend(w.pg1, "checkpointer"), signal.SIGSTOP)


@dataclass(frozen=True)
class Point:
    """Where it fails, and what is told of it."""

    prepare: Callable[[Watched], None]
    fault: Callable[[Watched], None]
    told: str


POINTS = {
    "no checkpoint": Point(stop_the_checkpointer, lambda _: None, "no checkpoint"),
    "the candidate dies before the stop": Point(
        stop_the_checkpointer,
        before_the_stop(lambda w: w.pg2.kill9_all()),
        "the switchover is given up: ",
    ),
    "the candidate dies before it is elected": Point(
        lambda w: hold_its_stop(w.pg1), in_the_stop(lambda w: w.pg2.kill9_all()), "pg2"
    ),
    "the candidate's host is lost before it is elected": Point(
        lambda w: hold_its_stop(w.pg1), in_the_stop(lambda w: w.lab.link_down(w.pg2)), "pg2"
    ),
}
LIMITS = {"promote": "2s", "stop_fast": "40s", "fence": "60s"}


def is_begun(w: Watched) -> bool:
    """Asked for, and not refused: what was mended a moment ago may not be ready for it yet."""
    words = ("switchover", "--to", "pg2", "--yes", "--timeout", "0")
    return w.lab.monitor.failoverd(*words, check=False).returncode != 1


def taken_back(w: Watched) -> list[str]:
    """How each switchover of this run has ended, the latest first."""
    incidents = w.lab.monitor.get("/api/v1/clusters/main/incidents")["incidents"]
    return [one["outcome"] for one in incidents if one["trigger"] == "switchover"]


def mend(w: Watched) -> None:
    w.lab.heal()
    w.pg1.sigcont_all()
    w.pg2.sigcont_all()
    if w.pg2.postmaster is None:
        w.pg2.start()


def test_at_any_point_before_the_promotion_the_old_primary_writes_again_and_nothing_is_lost(lab):
    w = planned(lab, trio=True, limits=LIMITS, switchover={"checkpoint": "3s"})
    for name, point in POINTS.items():
        said_before, before = len(w.daemon.log_text), len(taken_back(w))
        point.prepare(w)
        w.wait(lambda: is_begun(w), 60, f"{name}: it is begun")
        point.fault(w)
        w.wait(
            lambda before=before: (
                len(ended := taken_back(w)) > before
                and ended[0] in ("cancelled", "reverted")
                and is_over(w.status())
            ),
            90,
            f"{name}: it is taken back",
        )
        assert w.status()["primary"] == "pg1", name
        assert not w.pg1.in_recovery, name
        assert not (w.pg1.data / "standby.signal").exists(), name
        assert point.told in w.daemon.log_text[said_before:], name
        mend(w)
        w.ledger.wait_for(50, 30)
        wait_until_all_stream(w)
    account = w.ledger.check(w.pg1, enough=200)
    assert account.lost == ()
    assert account.timelines == (1,)


def test_once_it_was_asked_to_promote_there_is_no_way_back_and_another_takes_over(lab):
    w = planned(lab, trio=True, limits=LIMITS)
    hold_its_stop(w.pg1)
    w.wait(lambda: is_begun(w), 60, "it is begun")
    in_the_stop(lambda w: w.pg2.sigstop_replay())(w)
    w.wait(
        lambda: (s := w.status()).get("primary") == "pg3" and s["state"] == "watching",
        90,
        "pg3 is the primary",
    )
    assert "giving pg2 up, which must be stopped before another is asked" in w.daemon.log_text
    w.wait(lambda: w.status()["nodes"]["pg1"]["receiver"] == "streaming", 60, "pg1 follows it")
    w.ledger.wait_for_node("pg3", 30)
    (pg3,) = [one for one in lab.servers if one.name == "pg3"]
    account = w.ledger.check(pg3, enough=50)
    assert account.lost == ()
    assert account.timelines == (1, 2)
