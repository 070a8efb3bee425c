"""An application that comes through HAProxy, during real failovers."""

from __future__ import annotations

import pytest

from tests.lab.balancer import ADDRESS, AGENT_PORTS, Balancer, target
from tests.lab.ways import (
    Way,
    all_lead_to,
    coming_by,
    wait_for_new_primary,
    wait_for_timeline,
    went_on,
)

pytestmark = pytest.mark.lab

PROXY = Way("proxy", ADDRESS)


def through_haproxy(lab, *, agent=False, **sections):
    made = []

    def prepare(lab):
        made.append(Balancer(lab, agent=agent))
        made[0].start()

    ports = {"agent": {"listen": "192.0.2.1", "ports": AGENT_PORTS}} if agent else {}
    return coming_by(lab, PROXY, [target(**ports)], prepare=prepare, **sections), made[0]


FAULTS = {
    "killed": lambda host: host.kill9_postmaster(),
    "hung": lambda host: host.sigstop_all(),
}


@pytest.mark.parametrize("fault", ["killed", pytest.param("hung", marks=pytest.mark.campaign)])
def test_an_application_behind_haproxy_goes_on_with_the_new_primary(lab, fault):
    w, _ = through_haproxy(lab)
    FAULTS[fault](w.pg1)
    wait_for_timeline(w.ledger, 2, w)
    wait_for_new_primary(w)
    went_on(w)
    report = lab.monitor.failoverd("report").stdout
    assert "[x] Applications were sent over: haproxy: pg2 of postgres takes sessions" in report
    assert lab.monitor.metric("failoverd_redirect_leads_to_primary", target="haproxy") == 1
    closed = "closed towards pg1: haproxy: postgres/pg1 is in maintenance"
    assert (closed in w.daemon.log_text) == (fault == "hung")


@pytest.mark.campaign
def test_haproxy_that_is_down_during_the_failover_is_put_right_when_it_is_back(lab):
    w, haproxy = through_haproxy(lab, limits={"redirect": "3s"})
    haproxy.kill()
    w.pg1.kill9_postmaster()
    wait_for_new_primary(w)
    assert "haproxy does not lead there yet, which is tried again" in w.daemon.log_text
    assert lab.monitor.metric("failoverd_redirect_leads_to_primary", target="haproxy") == 0
    assert "haproxy: it cannot be reached" in w.daemon.log_text
    haproxy.start()
    wait_for_timeline(w.ledger, 2, w, 40)
    went_on(w)


@pytest.mark.campaign
def test_haproxy_that_forgot_what_it_was_told_is_told_again(lab):
    w, haproxy = through_haproxy(lab)
    haproxy.kill()
    haproxy.start()
    w.ledger.wait_for(100, 45)
    assert "haproxy does not lead to pg1 any more: no server of postgres" in w.daemon.log_text
    assert w.failovers_begun() == 0


@pytest.mark.campaign
def test_haproxy_keeps_what_it_was_told_while_the_daemon_is_down(lab):
    w, _ = through_haproxy(lab, agent=True)
    w.daemon.kill()
    w.ledger.wait_for(1000)
    w.restart()
    lab.monitor.wait_ready()
    w.wait(lambda: all_lead_to(lab, "pg1"), 15, "haproxy leads to pg1")
    w.pg1.kill9_postmaster()
    wait_for_timeline(w.ledger, 2, w)
    wait_for_new_primary(w)
    went_on(w)


@pytest.mark.campaign
def test_a_hung_primary_that_comes_back_is_not_left_closed(lab):
    """It is closed beside a fence that then finds it alive."""
    w, _ = through_haproxy(lab)
    w.pg1.sigstop_all()
    w.wait(lambda: w.status()["state"] == "suspect", 10, "it is suspected")
    w.pg1.sigcont_all()
    w.ledger.wait_for(300)
    w.wait(lambda: all_lead_to(lab, "pg1"), 15, "haproxy leads to pg1")
    assert w.pg2.in_recovery
