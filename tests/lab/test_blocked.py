"""A fence that cannot be proved: no promotion, and every way out of it."""

from __future__ import annotations

import pytest

from tests.lab.cluster import watched
from tests.lab.host import UNPRIVILEGED

pytestmark = pytest.mark.lab


def lost_host(lab):
    """pg1 hangs, and sshd on its host is out of reach: nothing can be proved there."""
    w = watched(lab)
    lab.drop(lab.monitor, w.pg1, 22)
    w.pg1.sigstop_all()
    status = lab.monitor.wait_for_state("blocked", 40)
    assert status["blocked"]["reason"] == "no_fence_proof"
    assert "failoverd fenced pg1" in status["blocked"]["advice"]
    assert lab.monitor.metric("failoverd_blocked", reason="no_fence_proof") == 1
    assert w.pg2.in_recovery
    return w


def test_it_goes_on_by_itself_when_the_proof_can_be_had(lab):
    w = lost_host(lab)
    lab.heal()
    w.wait_until_failed_over(60)
    assert w.pg1.processes("postgres") == []
    w.ledger.wait_for(600)
    assert w.ledger.check(w.pg2).lost == ()


def test_it_takes_the_guard_back_when_the_primary_is_well_again(lab):
    w = lost_host(lab)
    w.pg1.sigcont_all()
    lab.heal()
    w.wait(
        lambda: (s := w.status())["state"] == "watching" and s["primary"] == "pg1",
        60,
        "pg1 is watched again",
    )
    assert not (w.pg1.data / "standby.signal").exists()
    assert not (w.pg1.data / "failoverd.guard").exists()
    assert w.pg2.in_recovery
    w.ledger.wait_for(600)
    assert w.ledger.check(w.pg1).lost == ()


def test_an_operator_may_vouch_for_it(lab):
    w = lost_host(lab)
    refused = lab.monitor.failoverd("fenced", "pg2", "--reason", "typo", "--yes", check=False)
    assert refused.returncode == 1
    assert "pg1" in refused.stderr
    w.pg1.kill9_all()
    lab.monitor.failoverd("fenced", "pg1", "--reason", "I pulled its plug", "--yes")
    w.wait_until_failed_over(40)
    assert f"{UNPRIVILEGED} vouches that pg1 is fenced" in lab.monitor.failoverd("report").stdout
    assert "vouches that pg1 is fenced: I pulled its plug" in lab.monitor.failoverd("report").stdout
