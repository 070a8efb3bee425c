"""An agent check answers with one word, or with none."""

from __future__ import annotations

import asyncio

from failoverd.core.memory import Memory
from failoverd.core.situation import Machine
from failoverd.core.states import Watching
from failoverd.daemon.agent_check import Port, serve_agent_checks
from failoverd.demo.postgres import free_ports
from tests.unit.agent import word
from tests.unit.vocabulary import PG1, PG2


async def test_an_agent_check_is_answered_with_one_word_or_with_none():
    machine = [Machine(state=Watching(), memory=Memory(primary=PG1))]
    (number,) = free_ports(1)
    serving = asyncio.create_task(
        serve_agent_checks({Port("127.0.0.1", number, PG1): lambda: machine[0]})
    )
    assert await word(number) == b"up\n"
    machine[0] = Machine(state=Watching(), memory=Memory(primary=PG2))
    assert await word(number) == b"down\n"
    machine[0] = Machine()
    assert await word(number) == b""
    serving.cancel()
    await asyncio.gather(serving, return_exceptions=True)
