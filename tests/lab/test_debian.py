"""Servers of Debian's postgresql-common: their configuration is in /etc, where pg_ctl looks not."""

from __future__ import annotations

import pytest

from tests.lab.cluster import watched
from tests.lab.debian import CLUSTER, ETC, DebianHost, DebianWithoutSystemd
from tests.lab.nobody_left import old_primary_takes_writes_again

pytestmark = [pytest.mark.lab, pytest.mark.timeout(240)]

DEBIAN = {"pg1": {"postgres": {"debian_cluster": CLUSTER}}}


def word_of(host):
    lines = host.run(["cat", f"{ETC}/start.conf"]).stdout.splitlines()
    return [line for line in lines if line and not line.startswith("#")]


def gives_up_after_no_candidate_is_left(lab, w):
    """It is fenced when its host answers again, and then nobody is there to take over."""
    old_primary_takes_writes_again(lab, w, w.pg1.kill9_all)
    assert w.pg1.sql("show config_file") == f"{ETC}/postgresql.conf"


def test_an_old_primary_of_debians_is_disabled_and_not_even_a_boot_starts_it(lab):
    w = watched(lab, rate=50, kind=DebianHost, nodes=DEBIAN, rejoin="manual")
    w.pg1.kill9_postmaster()
    w.wait_until_failed_over()
    w.wait(lambda: "stopped, and kept so" in w.daemon.log_text, 30, "pg1 was told to stay down")
    assert f"kept so: disabled in {ETC}/start.conf" in w.daemon.log_text
    assert word_of(w.pg1) == ["disabled"]
    refused = w.pg1.run(["pg_ctlcluster", "15", "main", "start"], check=False)
    assert "Cluster is disabled" in refused.stderr
    w.pg1.reboot(lab.network)
    w.wait(lambda: w.status()["nodes"]["pg1"]["host"] == "ok", 20, "its host answers again")
    assert w.pg1.postmaster is None
    w.pg1.run(["sh", "-c", f"echo auto >{ETC}/start.conf"])
    w.pg1.start()
    assert w.pg1.in_recovery
    w.ledger.wait_for(20)
    assert w.ledger.check(w.pg2, enough=20).lost == ()


@pytest.mark.campaign
def test_its_unit_starts_it_again_where_a_failover_is_taken_back(lab):
    w = watched(lab, rate=50, kind=DebianHost, nodes=DEBIAN, rejoin="manual")
    gives_up_after_no_candidate_is_left(lab, w)
    w.wait(lambda: w.pg1.show("ActiveState") == "active", 20, "its unit is active")


def test_without_systemd_pg_ctlcluster_starts_it_again_with_its_configuration(lab):
    w = watched(lab, rate=50, kind=DebianWithoutSystemd, nodes=DEBIAN, rejoin="manual")
    gives_up_after_no_candidate_is_left(lab, w)


@pytest.mark.campaign
def test_what_is_printed_for_a_human_stops_a_server_of_debians(lab):
    w = watched(lab, rate=50, kind=DebianWithoutSystemd, nodes=DEBIAN, rejoin="manual")
    lab.drop(lab.monitor, w.pg1, 22)
    w.pg1.sigstop_all()
    advice = lab.monitor.wait_for_state("blocked", 60)["blocked"]["advice"]
    typed = advice.partition("data directory: ")[2].partition("),")[0]
    assert typed.endswith("; sudo pg_ctlcluster 15 main stop -m immediate")
    w.pg1.sigcont_all()
    # Nobody may sudo on this host: root types it.
    w.pg1.run(["sh", "-c", typed.replace("sudo ", "")])
    assert w.pg1.postmaster is None
