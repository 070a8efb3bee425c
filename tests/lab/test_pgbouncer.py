"""An application that comes through PgBouncer, during real failovers. It is never left paused."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.lab import python_tree
from tests.lab.host import UNPRIVILEGED
from tests.lab.monitor import CONFIG
from tests.lab.pooler import ADDRESS, ADMIN_PASSWORD, Pooler, target
from tests.lab.server import APPLICATION_PASSWORD, APPLICATION_ROLE, DATABASE
from tests.lab.ways import (
    Way,
    all_lead_to,
    coming_by,
    wait_for_new_primary,
    wait_for_timeline,
    went_on,
)

pytestmark = pytest.mark.lab

PAUSING = Path(__file__).with_name("pausing.py")

FAULTS = {
    "killed": lambda host: host.kill9_postmaster(),
    "hung": lambda host: host.sigstop_all(),
}


def through_pgbouncer(lab, *, mode="transaction", **sections):
    made = []

    def prepare(lab):
        made.append(Pooler(lab, mode=mode))
        made[0].start()

    lab.monitor  # noqa: B018 - its key opens the hosts: it comes first
    way = Way("pooler", ADDRESS)
    return coming_by(lab, way, [target(lab)], prepare=prepare, **sections), made[0]


@pytest.mark.parametrize(
    ("fault", "mode"),
    [
        ("hung", "session"),
        pytest.param("killed", "transaction", marks=pytest.mark.campaign),
    ],
)
def test_an_application_behind_pgbouncer_goes_on_with_the_new_primary(lab, fault, mode):
    w, pooler = through_pgbouncer(lab, mode=mode)
    FAULTS[fault](w.pg1)
    wait_for_timeline(w.ledger, 2, w)
    wait_for_new_primary(w)
    assert not pooler.paused
    went_on(w)
    report = lab.monitor.failoverd("report").stdout
    assert "[x] Applications were sent over: pgbouncer: postgres at 192.0.2.12:5432" in report
    assert 'RESUME "postgres"' in report
    assert ADMIN_PASSWORD not in report + w.daemon.log_text
    assert "host=192.0.2.12" in pooler.databases


@pytest.mark.campaign
def test_pgbouncer_that_is_down_during_the_failover_starts_with_the_new_primary(lab):
    """Its file was written all the same; and what the console cannot do is tried again."""
    w, pooler = through_pgbouncer(lab, limits={"redirect": "3s"})
    pooler.kill()
    w.pg1.kill9_postmaster()
    wait_for_new_primary(w)
    assert "host=192.0.2.12" in pooler.databases
    assert "its console cannot be reached" in w.daemon.log_text
    assert lab.monitor.metric("failoverd_redirect_leads_to_primary", target="pgbouncer") == 0
    pooler.start()
    wait_for_timeline(w.ledger, 2, w)
    w.wait(lambda: all_lead_to(lab, "pg2"), 45, "pgbouncer leads to pg2")
    went_on(w)


@pytest.mark.campaign
def test_a_daemon_that_dies_while_pgbouncer_is_paused_resumes_it_at_its_next_start(lab):
    w, pooler = through_pgbouncer(lab)
    pooler.console("PAUSE postgres")
    w.pg1.kill9_postmaster()
    w.wait(lambda: "confirmed: pg2 is the primary" in w.daemon.log_text, 20, "it is confirmed")
    w.daemon.kill()
    pooler.console("PAUSE postgres")
    w.restart()
    wait_for_timeline(w.ledger, 2, w)
    wait_for_new_primary(w)
    assert not pooler.paused
    went_on(w)


@pytest.mark.campaign
def test_a_pause_of_an_operator_is_left_alone_and_shown(lab):
    w, pooler = through_pgbouncer(lab)
    pooler.console("PAUSE postgres")
    w.wait(
        lambda: "paused: postgres" in w.status()["targets"]["pgbouncer"]["sentence"],
        45,
        "the pause is shown",
    )
    assert pooler.paused
    assert "does not lead" not in w.daemon.log_text
    pooler.console("RESUME postgres")
    w.ledger.wait_for(100)


BUSY = "select count(*) from pg_stat_activity where state = 'idle in transaction'"


def open_transaction(lab, w):
    """A client of PgBouncer's that keeps its server connection until somebody ends it."""
    words = ["psql", "-X", "-q", "-h", ADDRESS, "-p", "5432", "-U", APPLICATION_ROLE, DATABASE]
    variables = ["env", f"PGPASSWORD={APPLICATION_PASSWORD}"]
    session = lab.app.spawn([*variables, *words])
    session.stdin.write("begin; select 1;\n")
    session.stdin.flush()
    w.pg1.wait_for_sql(BUSY, "1")
    return session


@pytest.mark.campaign
def test_a_transaction_with_a_server_of_which_nothing_is_heard_is_killed_in_a_failover(lab):
    """PgBouncer does not know that its old server is gone: its PAUSE has no end."""
    w, pooler = through_pgbouncer(lab)
    session = open_transaction(lab, w)
    lab.part(pooler, w.pg1)
    w.pg1.kill9_postmaster()
    wait_for_timeline(w.ledger, 2, w)
    wait_for_new_primary(w)
    assert not pooler.paused
    report = lab.monitor.failoverd("report").stdout
    assert 'KILL "postgres"' in report
    assert "[x] Applications were sent over: pgbouncer: postgres at 192.0.2.12:5432" in report
    went_on(w)
    said, _ = session.communicate("select 2;\n", timeout=10)
    assert "server closed the connection" in said or "terminating" in said, said


def pause(lab, action):
    command = [python_tree.PYTHON, PAUSING, CONFIG, action]
    done = lab.monitor.run(command, user=UNPRIVILEGED, env=python_tree.ENVIRONMENT)
    return done.stdout.strip()


@pytest.mark.campaign
def test_for_a_switchover_clients_wait_and_keep_their_sessions(lab):
    w, pooler = through_pgbouncer(lab)
    sessions = pooler.console("SHOW CLIENTS")
    assert pause(lab, "close") == "TargetClosed pgbouncer: postgres: clients wait"
    assert pooler.paused
    count = w.ledger.count
    assert "application" in sessions
    assert pause(lab, "open").startswith("Redirected pgbouncer: postgres at 192.0.2.11")
    assert not pooler.paused
    w.ledger.wait_for(100)
    assert count < w.ledger.count


@pytest.mark.campaign
def test_a_transaction_that_does_not_end_is_not_cut_for_a_switchover_and_nothing_stays_paused(lab):
    w, pooler = through_pgbouncer(lab)
    session = open_transaction(lab, w)
    said = pause(lab, "close")
    assert said == "EffectFailed pgbouncer: transactions of postgres did not end in time"
    assert not pooler.paused
    assert w.pg1.sql(BUSY).strip() == "1"
    w.ledger.wait_for(100)
    session.communicate("commit;\n", timeout=10)
