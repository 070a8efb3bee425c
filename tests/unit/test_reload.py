"""A reload does not wait for what is being done for the configuration before."""

from __future__ import annotations

import asyncio
from dataclasses import replace

import pytest

from failoverd.core.dead_man import Arming, Phase
from failoverd.core.model import CommandRun, Epoch, Outcome
from failoverd.core.policy import NodePolicy, Policy
from failoverd.core.situation import Machine
from failoverd.daemon import clock
from failoverd.daemon.journal import Journal
from failoverd.daemon.loop_lag import LoopLag
from failoverd.daemon.pace import Pace
from failoverd.daemon.shared import Shared
from failoverd.daemon.supervisor import Reload, Supervisor
from failoverd.effect.world import Node
from failoverd.transport.host import HostAnswer
from failoverd.transport.postgres import SqlAddress
from failoverd.transport.ssh_lines import SshLines
from tests.unit.vocabulary import PG1
from tests.waiting import until

ADDRESS = SqlAddress("127.0.0.1", 1, "failoverd", "postgres", lambda: None, "disable")
POLICY = Policy(nodes={PG1: NodePolicy("127.0.0.1", 1)}, interval_s=0.1)


class Host:
    """`hangs`: an act on it takes as long as it may; a look does not."""

    node = PG1

    def __init__(self, *, hangs):
        self.hangs = hangs
        self.looks = 0
        self.acts = 0

    async def call(self, verb, arguments, *, timeout_s):
        assert timeout_s
        if verb == "dead_man_status":
            self.acts += 1
            if self.hangs:
                await asyncio.sleep(3600)
        self.looks += 1
        return HostAnswer(Outcome.LOST, None, {}, CommandRun(PG1, verb, "", 0.0))

    async def close(self):
        pass


class Nobody:
    """Whom nothing is told to."""

    def __getattr__(self, name):
        return lambda *_, **__: None


def owing():
    """A dead-man is to be disarmed, whatever else is known."""
    armed = Arming(PG1, frozenset(), 5.0, Epoch(1), Phase.DISARMING, 1)
    return replace(Machine(epoch=Epoch(1)), dead_man=armed)


@pytest.mark.timeout(60)
async def test_an_act_on_a_host_that_hangs_keeps_nobody_from_watching_on(tmp_path):
    journal = Journal.open(tmp_path)
    shared = Shared(LoopLag(), Pace(), SshLines(clock.monotonic))
    before, after = Host(hangs=True), Host(hangs=False)
    nodes = {PG1: Node(PG1, before, ADDRESS, {})}
    one = Supervisor("main", POLICY, nodes, owing(), journal, Nobody(), shared)
    running = asyncio.create_task(one.run())
    async with asyncio.timeout(25):
        await until(lambda: before.acts and before.looks, "the first one is acted on and looked at")
        one.reload(Reload(POLICY, {PG1: Node(PG1, after, ADDRESS, {})}, {}))
        await until(lambda: after.looks and after.acts, "so is the second one")
        one.request_stop()
        await running
    assert before.acts == 1
    journal.close()
