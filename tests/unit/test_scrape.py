"""A scrape of very many series holds up nothing else, and nobody who takes it slowly stays."""

from __future__ import annotations

import asyncio
import contextlib

import pytest
from aiohttp.test_utils import TestClient, TestServer

from failoverd.observability import http
from failoverd.observability.http import application
from failoverd.observability.metrics import Metrics
from tests.unit.story import POLICY
from tests.unit.test_page import Source

PARTS = 50


@pytest.fixture
def source():
    return Source()


@pytest.fixture
async def client(source):
    async with TestClient(TestServer(application(source))) as one:
        yield one


async def test_what_else_is_due_comes_between_two_parts(source, client, monkeypatch):
    monkeypatch.setattr(http, "TURN_S", 0.0)
    order: list[str] = []

    def parts(_):
        for number in range(PARTS):
            asyncio.get_running_loop().call_soon(order.append, "another")
            order.append("part")
            yield f"one {number}\n".encode()

    source.metrics = parts
    answer = await client.get("/metrics")
    assert (await answer.text()).split("\n")[-2] == f"one {PARTS - 1}"
    assert order == ["part", "another"] * PARTS


def test_no_part_is_more_than_a_few_milliseconds_of_lines():
    metrics = Metrics()
    for number in range(30):
        metrics.seed(f"cluster{number}", POLICY, {})
    most = max(part.count(b"\n") for part in metrics.exposition())
    assert most <= 1000


async def test_some_metrics_are_told_alone_by_their_names(source, client):
    metrics = Metrics()
    metrics.seed("main", POLICY, {})
    source.metrics = metrics.exposition

    async def told(*names: str) -> set[str]:
        answer = await client.get("/metrics", params=[("name[]", name) for name in names])
        lines = (await answer.text()).splitlines()
        return {line.split()[2] for line in lines if line.startswith("# TYPE")}

    late, lag = "failoverd_round_late_seconds", "failoverd_event_loop_lag_seconds"
    assert await told(f"{late}_bucket") == {late}
    assert await told(late, lag, "process_cpu_seconds_total") == {
        late,
        lag,
        "process_cpu_seconds_total",
    }
    assert await told("no_such") == set()
    assert {late, lag, "process_cpu_seconds_total"} < await told()


async def test_whoever_takes_it_too_slowly_is_let_go(source, client, monkeypatch):
    monkeypatch.setattr(http, "TAKEN_WITHIN_S", 0.2)
    ended = asyncio.Event()

    def without_end(_):
        try:
            while True:
                yield b"x" * 1_000_000
        finally:
            ended.set()

    source.metrics = without_end
    reader, writer = await asyncio.open_connection(client.host, client.port, limit=1)
    writer.write(b"GET /metrics HTTP/1.1\r\nHost: here\r\n\r\n")
    async with asyncio.timeout(10):
        await ended.wait()
        with contextlib.suppress(ConnectionError):
            while await reader.read(1_000_000):
                pass
    writer.close()
