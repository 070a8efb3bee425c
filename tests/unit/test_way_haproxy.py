"""HAProxy is led to the new primary by its runtime API, and asked what came of it."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass, field

import pytest

from failoverd.core.effects import CloseTarget
from failoverd.core.events import EffectFailed, Redirected, TargetClosed
from failoverd.core.model import Epoch
from failoverd.effect.redirect.haproxy import parsed
from failoverd.effect.redirect.target import close_target, look_at
from failoverd.effect.way import Haproxy
from failoverd.transport.haproxy import RuntimeApi
from tests.unit.vocabulary import PG1, PG2
from tests.unit.ways import COLUMNS, HOSTS, WAY, led, world


@dataclass
class RuntimeApiServer:
    """What `set server` and `show servers state` of HAProxy 2.6 do to two servers."""

    states: dict[str, int] = field(default_factory=lambda: {"pg1": 4, "pg2": 5})
    addresses: dict[str, str] = field(default_factory=lambda: {"pg1": "192.0.2.11:5432"})
    down: frozenset[str] = frozenset()
    deaf: bool = False
    agent: int = 0
    commands: list[str] = field(default_factory=list)

    async def __call__(self, reader, writer):
        for command in (await reader.readline()).decode().strip().split(";"):
            self.commands.append(command)
            writer.write(f"{self.done(command.split())}\n".encode())
        writer.close()

    def done(self, words):
        match words:
            case ["show", "servers", "state", "postgres"]:
                rows = [self.row(name) for name in self.states]
                return "\n".join(["1", COLUMNS, *rows, ""])
            case ["show", *_]:
                return "Can't find backend."
            case ["set", "server", name, "state", state] if not self.deaf:
                bits = self.states[name.partition("/")[2]]
                self.states[name.partition("/")[2]] = bits & ~1 if state == "ready" else bits | 1
                return ""
            case ["set", "server", name, "addr", host, "port", port]:
                self.addresses[name.partition("/")[2]] = f"{host}:{port}"
                return ""
            case _:
                return ""

    def row(self, name):
        host, _, port = self.addresses.get(name, "192.0.2.12:5432").partition(":")
        state = 0 if self.states[name] & 1 or name in self.down else 2
        bits = self.states[name]
        return f"2 postgres 1 {name} {host} {state} {bits} 1 1 0 1 0 0 8 {self.agent} 0 0 - {port}"


@pytest.fixture
async def runtime_api(tmp_path):
    fake = RuntimeApiServer()
    server = await asyncio.start_unix_server(fake, tmp_path / "sock")
    async with server:
        yield fake, RuntimeApi(tmp_path / "sock")


def haproxy(api, **more):
    known = {"backend": "postgres", "servers": {PG1: "pg1", PG2: "pg2"}, "server": ""}
    places = {name: (host, 5432) for name, host in HOSTS.items()}
    return Haproxy(**{"api": api, "addresses": places, "timeout_s": 1.0, **known, **more})


async def test_haproxy_shuts_the_old_server_and_its_sessions_before_it_opens_the_new_one(
    runtime_api,
):
    fake, api = runtime_api
    result = await led(haproxy(api))
    assert isinstance(result, Redirected)
    assert result.evidence.sentence == "way: pg2 of postgres takes sessions"
    acts = [one for one in fake.commands if not one.startswith("show servers")]
    assert acts == [
        "set server postgres/pg1 state maint",
        "shutdown sessions server postgres/pg1",
        "set server postgres/pg2 state ready",
    ]


async def test_haproxy_that_is_right_already_is_only_looked_at(runtime_api):
    fake, api = runtime_api
    fake.states = {"pg1": 5, "pg2": 4}
    assert isinstance(await led(haproxy(api)), Redirected)
    assert set(fake.commands) == {"show servers state postgres"}


async def test_the_one_server_of_a_backend_gets_the_address_of_the_new_primary(runtime_api):
    fake, api = runtime_api
    result = await led(haproxy(api, servers={}, server="pg1"))
    assert result.evidence.sentence == "way: postgres/pg1 at 192.0.2.12:5432 takes sessions"
    first = [one for one in fake.commands if not one.startswith("show servers")][:3]
    assert first == [
        "set server postgres/pg1 state maint",
        "shutdown sessions server postgres/pg1",
        "set server postgres/pg1 addr 192.0.2.12 port 5432",
    ]


async def test_an_agent_that_said_down_before_the_failover_is_overruled(runtime_api):
    fake, api = runtime_api
    fake.agent = 22
    await led(haproxy(api))
    assert "set server postgres/pg2 agent up" in fake.commands


async def test_what_haproxy_was_told_and_did_not_do_counts_as_not_done(runtime_api):
    fake, api = runtime_api
    fake.deaf = True
    result = await led(haproxy(api))
    assert isinstance(result, EffectFailed)
    assert result.evidence.sentence == "way: pg1 of postgres takes sessions"


async def test_a_primary_that_haproxy_finds_down_is_not_called_led_to(runtime_api):
    fake, api = runtime_api
    fake.down = frozenset({"pg2"})
    result = await led(haproxy(api))
    assert isinstance(result, EffectFailed)
    assert "pg2 is admitted, and HAProxy finds it down itself" in result.evidence.sentence


async def test_haproxy_is_closed_towards_one_server(runtime_api):
    fake, api = runtime_api
    result = await close_target(CloseTarget(PG1, WAY, Epoch(3)), world(haproxy(api)))
    assert isinstance(result, TargetClosed)
    assert fake.states["pg1"] == 5


@pytest.mark.parametrize(
    ("more", "why"),
    [
        ({"backend": "other"}, 'it shows no server of backend other: "Can\'t find backend."'),
        ({"servers": {PG1: "a", PG2: "pg2"}}, "backend postgres has no server a"),
        ({"api": RuntimeApi(None, "127.0.0.1", 1)}, "it cannot be reached: "),
    ],
)
async def test_a_haproxy_that_is_not_as_configured_says_so(runtime_api, more, why):
    _, api = runtime_api
    result = await led(haproxy(**{"api": api, **more}))
    assert isinstance(result, EffectFailed)
    assert why in result.evidence.sentence
    report = await look_at(WAY, world(haproxy(**{"api": api, **more})))
    assert report is not None
    assert not report.look.ok
    assert why in report.sentence


def test_a_server_in_drain_or_in_maintenance_by_its_name_takes_nothing():
    text = "\n".join([COLUMNS, *(RuntimeApiServer({"s": bits}).row("s") for bits in (8, 32, 64))])
    assert not parsed(text)["s"].admitted
    assert parsed("nonsense\n" + COLUMNS) == {}
