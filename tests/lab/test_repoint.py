"""After a failover every other standby streams from the new primary, on its own settings."""

from __future__ import annotations

import pytest

from tests.lab.cluster import wait_until_it_would_work
from tests.lab.lab import Lab, make_synchronous

pytestmark = pytest.mark.lab


def watched_with(
    lab: Lab, standbys: int, *, synchronous: str = "", synchronous_mode: str = "", **sections
):
    """pg1, its standbys (the last one without a slot), the daemon, and a writing application."""
    pg1, pg2 = lab.pair(synchronous=False)
    others = []
    for number in range(3, 2 + standbys):
        other = lab.database_host(f"pg{number}", f"192.0.2.1{number}")
        other.clone_from(pg1, slot=None if number == 1 + standbys else f"pg{number}")
        others.append(other)
    if synchronous:
        make_synchronous(pg1, synchronous)
    if synchronous_mode:
        sections["synchronous"] = synchronous_mode
    lab.monitor.write_config(lab.servers, **sections)
    lab.monitor.start_daemon()
    wait_until_it_would_work(lab)
    ledger = lab.app.start_ledger(lab.servers, rate=50)
    ledger.wait_for(20, 30)
    return pg1, pg2, others, ledger


def new_primary(lab: Lab, timeout_s: float = 30):
    """The confirmed one, once it is watched."""
    lab.monitor.wait_until(
        lambda: (s := lab.monitor.status())["state"] == "watching" and s["primary"] != "pg1",
        timeout_s,
        "another one is the primary",
    )
    name = lab.monitor.status()["primary"]
    return next(server for server in lab.servers if server.name == name)


def wait_until_all_follow(lab: Lab, primary, gone=("pg1",)):
    others = [s for s in lab.servers if s is not primary and s.name not in gone]
    for standby in others:
        standby.wait_for_sql(
            "select status || ' ' || received_tli || ' ' || sender_host from pg_stat_wal_receiver",
            f"streaming {primary.timeline} {primary.address}",
            30,
        )
    names = ",".join(sorted(standby.name for standby in others))
    primary.wait_for_sql(
        "select string_agg(application_name, ',' order by application_name)"
        " from pg_stat_replication where state = 'streaming'",
        names,
        10,
    )
    lab.monitor.wait_until(
        lambda: all(lab.monitor.status()["nodes"][s.name]["job"] == "ok" for s in others),
        20,
        "nothing is owed to them any more",
    )


@pytest.mark.parametrize(
    ("standbys", "synchronous"), [(2, ""), (3, "ANY 1 (pg2, pg3, pg4)")], ids=["two", "three"]
)
def test_the_others_stream_from_the_new_primary_by_themselves(lab, standbys, synchronous):
    pg1, _, _, ledger = watched_with(lab, standbys, synchronous=synchronous)
    pg1.kill9_postmaster()
    primary = new_primary(lab)
    wait_until_all_follow(lab, primary)
    ledger.wait_for_node(primary.name, 15)
    ledger.wait_for(20, 30)
    if synchronous:
        assert ledger.check(primary, enough=100).lost == ()
    frozen = "select count(*) from pg_settings where setting like 'failoverd_frozen%'"
    assert [server.sql(frozen) for server in lab.servers if server.postmaster] == ["0"] * standbys
    assert primary.sql("select timeline_id from pg_control_checkpoint()") == "2"


def test_a_standby_that_comes_back_late_is_led_to_the_new_primary(lab):
    pg1, _, (pg3,), ledger = watched_with(lab, 2)
    pg3.pg_ctl_stop("fast")
    lab.monitor.wait_until(
        lambda: not lab.monitor.status()["nodes"]["pg3"]["up"], 10, "pg3 is seen to be down"
    )
    pg1.kill9_postmaster()
    primary = new_primary(lab)
    ledger.wait_for_node(primary.name, 15)
    pg3.start()
    wait_until_all_follow(lab, primary)
