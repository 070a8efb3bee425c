"""Clusters of one daemon are begun one after the other, and end each by itself."""

from __future__ import annotations

import asyncio
import contextlib

import pytest

from failoverd.core.memory import Memory
from failoverd.core.model import Instant, NodeName
from failoverd.core.situation import Machine
from failoverd.core.states import Blocked, BlockReason, Starting, Watching
from failoverd.daemon.agent_check import Port
from failoverd.daemon.changes import why_not_removed
from failoverd.daemon.running import ALL_WITHIN_S, APART_S, ARRIVING, Running, starts
from failoverd.demo.postgres import free_ports
from tests.unit.agent import word

PG1 = NodeName("pg1")


class Watched:
    def __init__(self):
        self.begun = asyncio.Event()
        self.stop = asyncio.Event()

    async def run(self):
        self.begun.set()
        await self.stop.wait()


class Survey:
    async def run(self):
        await asyncio.Event().wait()


@contextlib.asynccontextmanager
async def running(ended):
    async with asyncio.TaskGroup() as group, asyncio.timeout(60):
        yield Running(group, ended.append)


async def test_one_that_has_to_wait_for_its_turn_begins_at_once_where_it_is_hurried():
    ended, first, second = [], Watched(), Watched()
    async with running(ended) as clusters:
        clusters.begin("first", first, Survey(), {}, 0.0)
        clusters.begin("second", second, Survey(), {}, 3600.0)
        await first.begun.wait()
        assert not clusters.has_begun("second")
        clusters.hurry("second")
        await second.begun.wait()
        first.stop.set()
        await clusters.until_gone(["first"], 10)
        await asyncio.sleep(0)
        assert ended == ["first"]
        assert clusters.has_begun("second")
        second.stop.set()
        await clusters.until_all_are_over()
    assert ended == ["first", "second"]


async def test_too_many_are_not_begun_before_those_that_have_begun_are_watched():
    watched = [Watched() for _ in range(ARRIVING + 2)]
    async with running([]) as clusters:
        for number, one in enumerate(watched):
            clusters.begin(f"c{number}", one, Survey(), {}, 0.001)
        for one in watched[:ARRIVING]:
            await one.begun.wait()
        await asyncio.sleep(0.05)
        assert not any(one.begun.is_set() for one in watched[ARRIVING:])
        clusters.arrived("c3")
        clusters.arrived("c3")
        await watched[ARRIVING].begun.wait()
        assert not watched[ARRIVING + 1].begun.is_set()
        clusters.hurry(f"c{ARRIVING + 1}")
        await watched[ARRIVING + 1].begun.wait()
        for one in watched:
            one.stop.set()
        await clusters.until_all_are_over()


async def test_one_that_cannot_be_reached_holds_up_the_next_for_a_while_only(monkeypatch):
    monkeypatch.setattr("failoverd.daemon.running.ARRIVES_WITHIN_S", 0.1)
    watched = [Watched() for _ in range(ARRIVING + 1)]
    async with running([]) as clusters:
        for number, one in enumerate(watched):
            clusters.begin(f"c{number}", one, Survey(), {}, 0.001)
        await watched[ARRIVING].begun.wait()
        for one in watched:
            one.stop.set()
        await clusters.until_all_are_over()


async def test_it_is_told_once_when_all_have_begun():
    told, watched = [], [Watched() for _ in range(3)]
    async with asyncio.TaskGroup() as group, asyncio.timeout(60):
        clusters = Running(group, lambda _: None, lambda _: told.append("all"))
        for number, one in enumerate(watched):
            clusters.begin(f"c{number}", one, Survey(), {}, 0.001)
            await one.begun.wait()
        for number in range(3):
            assert told == []
            clusters.arrived(f"c{number}")
        assert told == ["all"]
        for one in watched:
            one.stop.set()
        await clusters.until_all_are_over()
    assert told == ["all"]


async def test_it_is_told_whenever_so_many_more_are_watched():
    told, watched = [], [Watched() for _ in range(2 * ARRIVING + 1)]
    async with asyncio.TaskGroup() as group, asyncio.timeout(20):
        clusters = Running(group, lambda _: None, lambda _: told.append(number))
        for number, one in enumerate(watched):
            clusters.begin(f"c{number}", one, Survey(), {}, 0.0)
        for one in watched:
            await one.begun.wait()
        for number in range(len(watched)):
            clusters.arrived(f"c{number}")
        assert told == [ARRIVING - 1, 2 * ARRIVING - 1, 2 * ARRIVING]
        for one in watched:
            one.stop.set()
        await clusters.until_all_are_over()


async def test_agent_checks_move_to_other_ports_and_back():
    (number,) = free_ports(1)
    answers = {Port("127.0.0.1", number, PG1): lambda: Machine(Watching(), memory=Memory(PG1))}

    watched = Watched()
    async with running([]) as clusters:
        clusters.begin("main", watched, Survey(), answers, 0.0)
        assert await word(number) == b"up\n"
        began = asyncio.get_running_loop().time()
        await clusters.answer("main", answers)
        assert await word(number) == b"up\n"
        assert asyncio.get_running_loop().time() - began < 4, "the port was not taken"
        watched.stop.set()
        await clusters.until_all_are_over()


def test_whatever_was_interrupted_begins_first_and_all_begin_in_time():
    names = [f"c{n:04}" for n in range(5000)]
    found = dict(starts(names, frozenset({"c4999"})))
    assert found["c4999"] == 0.0
    assert set(found) == set(names)
    assert max(found.values()) <= ALL_WITHIN_S
    assert dict(starts(["only"])) == {"only": 0.0}


def test_beats_of_a_second_fall_all_over_it():
    parts = [0] * 10
    for _, at in starts([f"c{n}" for n in range(900)]):
        parts[int(at % 1.0 * 10)] += 1
    assert APART_S * 900 < ALL_WITHIN_S
    assert max(parts) - min(parts) <= 20


@pytest.mark.parametrize(
    ("machine", "stays"),
    [
        (Machine(Watching()), False),
        (Machine(Starting()), False),
        (Machine(Starting(resuming=True)), True),
        (Machine(Blocked(BlockReason.NO_FENCE_PROOF, "no", Instant(0), Instant(1))), False),
    ],
)
def test_a_cluster_is_removed_unless_a_failover_of_it_is_under_way(machine, stays):
    refused = why_not_removed(("main",), {"main": machine, "other": Machine()})
    assert (refused is not None) is stays
    assert refused is None or "clusters.main was removed" in refused
