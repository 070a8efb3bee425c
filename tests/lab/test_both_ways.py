"""One application through HAProxy and another through PgBouncer, during the same failover."""

from __future__ import annotations

import pytest

from tests.lab import balancer, pooler
from tests.lab.ways import Way, coming_by, wait_for_new_primary, wait_for_timeline, went_on

pytestmark = [pytest.mark.lab, pytest.mark.campaign]


def test_applications_on_both_ways_go_on_and_lose_nothing(lab):
    def prepare(lab):
        for one in (balancer.Balancer(lab), pooler.Pooler(lab)):
            one.start()

    lab.monitor  # noqa: B018 - its key opens the hosts: it comes first
    targets = [balancer.target(), pooler.target(lab)]
    w = coming_by(lab, Way("proxy", balancer.ADDRESS), targets, prepare=prepare)
    other = lab.app.start_ledger([Way("pooler", pooler.ADDRESS)])  # type: ignore[list-item]
    other.wait_for(300)
    w.pg1.kill9_postmaster()
    for ledger in (w.ledger, other):
        wait_for_timeline(ledger, 2, w)
        ledger.wait_for(300)
    wait_for_new_primary(w)
    account = other.check(w.pg2, enough=500)
    assert account.lost == ()
    assert account.timelines == (1, 2)
    went_on(w)
    for target in ("haproxy", "pgbouncer"):
        assert lab.monitor.metric("failoverd_redirect_leads_to_primary", target=target) == 1
