"""Out of memory: it goes on, or it ends and says so; it never limps on, and never fails over.

By the address space (prlimit --as), so that an allocation fails: what the kernel does where
MemoryMax= is reached is a SIGKILL, and what comes of that is tried in tests/systemd.
"""

from __future__ import annotations

import pytest

from tests.lab.cluster import watched, would_work
from tests.lab.detection.descriptors import limit

pytestmark = [pytest.mark.lab, pytest.mark.timeout(240)]


def looks(lab):
    if lab.monitor.fetch("/metrics")[0] != 200:
        return 0
    count = lab.monitor.metric("failoverd_probe_duration_seconds_count", node="pg1", kind="fresh")
    return count or 0


def test_a_daemon_that_gets_no_more_memory_looks_on_or_ends(lab):
    w = watched(lab, synchronous=False, rate=50)
    limit(w, "--as=4096:4096")
    seen = looks(lab)
    w.wait(
        lambda: w.daemon.exit_status is not None or looks(lab) >= seen + 20,
        60,
        "it has ended, or looked twenty times",
    )
    assert w.daemon.exit_status != 0
    w.ledger.wait_for(100)
    assert w.pg2.in_recovery
    if w.daemon.exit_status is not None:
        w.restart()
    w.wait(lambda: would_work(lab), 30, "a failover would work")
    assert w.failovers_begun() == 0
    assert not (w.pg1.data / "standby.signal").exists()
