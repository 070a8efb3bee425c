"""An old primary comes back as a standby, by itself or when it is told to; over SSH, for real."""

from __future__ import annotations

import pytest

from tests.lab.held_back import hold_back
from tests.lab.planned import planned, wait_until_all_stream

pytestmark = pytest.mark.lab


def cut_off_with_commits_of_its_own(w):
    """pg1 has committed what no standby has, and is dead."""
    w.lab.part(w.pg1, w.pg2)
    w.pg1.sql("create table never_seen as select generate_series(1, 1000) n")
    w.pg1.kill9_postmaster()
    w.lab.heal()


def test_a_crashed_primary_comes_back_by_itself_and_streams(lab):
    w = planned(lab)
    w.pg1.kill9_postmaster()
    w.wait_until_failed_over()
    wait_until_all_stream(w)
    assert w.pg1.in_recovery
    assert not (w.pg1.data / "failoverd.guard").exists()
    assert w.pg1.sql("show cluster_name") == "pg1"
    w.ledger.wait_for(100)
    assert w.ledger.check(w.pg2, enough=100).lost == ()
    assert lab.monitor.metric("failoverd_node_job", node="pg1", job="ok") == 1


def test_one_that_had_commits_of_its_own_is_rewound_when_it_is_told_to(lab):
    w = planned(lab, rejoin="manual", failover={"salvage": False})
    cut_off_with_commits_of_its_own(w)
    w.wait_until_failed_over()
    assert w.status()["nodes"]["pg1"]["job"] == "quarantined"
    lab.monitor.failoverd("rejoin", "pg1", "--yes", "--timeout", "90", timeout_s=120)
    wait_until_all_stream(w)
    assert "it was rewound" in w.daemon.log_text
    assert w.pg1.sql("select to_regclass('never_seen') is null") == "t"


def ahead_of_the_new_primary(w):
    """pg3 alone has what pg1 committed last, and is away while pg2 takes over."""
    pg3 = w.lab.servers[2]
    hold_back(w.pg1, w.pg2)
    w.pg1.sql("create table never_seen as select generate_series(1, 1000) n")
    end = w.pg1.sql("select pg_current_wal_flush_lsn()")
    pg3.wait_for_sql(f"select pg_last_wal_receive_lsn() >= '{end}'", "t")
    w.lab.link_down(pg3)
    w.wait(lambda: not w.status()["nodes"]["pg3"]["up"], 15, "pg3 is seen to be away")
    w.pg1.kill9_all()
    w.wait_until_failed_over(60)
    w.lab.link_up(pg3)
    return pg3


@pytest.mark.parametrize("policy", ["manual", pytest.param("auto", marks=pytest.mark.campaign)])
def test_a_standby_that_is_ahead_of_the_new_primary_is_reported_and_rewound(lab, policy):
    w = planned(lab, trio=True, rejoin=policy, failover={"salvage": False})
    pg3 = ahead_of_the_new_primary(w)
    if policy == "manual":
        w.wait(lambda: w.status()["nodes"]["pg3"]["job"] == "diverged", 60, "it is reported")
        said = w.status()["nodes"]["pg3"]["job_detail"]
        assert said == "it is ahead of where the new primary took over: failoverd rejoin pg3"
        assert "never_seen" in pg3.sql("select relname from pg_class where relname = 'never_seen'")
        for name in ("pg3", "pg1"):
            lab.monitor.failoverd("rejoin", name, "--yes", "--timeout", "90", timeout_s=120)
    wait_until_all_stream(w, 120)
    assert "the commits that only pg3 has were counted" in w.daemon.log_text
    assert "pg3 is back as a standby of pg2 and streams: it was rewound" in w.daemon.log_text
    assert pg3.sql("select to_regclass('never_seen') is null") == "t"
    assert (pg3.home / "15" / "main.failoverd" / "wal-1").exists()


def test_the_daemon_killed_while_it_rejoins_finds_it_again(lab):
    w = planned(lab, failover={"salvage": False})
    cut_off_with_commits_of_its_own(w)
    w.wait_until_failed_over()
    w.wait(lambda: w.status()["nodes"]["pg1"]["job"] == "rejoining", 30, "it is rejoining")
    w.daemon.kill()
    w.restart()
    wait_until_all_stream(w)
    assert w.pg1.in_recovery


def test_a_way_back_that_fails_leaves_it_fenced_and_says_why(lab):
    w = planned(lab, rejoin="manual")
    w.pg2.sql("select pg_reload_conf()")
    w.pg1.kill9_postmaster()
    w.wait_until_failed_over()
    (w.pg1.data / "postgresql.conf").write_text("this is no configuration\n")
    lab.monitor.failoverd("rejoin", "pg1", "--yes")
    w.wait(
        lambda: (n := w.status()["nodes"]["pg1"])["job"] == "quarantined" and n["job_detail"],
        60,
        "it is given up",
    )
    assert "stays fenced" in w.status()["nodes"]["pg1"]["job_detail"]
    assert (w.pg1.data / "standby.signal").exists()
    assert w.pg1.processes("postgres") == []


def test_a_password_for_replication_is_in_no_log_report_or_argument_list(lab):
    w = planned(lab)
    w.pg1.kill9_postmaster()
    w.wait_until_failed_over()
    wait_until_all_stream(w)
    secret = "the replicator's word"
    texts = [w.daemon.log_text, lab.monitor.failoverd("report").stdout]
    texts += [p.command for p in w.pg1.processes()]
    assert all(secret not in text for text in texts)


def test_a_promotion_made_by_hand_is_adopted_and_its_old_primary_comes_back(lab):
    w = planned(lab)
    w.pg1.pg_ctl_stop("fast")
    w.pg2.sql("select pg_promote()")
    w.wait(lambda: w.status()["primary"] == "pg2", 30, "pg2 is adopted")
    wait_until_all_stream(w)
    assert w.failovers_begun() == 0
    assert w.pg1.in_recovery
    w.ledger.wait_for(100)
    assert w.ledger.check(w.pg2, enough=50).lost == ()
