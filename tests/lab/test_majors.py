"""A failover from its beginning to its end on other majors of PostgreSQL than the lab's own."""

from __future__ import annotations

import pytest

from tests.lab.cluster import Watched, wait_until_it_would_work
from tests.lab.held_back import fill, hold_back, switch_point, true_end
from tests.lab.lab import Lab
from tests.lab.ledger import Account
from tests.lab.majors import MAJORS, host_of
from tests.lab.planned import REPLICATION, wait_until_all_stream
from tests.lab.server import REPLICATION_PASSWORD, DatabaseHost
from tests.waiting import wait_until

pytestmark = [pytest.mark.lab, pytest.mark.campaign, pytest.mark.timeout(1200)]

LAG_MB = 20


def trio_of(lab: Lab, major: int, **settings: str) -> list[DatabaseHost]:
    servers = [
        lab.database_host(f"pg{number}", f"192.0.2.1{number}", host_of(major))
        for number in (1, 2, 3)
    ]
    servers[0].initdb_primary(settings)
    for standby in servers[1:]:
        standby.clone_from(servers[0], slot=standby.name)
    return servers


def watched_trio(lab: Lab, servers: list[DatabaseHost]) -> Watched:
    lab.monitor.private_file("replication", REPLICATION_PASSWORD + "\n")
    lab.monitor.write_config(servers, replication=REPLICATION, rejoin_delay="0s")
    daemon = lab.monitor.start_daemon()
    wait_until_it_would_work(lab)
    ledger = lab.app.start_ledger(servers, rate=200)
    ledger.wait_for(50, 30)
    return Watched(lab, servers[0], servers[1], daemon, ledger)


def fails_over_without_loss(w: Watched, major: str) -> tuple[DatabaseHost, Account]:
    """Held back by so much, and killed: salvaged, promoted, repointed, and the old one is back."""
    hold_back(w.pg1, *w.lab.servers[1:])
    fill(w.pg1, LAG_MB)
    w.ledger.wait_for(100, 30)
    w.pg1.kill9_all()
    w.wait(
        lambda: (s := w.status()).get("primary") in ("pg2", "pg3") and s["state"] == "watching",
        60,
        "another one is the primary",
    )
    primary = next(s for s in w.lab.servers if s.name == w.status()["primary"])
    assert switch_point(primary) == true_end(w.pg1, 1)
    wait_until_all_stream(w, 180)
    assert primary.sql("show server_version").startswith(major)
    assert w.pg1.in_recovery
    w.ledger.wait_for(100, 30)
    assert w.lab.monitor.metric("failoverd_wal_lost_bytes") == 0
    assert w.lab.monitor.metric("failoverd_wal_salvaged_bytes_total") > LAG_MB * 1000 * 1000
    account = w.ledger.check(primary, enough=200)
    assert account.lost == ()
    assert account.timelines == (1, 2)
    return primary, account


@pytest.mark.parametrize("major", MAJORS)
def test_a_crash_with_standbys_far_behind_loses_nothing_and_all_stream_again(lab, major):
    w = watched_trio(lab, trio_of(lab, major))
    fails_over_without_loss(w, str(major))


# Source: PostgreSQL documentation, "Replication Slot Synchronization"
SYNCHRONIZED = {
    "wal_level": "logical",
    "hot_standby_feedback": "on",
    "sync_replication_slots": "on",
}
MAKE_SLOTS = (
    "select pg_create_logical_replication_slot('kept', 'test_decoding', failover => true);"
    "select pg_create_logical_replication_slot('gone', 'test_decoding')"
)
DELIVERED = (
    "select count(*) from pg_logical_slot_peek_changes('kept', null, null)"
    " where data like 'table public.ledger: INSERT%'"
)
# Where its consumer gets on: a standby takes over no slot that is behind its own WAL.
ADVANCED = "select pg_replication_slot_advance('kept', pg_current_wal_lsn())"
SYNCED = (
    "select count(*) from pg_replication_slots"
    " where slot_name = 'kept' and synced and not temporary"
)


def until_synchronized(primary: DatabaseHost, standbys: list[DatabaseHost]) -> None:
    def all_have_it() -> bool:
        primary.sql(ADVANCED)
        return all(standby.sql(SYNCED) == "1" for standby in standbys)

    wait_until(all_have_it, 90, "the standbys have the failover slot", interval_s=0.5)


@pytest.mark.parametrize("major", [17, 18])
def test_a_failover_slot_survives_and_a_logical_one_that_does_not_is_named(lab, major):
    servers = trio_of(lab, major, **SYNCHRONIZED)
    for standby in servers[1:]:
        own = standby.sql("show primary_conninfo").replace("'", "''")
        standby.sql(f"alter system set primary_conninfo = '{own} dbname=postgres'")
        standby.sql("select pg_reload_conf()")
    servers[0].sql(MAKE_SLOTS)
    until_synchronized(servers[0], servers[1:])
    w = watched_trio(lab, servers)
    primary, account = fails_over_without_loss(w, str(major))
    slots = (
        "select string_agg(slot_name, ',') from pg_replication_slots where slot_type = 'logical'"
    )
    assert primary.sql(slots) == "kept"
    assert int(primary.sql(DELIVERED, timeout_s=60)) >= account.acknowledged
    assert "failover slots kept: kept" in w.daemon.log_text
    assert "logical slots LOST with the old primary: gone" in w.daemon.log_text
    until_synchronized(primary, [server for server in servers if server is not primary])
