"""After a failover the next one waits, with everything left as it is, for as long as it takes."""

from __future__ import annotations

import pytest

from tests.lab.cluster import watched, would_work

pytestmark = [pytest.mark.lab, pytest.mark.timeout(240)]


def rebuild(old, new):
    """By hand, as docs/recover.md says: the old primary becomes a standby of the new one."""
    old.run(["sh", "-c", f"rm -rf {old.data_dir}/*"], user="postgres")
    old.clone_from(new, slot=old.name)


def test_a_second_failure_within_the_cooldown_is_told_and_not_acted_on(lab):
    w = watched(lab, synchronous=False, rate=50)
    w.pg1.kill9_postmaster()
    w.wait_until_failed_over()
    rebuild(w.pg1, w.pg2)
    lab.monitor.wait_until(
        lambda: would_work(lab), 60, "a failover would work but for the cooldown"
    )
    begun = w.failovers_begun()
    w.pg2.kill9_postmaster()
    status = lab.monitor.wait_for_state("blocked", 20)
    assert status["blocked"]["reason"] == "cooldown"
    assert status["blocked"]["advice"] == "failoverd ack"
    seen = lab.monitor.metric("failoverd_probe_duration_seconds_count", node="pg2", kind="fresh")
    w.wait(
        lambda: (
            lab.monitor.metric("failoverd_probe_duration_seconds_count", node="pg2", kind="fresh")
            >= (seen or 0) + 9
        ),
        60,
        "nine more looks at pg2",
    )
    assert w.status()["state"] == "blocked"
    assert w.status()["primary"] == "pg2"
    assert w.failovers_begun() == begun
    assert not (w.pg2.data / "standby.signal").exists()
    assert not (w.pg2.data / "failoverd.guard").exists()
    assert w.pg1.in_recovery
    assert w.pg1.sql("show primary_conninfo") != ""
    lab.monitor.failoverd("ack")
    w.wait(lambda: w.status().get("primary") == "pg1", 60, "pg1 is the primary")
    assert w.failovers_begun() == begun + 1
