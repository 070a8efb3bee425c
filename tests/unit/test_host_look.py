"""A host that tells nothing is not waited for twice; what its socket says in time is kept."""

from __future__ import annotations

import asyncio

import pytest

from failoverd.core.model import Outcome
from failoverd.daemon import clock
from failoverd.probe.host import SILENT_HOST_S, look_at_host
from failoverd.transport.host import Call
from tests.unit.vocabulary import PG1


class HalfSilentHost:
    """Its `status` is lost at once; an attempt on its socket takes as long as it is given."""

    node = PG1

    def __init__(self, socket_takes_s: float) -> None:
        self.socket_takes_s = socket_takes_s

    async def call(self, verb, arguments, *, timeout_s):
        call = Call(PG1, verb, arguments, "nonce")
        if verb == "status":
            return call.failed(Outcome.TIMED_OUT, "no answer in time", 0.0)
        try:
            async with asyncio.timeout(timeout_s):
                await asyncio.sleep(self.socket_takes_s)
        except TimeoutError:
            return call.failed(Outcome.TIMED_OUT, "no answer in time", timeout_s)
        return call.answer(0, "begin=nonce\nanswer=accepting\nnonce=nonce", self.socket_takes_s)

    async def close(self) -> None:
        pass


@pytest.mark.parametrize(("takes_s", "outcome"), [(0.0, Outcome.OK), (30.0, Outcome.NOT_TRIED)])
def test_what_a_socket_says_counts_only_while_the_round_lasts(takes_s, outcome):
    began = clock.monotonic()
    look = look_at_host(HalfSilentHost(takes_s), {}, clock.monotonic, 1.0, socket_s=30.0)
    report = asyncio.run(look)
    assert report.look.outcome is Outcome.TIMED_OUT
    assert report.local_socket.outcome is outcome
    assert clock.monotonic() - began < SILENT_HOST_S + 15
