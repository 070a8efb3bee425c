"""The rung `dead_man`, where it has no proof to give: why, and whether it is worth another try."""

from __future__ import annotations

import asyncio
from dataclasses import replace

import pytest

from failoverd.core.dead_man import ArmedFor, DeadMan
from failoverd.core.effects import Fence, StopMode
from failoverd.core.model import Epoch, Instant
from failoverd.core.policy import StepLimits
from failoverd.daemon import clock
from failoverd.effect.fence import dead_man as rung
from failoverd.effect.fence.verdict import Goes
from failoverd.effect.world import Node, Runs, World
from failoverd.transport.local import LocalHost
from failoverd.transport.postgres import SqlAddress
from tests.unit.vocabulary import PG1, PG2, PG3, watching

FENCE = Fence(PG1, StopMode.IMMEDIATE, Epoch(2))
LIFE = ArmedFor("boot", 10, "1700000000")


def nobody(name):
    """An address at which nothing listens."""
    address = SqlAddress(
        "127.0.0.1", 1, "failoverd", "postgres", lambda: None, "disable", None, "test"
    )
    return Node(name, LocalHost(name, clock.monotonic), address, {"data_dir": "/nowhere"})


def armed(**changes):
    now = clock.boottime()
    fresh = DeadMan(LIFE, frozenset({PG2}), Instant(now), Instant(now))
    return replace(fresh, **changes)


def world(dead_man):
    machine = watching().machine
    return World(
        {PG1: nobody(PG1), PG2: nobody(PG2)}, machine.memory, machine.view, StepLimits(),
        clock.monotonic, clock.boottime, 0.2, dead_man=dead_man,
    )  # fmt: skip


def answer(dead_man):
    there = world(dead_man)
    return asyncio.run(rung.dead_man_expired(FENCE, there, there.nodes[PG1], Runs()))


def test_without_an_arming_of_this_process_there_is_none_however_long_it_waits():
    said = answer(None)
    assert said.goes is Goes.VOID
    assert "no arming is acknowledged to this daemon" in said.why


@pytest.mark.parametrize(
    "life", [replace(LIFE, boot_id="another"), replace(LIFE, postmaster_started="1700000500")]
)
def test_for_another_boot_or_another_start_there_is_none(life):
    said = answer(armed(armed_for=life))
    assert said.goes is Goes.VOID
    assert "another boot, or another start" in said.why


def test_a_named_standby_that_does_not_answer_might_answer_the_dead_man(monkeypatch):
    monkeypatch.setattr(rung, "FROZEN_WITHIN_S", 0.3)
    said = answer(armed())
    assert said.goes is Goes.ON
    assert said.why == "pg2 does not answer, and could answer its dead-man"


def test_a_named_standby_that_is_not_configured_any_more_is_not_frozen(monkeypatch):
    monkeypatch.setattr(rung, "FROZEN_WITHIN_S", 0.0)
    said = answer(armed(standbys=frozenset({PG3})))
    assert "pg3 is not in the configuration any more" in said.why
