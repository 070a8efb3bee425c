"""Of an old primary that cannot take writes it is said at once: nobody waits for a promotion."""

from __future__ import annotations

import os
import signal
import time

from failoverd.core.effects import Unfence
from failoverd.core.events import EffectFailed
from failoverd.core.model import Epoch, NodeName
from failoverd.demo import postgres
from failoverd.effect.unfence import unfence
from tests.cluster import servers
from tests.cluster.worlds import world_of

BACK = Unfence(NodeName("pg1"), Epoch(7))


async def test_what_outlived_its_postmaster_is_not_waited_for(primary, standby):
    world = world_of(primary, standby)
    client = servers.keeps_committing(primary)
    try:
        os.kill(postgres.postmaster_pid(primary), signal.SIGKILL)
        servers.wait_until(lambda: len(postgres.processes(primary)) == 1, "one orphan alone")
        began = time.monotonic()
        answer = await unfence(BACK, world)
        took = time.monotonic() - began
    finally:
        client.kill()
        client.communicate()
    assert isinstance(answer, EffectFailed)
    assert answer.reason == "not_started"
    assert "processes of an earlier one do" in answer.evidence.sentence
    assert took < world.limits.promote_s / 2


async def test_a_postmaster_that_was_stopped_by_a_signal_is_not_waited_for(primary, standby):
    world = world_of(primary, standby)
    postmaster = postgres.postmaster_pid(primary)
    os.kill(postmaster, signal.SIGSTOP)
    try:
        began = time.monotonic()
        answer = await unfence(BACK, world)
        took = time.monotonic() - began
    finally:
        os.kill(postmaster, signal.SIGCONT)
    assert isinstance(answer, EffectFailed)
    assert answer.evidence.sentence.endswith(f"is stopped by a signal: kill -CONT {postmaster}")
    assert took < world.limits.promote_s / 2
