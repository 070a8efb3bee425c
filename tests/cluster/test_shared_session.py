"""Two who ask in one session take turns, and neither ends it for the other."""

from __future__ import annotations

import asyncio
import signal

import pytest

from failoverd.core.model import Outcome
from failoverd.daemon.clock import monotonic
from failoverd.demo import postgres
from failoverd.transport.postgres import connect
from tests.cluster.test_probe import node

ASKED = "select 1 as one"


@pytest.fixture
async def held(pair):
    look, session = await connect(node(pair, pair.primary).address, monotonic, 5.0)
    assert session is not None, look
    yield session
    await session.close()


async def test_they_take_turns_and_whoever_borrows_it_leaves_it_open(held):
    borrowed = held.lent()
    answers = await asyncio.gather(
        *(one.row(ASKED, timeout_s=5.0) for one in (held, borrowed) for _ in range(20))
    )
    assert [answer.row for answer in answers] == [{"one": 1}] * 40
    await borrowed.close()
    assert (await held.row(ASKED, timeout_s=5.0)).ok


async def test_whoever_waits_in_vain_for_a_turn_does_not_end_it(held):
    owner = asyncio.create_task(held.row("select 2 as two from pg_sleep(0.7)", timeout_s=10.0))
    await asyncio.sleep(0)
    waited = await held.lent().row(ASKED, timeout_s=0.1)
    assert waited.look.outcome is Outcome.TIMED_OUT
    assert (await owner).row == {"two": 2}
    assert held.usable


async def test_what_a_silent_server_was_asked_ends_it_for_both(held, pair):
    postgres.signal_all(pair.primary, signal.SIGSTOP)
    try:
        silent = await held.lent().row(ASKED, timeout_s=0.2)
        assert silent.look.outcome is Outcome.TIMED_OUT
        assert not held.usable
    finally:
        postgres.signal_all(pair.primary, signal.SIGCONT)


async def test_what_is_cancelled_in_the_middle_ends_it(held):
    """What it would still say is not for its owner."""
    asked = asyncio.create_task(held.lent().row("select pg_sleep(5)", timeout_s=10.0))
    while not held._turn.locked():  # noqa: ASYNC110 - nobody tells when it has begun
        await asyncio.sleep(0)
    asked.cancel()
    with pytest.raises(asyncio.CancelledError):
        await asked
    assert not held.usable
