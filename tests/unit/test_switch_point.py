"""Where the old timeline was left, by the history file of a new one."""

from __future__ import annotations

import pytest

from failoverd.core.effects import Confirm
from failoverd.core.lsn import Lsn
from failoverd.core.memory import Memory
from failoverd.core.model import ClusterView, CommandRun, Outcome, Timeline
from failoverd.core.policy import StepLimits
from failoverd.daemon import clock
from failoverd.effect.confirm import _switch_point
from failoverd.effect.world import Node, Runs, World
from failoverd.transport.host import HostAnswer
from failoverd.transport.postgres import SqlAddress
from tests.unit.vocabulary import PG2

ADDRESS = SqlAddress("127.0.0.1", 1, "failoverd", "postgres", lambda: None)


class Host:
    def __init__(self, *parents):
        self.parents = parents

    async def call(self, verb, arguments, *, timeout_s):
        assert (verb, arguments["timeline"]) == ("history", "4")
        assert timeout_s
        run = CommandRun(PG2, verb, "", 0.1, 0)
        return HostAnswer(Outcome.OK, 0, {"parent": self.parents}, run)


async def switch_point(*parents):
    node = Node(PG2, Host(*parents), ADDRESS, {})
    world = World(
        {PG2: node}, Memory(), ClusterView({}), StepLimits(), clock.monotonic, clock.boottime, 1.0
    )
    return await _switch_point(Confirm(PG2, Timeline(2)), world, node, Timeline(4), Runs())


async def test_of_a_candidate_that_was_promoted_twice_it_is_where_the_first_one_left_it():
    """What the old primary wrote after that is lost, whatever came in between."""
    told = ("1 0/3000000", "2 0/5000000", "3 0/6000000")
    assert await switch_point(*told) == Lsn(0x5000000)


@pytest.mark.parametrize("told", [(), ("3 0/6000000",), ("2 nowhere",), ("2",)])
async def test_a_history_that_does_not_tell_it_tells_nothing(told):
    assert await switch_point(*told) is None
